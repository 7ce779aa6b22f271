import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as conversation from "../conversation.js";
import { ENTRIES_KEPT_MAX, ENTRIES_KEPT_SLACK } from "../limits.js";
import {
  assistant,
  finished,
  record,
  text,
  toolCall,
  turnEnded,
  user,
  welcome,
} from "./frames.mjs";

const { apply, emptyConversation } = conversation;
const play = (state, ...frames) => frames.reduce(apply, state);
const kinds = (state) => state.entries.map((entry) => entry.kind);

describe("a message of ours", () => {
  test("goes from sending to accepted to its record, and is never shown twice", () => {
    let state = play(emptyConversation("web"), welcome());
    state = conversation.submit(state, "m1", "hi");
    assert.deepEqual(
      conversation.unsent(state).map((message) => message.id),
      ["m1"],
    );
    state = apply(state, { type: "accepted", id: "m1" });
    assert.equal(state.pending[0].state, "accepted");
    assert.deepEqual(conversation.unsent(state), []);
    state = apply(state, record(1, "t1", user("m1", "hi")));
    assert.deepEqual(state.pending, []);
    assert.deepEqual(kinds(state), ["user"]);
  });

  test("is still to be sent after a reload and after a lost connection", () => {
    let state = emptyConversation("web", [{ id: "m1", text: "hi" }]);
    state = conversation.disconnected(play(state, welcome()));
    state = play(state, welcome());
    assert.deepEqual(
      conversation.unsent(state).map((message) => message.id),
      ["m1"],
    );
  });

  test("that was accepted and is neither queued nor logged is sent again", () => {
    let state = conversation.submit(play(emptyConversation("web"), welcome()), "m1", "hi");
    state = play(state, { type: "accepted", id: "m1" }, welcome());
    assert.deepEqual(
      conversation.unsent(state).map((message) => message.id),
      ["m1"],
    );
  });

  test("that the welcome calls queued is not sent again", () => {
    const state = play(
      emptyConversation("web", [{ id: "m1", text: "hi" }]),
      welcome({
        queued: [
          { id: "m1", text: "hi" },
          { id: "other", text: "from elsewhere" },
        ],
      }),
    );
    assert.deepEqual(conversation.unsent(state), []);
    assert.deepEqual(
      state.pending.map((message) => message.id),
      ["other", "m1"],
    );
  });

  test("that is rejected keeps its text and problem, and may be tried again or taken back", () => {
    const problem = { code: "busy", message: "Full.", remedy: "Wait." };
    let state = conversation.submit(play(emptyConversation("web"), welcome()), "m1", "hi");
    state = apply(state, { type: "rejected", id: "m1", problem });
    const [message] = state.pending;
    assert.deepEqual([message.text, message.state, message.problem], ["hi", "rejected", problem]);
    assert.deepEqual(conversation.unsent(play(state, welcome())), []);
    assert.equal(conversation.unsent(conversation.retry(state, "m1")).length, 1);
    assert.deepEqual(conversation.discard(state, "m1").pending, []);
  });

  test("of somebody else is shown while it waits and never sent by us", () => {
    let state = play(emptyConversation("web"), welcome({ queued: [{ id: "7", text: "theirs" }] }));
    assert.equal(state.pending[0].state, "accepted");
    assert.deepEqual(play(state, welcome()).pending, []);
    state = apply(state, record(1, "t1", user("7", "theirs", "telegram")));
    assert.deepEqual(state.pending, []);
  });

  test("of another channel with the same event does not count as ours", () => {
    let state = conversation.submit(play(emptyConversation("web"), welcome()), "7", "hi");
    state = apply(state, record(1, "t1", user("7", "hello", "telegram")));
    assert.equal(state.pending.length, 1);
    assert.equal(state.entries[0].channel, "telegram");
  });
});

describe("the log", () => {
  test("applies each record once, in order", () => {
    const first = record(1, "t1", user("a", "one"));
    const state = play(emptyConversation("web"), welcome({ head: 1 }), first, first);
    assert.deepEqual(kinds(state), ["user"]);
    assert.equal(state.sequence, 1);
    assert.ok(conversation.caughtUp(state));
  });

  test("with a live record missing asks for it instead of showing a hole", () => {
    const state = play(emptyConversation("web"), welcome(), record(2, "t1", user("b", "two")));
    assert.ok(state.broken);
    assert.equal(state.sequence, 0);
    assert.deepEqual(kinds(state), []);
    assert.equal(conversation.disconnected(state).broken, false);
  });

  test("that is shorter than what is shown is another log: all is read again, ours is kept", () => {
    let state = play(
      emptyConversation("web"),
      welcome({ head: 1 }),
      record(1, "t1", user("a", "one")),
    );
    state = conversation.submit(state, "m1", "mine");
    state = apply(state, welcome({ head: 0 }));
    assert.ok(state.broken);
    assert.equal(state.sequence, 0);
    assert.deepEqual(kinds(state), []);
    assert.equal(state.pending.length, 1);
  });

  test("sums a turn up at its end", () => {
    const state = play(
      emptyConversation("web"),
      welcome(),
      record(1, "t1", user("a", "one")),
      record(2, "t1", assistant([text("x")])),
      record(3, "t1", assistant([text("y")])),
      record(4, "t1", turnEnded()),
    );
    const { summary, at } = state.entries.at(-1);
    assert.deepEqual(summary, {
      turn: "t1",
      since: 1_000,
      model: "anthropic/claude",
      input: 2_200,
      output: 20,
    });
    assert.equal(at, 4_000);
  });

  test("shows how a turn failed", () => {
    const problem = { code: "model_rate_limited", message: "Slow down.", remedy: "Wait a minute." };
    const state = play(
      emptyConversation("web"),
      welcome(),
      record(1, "t1", turnEnded("failed", problem)),
    );
    assert.deepEqual(state.entries[0].problem, problem);
    assert.equal(state.entries[0].result, "failed");
  });

  test("says so when it holds what this page does not know", () => {
    let state = play(emptyConversation("web"), welcome(), record(1, "t1", { type: "summary" }));
    assert.equal(state.entries[0].kind, "unknown");
    state = apply(state, { type: "novelty" });
    state = apply(state, { type: "novelty" });
    assert.equal(state.notices.length, 1);
    assert.match(state.notices[0].message, /novelty/);
    assert.deepEqual(conversation.dismissNotices(state).notices, []);
  });

  test("keeps the newest entries, and says that there were more", () => {
    const most = ENTRIES_KEPT_MAX + ENTRIES_KEPT_SLACK;
    let state = play(emptyConversation("web"), welcome({ head: most + 1 }));
    for (let n = 1; n <= most; n += 1) state = apply(state, record(n, "t1", user(`e${n}`, "x")));
    assert.equal(state.entries.length, most);
    assert.equal(state.isCut, false);
    state = apply(state, record(most + 1, "t1", user("last", "x")));
    assert.equal(state.entries.length, ENTRIES_KEPT_MAX);
    assert.equal(state.entries.at(-1).key, `r${most + 1}`);
    assert.equal(state.isCut, true);
  });

  test("may be told from its middle on", () => {
    const state = play(
      emptyConversation("web"),
      welcome({ head: 9 }),
      record(8, "t1", user("a", "x")),
      record(9, "t1", turnEnded()),
    );
    assert.deepEqual(kinds(state), ["user", "ended"]);
    assert.equal(state.broken, false);
  });

  test("hides thinking that the provider hides", () => {
    const blocks = [
      { type: "thinking", text: "hm", signature: "s" },
      { type: "thinking", text: "", signature: "s" },
      { type: "redacted_thinking", data: "x" },
    ];
    const state = play(emptyConversation("web"), welcome(), record(1, "t1", assistant(blocks)));
    assert.deepEqual(
      state.entries[0].blocks.map((block) => block.kind),
      ["thinking", "redacted", "redacted"],
    );
  });
});

describe("a running turn", () => {
  const streaming = () =>
    play(
      emptyConversation("web"),
      welcome(),
      record(1, "t1", user("a", "one")),
      { type: "progress", turn: "t1", phase: "working" },
      { type: "thinking", turn: "t1", text: "hm" },
      { type: "text", turn: "t1", text: "Hel" },
      { type: "text", turn: "t1", text: "lo" },
    );

  test("gathers what is streamed until the record supersedes it", () => {
    let state = streaming();
    assert.equal(state.live.text, "Hello");
    assert.equal(state.live.thinking, "hm");
    state = apply(state, record(2, "t1", assistant([text("Hello")], "tool_use")));
    assert.equal(state.live.text, "");
    assert.equal(state.live.thinking, "");
    assert.deepEqual(kinds(state), ["user", "assistant"]);
  });

  test("voids what is streamed when it is asked again", () => {
    const state = apply(streaming(), { type: "restarted", turn: "t1" });
    assert.equal(state.live.text, "");
    assert.equal(state.live.turn, "t1");
  });

  test("that a welcome tells of is not cleared by the records which that welcome announced", () => {
    const turn = { turn: "t1", phase: "working", text: "so far", thinking: "" };
    let state = play(emptyConversation("web"), welcome({ head: 2, turn }));
    state = play(
      state,
      record(1, "t1", user("a", "one")),
      record(2, "t1", assistant([text("step")])),
    );
    assert.equal(state.live.text, "so far");
    state = apply(state, { type: "text", turn: "t1", text: "!" });
    assert.equal(state.live.text, "so far!");
  });

  test("that ended while nobody listened is gone after the next welcome", () => {
    let state = conversation.disconnected(streaming());
    assert.equal(state.live.text, "Hello");
    state = play(state, welcome({ head: 3 }));
    assert.equal(state.live, null);
  });

  test("ends once, whichever of record and frame comes first", () => {
    const end = { type: "ended", turn: "t1", outcome: { result: "completed" } };
    const log = record(2, "t1", turnEnded());
    for (const frames of [
      [end, log],
      [log, end],
    ]) {
      const state = play(streaming(), ...frames, { type: "text", turn: "t1", text: "late" });
      assert.equal(state.live, null);
      assert.deepEqual(kinds(state), ["user", "ended"]);
    }
  });

  test("does not end by the end of another one", () => {
    const state = play(streaming(), record(2, "t0", turnEnded()), { type: "ended", turn: "t0" });
    assert.equal(state.live.turn, "t1");
  });

  test("is stopped by one request, which a lost connection forgets", () => {
    let state = conversation.stopRequested(streaming());
    assert.equal(conversation.activity(state), "Stopping…");
    state = conversation.disconnected(state);
    assert.equal(state.live.stopping, false);
    const idle = emptyConversation("web");
    assert.equal(conversation.stopRequested(idle), idle);
  });

  test("says what it does", () => {
    const at = (phase) =>
      conversation.activity(
        play(emptyConversation("web"), welcome(), { type: "progress", turn: "t1", phase }),
      );
    assert.equal(at("waiting"), "Waiting…");
    assert.equal(at("starting"), "Waking the container…");
    assert.match(at("recovering"), /lost/);
    assert.equal(at("working"), "Working…");
    assert.equal(conversation.activity(streaming()), "Writing…");
    assert.equal(conversation.activity(emptyConversation("web")), "");
  });
});

describe("a tool call", () => {
  const asked = (...calls) =>
    play(emptyConversation("web"), welcome(), record(1, "t1", assistant(calls, "tool_use")));
  const states = (state) =>
    state.entries.flatMap((entry) => entry.blocks ?? []).map((block) => block.state);

  test("goes from asked over running to its end", () => {
    let state = asked(toolCall("c1", "bash", { object: { command: "ls" } }));
    assert.deepEqual(states(state), ["asked"]);
    state = apply(state, record(2, "t1", { type: "tool_started", call: "c1", name: "bash" }));
    assert.deepEqual(states(state), ["running"]);
    assert.equal(conversation.activity(state), "Using a tool…");
    state = apply(state, record(3, "t1", finished("c1", "ok", "a.txt")));
    assert.deepEqual(states(state), ["ok"]);
    assert.equal(state.entries[0].blocks[0].output, "a.txt");
    assert.equal(conversation.activity(state), "Working…");
  });

  test("that changes leaves the entries and blocks beside it untouched", () => {
    const before = asked(text("look"), toolCall("c1", "read", null), toolCall("c2", "read", null));
    const after = apply(before, record(2, "t1", finished("c2", "failed", "no file")));
    assert.equal(after.entries[0].blocks[0], before.entries[0].blocks[0]);
    assert.equal(after.entries[0].blocks[1], before.entries[0].blocks[1]);
    assert.equal(after.entries[0].blocks[2].state, "failed");
    assert.equal(before.entries[0].blocks[2].state, "asked");
  });

  test("that is open at its turn's end was interrupted, or never ran", () => {
    let state = asked(
      toolCall("c1", "bash", null),
      toolCall("c2", "bash", null),
      toolCall("c3", "bash", null),
    );
    state = play(
      state,
      record(2, "t1", finished("c1", "ok")),
      record(3, "t1", { type: "tool_started", call: "c2", name: "bash" }),
      record(4, "t1", turnEnded("cancelled")),
    );
    assert.deepEqual(states(state), ["ok", "interrupted", "not_run"]);
  });

  test("is the newest open one of its name when a decoder begins again with each answer", () => {
    const state = play(
      asked(toolCall("call_0", "bash", null)),
      record(2, "t1", finished("call_0", "ok", "first")),
      record(3, "t1", assistant([toolCall("call_0", "bash", null)], "tool_use")),
      record(4, "t1", finished("call_0", "failed", "second")),
    );
    assert.deepEqual(states(state), ["ok", "failed"]);
  });

  test("that nobody asked for is shown all the same", () => {
    const state = play(
      emptyConversation("web"),
      welcome(),
      record(1, "t1", finished("c9", "interrupted")),
    );
    assert.deepEqual(states(state), ["interrupted"]);
  });
});
