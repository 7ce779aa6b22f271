import assert from "node:assert/strict";
import { test } from "node:test";
import { Outbox } from "../outbox.js";

class MemoryStorage {
  items = new Map();
  get length() {
    return this.items.size;
  }
  key = (index) => [...this.items.keys()][index] ?? null;
  getItem = (key) => this.items.get(key) ?? null;
  setItem = (key, value) => void this.items.set(key, value);
  removeItem = (key) => void this.items.delete(key);
}

test("keeps messages over a reload, oldest first, each session its own", () => {
  const storage = new MemoryStorage();
  const outbox = new Outbox(storage, "web");
  assert.ok(outbox.keep({ id: "b", text: "second" }, 2));
  assert.ok(outbox.keep({ id: "a", text: "first" }, 1));
  assert.ok(new Outbox(storage, "web2").keep({ id: "c", text: "elsewhere" }, 3));
  assert.deepEqual(new Outbox(storage, "web").load(), [
    { id: "a", text: "first" },
    { id: "b", text: "second" },
  ]);
  outbox.forget("a");
  assert.deepEqual(
    outbox.load().map(({ id }) => id),
    ["b"],
  );
});

test("two tabs do not overwrite each other's messages", () => {
  const storage = new MemoryStorage();
  const [one, other] = [new Outbox(storage, "web"), new Outbox(storage, "web")];
  one.keep({ id: "a", text: "one" }, 1);
  other.keep({ id: "b", text: "other" }, 2);
  one.forget("a");
  assert.deepEqual(other.load(), [{ id: "b", text: "other" }]);
});

test("an entry that cannot be read is left alone", () => {
  const storage = new MemoryStorage();
  storage.setItem("pagurus.unaccepted.web/x", "{");
  storage.setItem("pagurus.unaccepted.web/y", '{"text":1}');
  assert.deepEqual(new Outbox(storage, "web").load(), []);
  assert.equal(storage.length, 2);
});

test("says so when nothing can be kept", () => {
  const full = new MemoryStorage();
  full.setItem = () => {
    throw new Error("quota");
  };
  assert.equal(new Outbox(full, "web").keep({ id: "a", text: "x" }, 1), false);
  assert.equal(new Outbox(null, "web").keep({ id: "a", text: "x" }, 1), false);
  assert.deepEqual(new Outbox(null, "web").load(), []);
});
