import assert from "node:assert/strict";
import { test } from "node:test";
import { Connection, retryDelay } from "../connection.js";
import { RETRY_FIRST_MS, RETRY_MAX_MS, STABLE_AFTER_MS, WELCOME_TIMEOUT_MS } from "../limits.js";

/** A world in which time passes by hand. */
class World {
  time = 0;
  timers = [];
  sockets = [];
  statuses = [];
  frames = [];
  garbage = 0;
  refusal = "";

  connection = new Connection({
    openSocket: () => this.#open(),
    probe: async () => this.refusal,
    hello: () => ({ type: "hello", session: "web", after: 7 }),
    onFrame: (frame) => this.frames.push(frame),
    onGarbage: () => (this.garbage += 1),
    onStatus: (status) => this.statuses.push(status),
    now: () => this.time,
    setTimer: (run, ms) => {
      const timer = { run, at: this.time + ms };
      this.timers.push(timer);
      return timer;
    },
    clearTimer: (timer) => (this.timers = this.timers.filter((other) => other !== timer)),
    random: () => 0.5,
  });

  #open() {
    const socket = {
      sent: [],
      closed: false,
      send: (data) => socket.sent.push(JSON.parse(data)),
      close: () => (socket.closed = true),
    };
    this.sockets.push(socket);
    return socket;
  }

  get socket() {
    return this.sockets.at(-1);
  }

  get status() {
    return this.statuses.at(-1).kind;
  }

  pass(ms) {
    this.time += ms;
    const due = this.timers.filter((timer) => timer.at <= this.time);
    this.timers = this.timers.filter((timer) => timer.at > this.time);
    for (const timer of due) timer.run();
  }

  welcome() {
    this.socket.onopen();
    this.socket.onmessage({ data: '{"type":"welcome"}' });
  }

  close(code = 1006, reason = "") {
    this.socket.onclose({ code, reason });
  }
}

test("says hello first and sends only once it is welcome", () => {
  const world = new World();
  world.connection.connect();
  assert.equal(world.connection.send({ type: "stop" }), false);
  world.welcome();
  assert.equal(world.status, "connected");
  assert.equal(world.connection.send({ type: "stop" }), true);
  assert.deepEqual(world.socket.sent, [
    { type: "hello", session: "web", after: 7 },
    { type: "stop" },
  ]);
  assert.deepEqual(world.frames, [{ type: "welcome" }]);
});

test("waits longer after each failure, within its bounds", () => {
  for (const random of [0, 0.5, 1]) {
    let before = 0;
    for (let failures = 0; failures < 2_000; failures += 1) {
      const delay = retryDelay(failures, random);
      assert.ok(delay >= RETRY_FIRST_MS && delay <= RETRY_MAX_MS && delay >= before);
      before = delay;
    }
  }
});

test("comes back by itself, and soon after a good connection", () => {
  const world = new World();
  world.connection.connect();
  for (let failures = 0; failures < 6; failures += 1) {
    world.close();
    assert.equal(world.status, "waiting");
    world.pass(RETRY_MAX_MS);
    assert.equal(world.sockets.length, failures + 2);
  }
  world.welcome();
  world.pass(STABLE_AFTER_MS);
  world.close();
  world.pass(retryDelay(0, 0.5));
  assert.equal(world.sockets.length, 8);
});

test("does not hurry towards a server that welcomes and closes", () => {
  const world = new World();
  world.connection.connect();
  for (let times = 0; times < 8; times += 1) {
    world.welcome();
    world.close(4500, "Restarting.");
    world.pass(RETRY_MAX_MS);
  }
  world.welcome();
  world.close(4500, "Restarting.");
  assert.deepEqual(world.statuses.at(-1), { kind: "waiting", reason: "Restarting." });
  const count = world.sockets.length;
  world.pass(RETRY_MAX_MS / 2 - 1);
  assert.equal(world.sockets.length, count);
});

test("gives up a server that opens and never welcomes", () => {
  const world = new World();
  world.connection.connect();
  world.socket.onopen();
  const [first] = world.sockets;
  world.pass(WELCOME_TIMEOUT_MS);
  assert.ok(first.closed);
  assert.equal(world.status, "waiting");
  assert.equal(first.onclose, null);
});

test("stops at a refusal until a person asks again", () => {
  const world = new World();
  world.connection.connect();
  world.close(4401, "Not allowed.");
  assert.deepEqual(world.statuses.at(-1), { kind: "refused", reason: "Not allowed." });
  world.pass(10 * RETRY_MAX_MS);
  assert.equal(world.sockets.length, 1);
  world.connection.renew();
  world.welcome();
  assert.deepEqual(world.statuses.at(-1), { kind: "connected", reason: "" });
});

test("finds out why a handshake failed", async () => {
  const world = new World();
  world.refusal = "Nobody proved who they are.";
  world.connection.connect();
  world.close();
  assert.equal(world.status, "waiting");
  await Promise.resolve();
  await Promise.resolve();
  assert.deepEqual(world.statuses.at(-1), {
    kind: "refused",
    reason: "Nobody proved who they are.",
  });
  assert.equal(world.timers.length, 0);
});

test("a renewal leaves the former socket unheard", () => {
  const world = new World();
  world.connection.connect();
  world.welcome();
  const [first] = world.sockets;
  world.connection.renew();
  assert.ok(first.closed);
  assert.equal(first.onmessage, null);
  assert.equal(world.sockets.length, 2);
  world.connection.connect();
  assert.equal(world.sockets.length, 2);
});

test("a frame that is not JSON is told, not thrown", () => {
  const world = new World();
  world.connection.connect();
  world.welcome();
  world.socket.onmessage({ data: "<html>" });
  assert.equal(world.garbage, 1);
  assert.equal(world.status, "connected");
});
