import assert from "node:assert/strict";
import { test } from "node:test";
import { Unseen } from "../unseen.js";

test("answers that nobody has seen are counted once, and forgotten when somebody looks", () => {
  let hidden = true;
  let title = "";
  const ports = { isHidden: () => hidden, setTitle: (text) => (title = text) };
  const unseen = new Unseen(ports, "Pagurus");
  for (const turn of ["t1", "t2", "t1"]) unseen.note(turn);
  assert.equal(title, "(2) Pagurus");
  hidden = false;
  unseen.clear();
  assert.equal(title, "Pagurus");
  unseen.note("t3");
  assert.equal(title, "Pagurus");
});
