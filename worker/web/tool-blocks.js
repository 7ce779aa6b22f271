// Tool calls inside the entries of a conversation: how records move one from asked to its end, and
// how it reads in one line. Pure, like conversation.js.
//
// Invariant: a call's end is final; a turn that has ended holds no call that waits or runs.

import { TOOL_SUMMARY_CHARS_MAX } from "./limits.js";

/**
 * @typedef {"asked" | "running" | "ok" | "failed" | "refused" | "interrupted" | "not_run"
 *   } ToolState
 * @typedef {{ kind: "tool", call: string, name: string, summary: string, input: string,
 *   state: ToolState, output: string | null, duration: number | null }} ToolBlock
 * @typedef {import("./conversation.js").Entry} Entry
 */

/** What a state is called on the page. @type {Record<ToolState, string>} */
export const TOOL_STATE_LABELS = {
  asked: "waiting",
  running: "running",
  ok: "done",
  failed: "failed",
  refused: "refused",
  interrupted: "interrupted",
  not_run: "not run",
};

/**
 * A call as the model asked for it.
 * @param {string} call @param {string} name @param {any} args `{object}`, `{malformed}` or null
 * @returns {ToolBlock}
 */
export function toolBlock(call, name, args) {
  return {
    kind: "tool",
    call,
    name,
    summary: summary(args),
    input: argumentsText(args),
    state: "asked",
    output: null,
    duration: null,
  };
}

/**
 * @param {Entry[]} entries @param {import("./conversation.js").Place} context
 * @param {any} item
 */
export function markStarted(entries, context, { call, name }) {
  return change(entries, context, toolBlock(call, name, null), { state: "running" });
}

/**
 * @param {Entry[]} entries @param {import("./conversation.js").Place} context
 * @param {any} item
 */
export function markFinished(entries, context, { call, status, output, duration_ms: duration }) {
  return change(entries, context, toolBlock(call, "tool", null), {
    state: status,
    output,
    duration,
  });
}

/** Ends the calls that a finished turn left open. @param {Entry[]} entries @param {string} turn */
export function closeTools(entries, turn) {
  return entries.map((entry) => {
    if (entry.turn !== turn || entry.kind !== "assistant" || !entry.blocks.some(isOpen))
      return entry;
    const blocks = entry.blocks.map((block) => {
      if (block.kind !== "tool" || !isOpen(block)) return block;
      const state = /** @type {ToolState} */ (
        block.state === "running" ? "interrupted" : "not_run"
      );
      return { ...block, state };
    });
    return { ...entry, blocks };
  });
}

/** Does a call of this turn run now? @param {Entry[]} entries @param {string} turn */
export function toolRuns(entries, turn) {
  for (let index = entries.length - 1; index >= 0; index -= 1) {
    const entry = entries[index];
    if (entry.turn !== turn) return false;
    if (entry.kind === "assistant") return entry.blocks.some(isOpen);
  }
  return false;
}

/** @param {any} block @returns {boolean} */
const isOpen = (block) =>
  block.kind === "tool" && (block.state === "asked" || block.state === "running");

/**
 * Changes the newest open call of that id. Providers number calls uniquely, but a decoder that
 * names calls itself may begin again with each answer, hence "newest" and "open".
 * @param {Entry[]} entries @param {import("./conversation.js").Place} context
 * @param {ToolBlock} fallback shown by itself when the log holds no such call
 * @param {Partial<ToolBlock>} update
 * @returns {Entry[]}
 */
function change(entries, context, fallback, update) {
  for (let index = entries.length - 1; index >= 0; index -= 1) {
    const entry = entries[index];
    if (entry.turn !== context.turn) break;
    if (entry.kind !== "assistant") continue;
    const place = entry.blocks.findLastIndex(
      (block) => block.kind === "tool" && block.call === fallback.call && isOpen(block),
    );
    if (place < 0) continue;
    const block = /** @type {ToolBlock} */ (entry.blocks[place]);
    return entries.with(index, {
      ...entry,
      blocks: entry.blocks.with(place, { ...block, ...update }),
    });
  }
  const blocks = [{ ...fallback, ...update }];
  const entry = { kind: /** @type {const} */ ("assistant"), ...context, blocks };
  return [...entries, { ...entry, stop: "tool_use", model: "", insteadOf: null }];
}

/** The arguments in one line. @param {any} args @returns {string} */
function summary(args) {
  if (args?.malformed !== undefined) return clip(args.malformed);
  const values = Object.values(args?.object ?? {});
  // The first text says what the call is about: the command, the path, the query.
  const telling = values.find((value) => typeof value === "string" && value.trim() !== "");
  if (telling !== undefined) return clip(telling);
  return values.length === 0 ? "" : clip(JSON.stringify(args.object));
}

/** The arguments in full, for reading. @param {any} args @returns {string} */
function argumentsText(args) {
  if (args?.malformed !== undefined) return args.malformed;
  const lines = Object.entries(args?.object ?? {}).map(([name, value]) => {
    const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
    return text.includes("\n") ? `${name}:\n${text}` : `${name}: ${text}`;
  });
  return lines.join("\n");
}

/** @param {string} text */
function clip(text) {
  const line = text.replace(/\s+/g, " ").trim();
  // A letter takes at most two of a string's units; one letter more than fits tells that it does
  // not.
  const letters = Array.from(line.slice(0, 2 * (TOOL_SUMMARY_CHARS_MAX + 1)));
  if (letters.length <= TOOL_SUMMARY_CHARS_MAX) return line;
  return `${letters.slice(0, TOOL_SUMMARY_CHARS_MAX - 1).join("")}…`;
}
