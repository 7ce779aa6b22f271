import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { answerNotes } from "../answer-notes.js";
import { activity, apply, emptyConversation } from "../conversation.js";
import { assistant, record, text, turnEnded, user, welcome } from "./frames.mjs";

const play = (state, ...frames) => frames.reduce(apply, state);
const retrying = (fields = {}) => ({
  type: "retrying",
  turn: "t1",
  model: "anthropic/claude",
  reason: "anthropic is overloaded (529).",
  after_ms: 3_200,
  ...fields,
});
const asked = () => play(emptyConversation("web"), welcome(), record(1, "t1", user("m1", "hi")));

describe("a model that does not answer", () => {
  test("makes void what it had said, and the page says why and what comes", () => {
    const said = play(asked(), { type: "text", turn: "t1", text: "half an ans" });
    const state = play(said, retrying());
    assert.equal(state.live.text, "");
    assert.equal(
      activity(state),
      "anthropic is overloaded (529). Asking anthropic/claude again in 4 s…",
    );
    const next = play(state, retrying({ model: "groq/llama", after_ms: 0 }));
    assert.equal(activity(next), "anthropic is overloaded (529). Asking groq/llama…");
  });

  test("is forgotten as soon as something comes", () => {
    const state = play(asked(), retrying());
    for (const frame of [
      { type: "text", turn: "t1", text: "now" },
      { type: "thinking", turn: "t1", text: "hm" },
      { type: "progress", turn: "t1", phase: "saving" },
      { type: "restarted", turn: "t1" },
      record(2, "t1", assistant([text("now")])),
    ])
      assert.equal(apply(state, frame).live.retry, null, frame.type);
  });

  test("does not bring a turn that has ended back to life", () => {
    const over = play(asked(), record(2, "t1", turnEnded()));
    assert.equal(play(over, retrying()), over);
  });
});

describe("notes below an answer", () => {
  const notes = (fields) =>
    answerNotes({ stop: "end_turn", model: "groq/llama", insteadOf: null, ...fields });

  test("say that it was cut and who gave it", () => {
    assert.deepEqual(notes({}), []);
    assert.deepEqual(notes({ stop: "max_tokens", insteadOf: "anthropic/claude" }), [
      "Cut at the model's output limit; say “go on”.",
      "Answered by groq/llama (anthropic/claude did not answer).",
    ]);
    assert.deepEqual(notes({ stop: "tool_use", insteadOf: "anthropic/claude" }), []);
  });

  test("come from the record", () => {
    const item = { ...assistant([text("a")]), instead_of: "openai/gpt" };
    const state = play(asked(), record(2, "t1", item));
    assert.deepEqual(answerNotes(state.entries[1]), [
      "Answered by anthropic/claude (openai/gpt did not answer).",
    ]);
  });
});
