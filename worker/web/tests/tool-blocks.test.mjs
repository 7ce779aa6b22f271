import assert from "node:assert/strict";
import { test } from "node:test";
import { TOOL_SUMMARY_CHARS_MAX } from "../limits.js";
import { toolBlock } from "../tool-blocks.js";

const of = (args) => toolBlock("c", "tool", args);

test("the summary is the first text among the arguments, in one line", () => {
  assert.equal(of({ object: { timeout: 3, command: "ls\n  -l" } }).summary, "ls -l");
  assert.equal(of({ object: { count: 3 } }).summary, '{"count":3}');
  assert.equal(of({ object: {} }).summary, "");
  assert.equal(of(null).summary, "");
});

test("the summary is bounded and splits no character", () => {
  const { summary } = of({ object: { text: "🐚".repeat(500) } });
  assert.equal(Array.from(summary).length, TOOL_SUMMARY_CHARS_MAX);
  assert.ok(summary.isWellFormed?.() ?? true);
});

test("malformed arguments are shown as they came", () => {
  const block = of({ malformed: '{"path": ' });
  assert.equal(block.summary, '{"path":');
  assert.equal(block.input, '{"path": ');
});

test("arguments read as names and values", () => {
  const { input } = of({ object: { path: "a.txt", text: "one\ntwo", deep: { x: 1 } } });
  assert.equal(input, 'path: a.txt\ntext:\none\ntwo\ndeep:\n{\n  "x": 1\n}');
});
