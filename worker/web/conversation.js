// What the page knows of a conversation: frames in, view model out. No document, no clock, no I/O.
//
// Invariants: a state is never changed, each function returns the next one, and what did not change
// keeps its identity (the view compares by it). A record is applied once, in the order of the log.
// A message of ours is in `pending` until its record is in `entries`, never in both, never in
// neither.

import { ENTRIES_KEPT_MAX, ENTRIES_KEPT_SLACK } from "./limits.js";
import {
  advance,
  ended,
  newLive,
  progress,
  restarted,
  retrying,
  streamed,
} from "./live-turn.js";
import { merged, newPending, without, withoutLogged, withState } from "./pending.js";
import { closeTools, markFinished, markStarted, toolBlock } from "./tool-blocks.js";

export { activity, stopRequested } from "./live-turn.js";

/**
 * @typedef {{ code: string, message: string, remedy?: string }} Problem
 * @typedef {{ kind: "text" | "thinking", text: string }} TextBlock
 * @typedef {{ kind: "redacted" }} RedactedBlock
 * @typedef {import("./tool-blocks.js").ToolBlock} ToolBlock
 * @typedef {TextBlock | RedactedBlock | ToolBlock} Block
 * @typedef {{ key: string, turn: string, at: number }} Place where an entry stands, and since when
 * @typedef {Place & { kind: "user", channel: string, text: string }} UserEntry
 * @typedef {Place & { kind: "assistant", blocks: Block[], stop: string, model: string,
 *   insteadOf: string | null }} AssistantEntry
 * @typedef {Place & { kind: "ended", result: string, problem: Problem | null,
 *   summary: TurnSummary | null }} EndedEntry
 * @typedef {Place & { kind: "files", problem: Problem | null }} FilesEntry
 * @typedef {Place & { kind: "notice", asked: string, text: string }} NoticeEntry
 * @typedef {Place & { kind: "unknown", type: string }} UnknownEntry
 * @typedef {UserEntry | AssistantEntry | EndedEntry | FilesEntry | NoticeEntry
 *   | UnknownEntry} Entry
 * @typedef {{ turn: string, since: number, model: string, input: number, output: number
 *   }} TurnSummary
 * @typedef {import("./pending.js").Pending} Pending
 * @typedef {import("./live-turn.js").Live} Live
 * @typedef {{
 *   session: string, sequence: number, head: number, welcomed: boolean, broken: boolean,
 *   model: string, problems: Problem[], notices: Problem[], entries: Entry[], isCut: boolean,
 *   pending: Pending[], live: Live | null, endedTurn: string, summary: TurnSummary | null
 * }} Conversation
 */

/**
 * A conversation of which nothing is known but our own messages that were not accepted yet.
 * @param {string} session
 * @param {{ id: string, text: string }[]} unaccepted
 * @returns {Conversation}
 */
export function emptyConversation(session, unaccepted = []) {
  return {
    session,
    sequence: 0,
    head: 0,
    welcomed: false,
    broken: false,
    model: "",
    problems: [],
    notices: [],
    entries: [],
    isCut: false,
    pending: unaccepted.map(({ id, text }) => newPending(id, text)),
    live: null,
    endedTurn: "",
    summary: null,
  };
}

/**
 * The next state after a frame of the server.
 * @param {Conversation} state
 * @param {any} frame
 * @returns {Conversation}
 */
export function apply(state, frame) {
  switch (frame.type) {
    case "welcome":
      return welcome(state, frame);
    case "record":
      return record(state, frame.record);
    case "accepted":
      return { ...state, pending: withState(state.pending, frame.id, "accepted") };
    case "rejected":
      return rejected(state, frame);
    case "progress":
      return progress(state, frame);
    case "text":
      return streamed(state, frame.turn, { text: frame.text });
    case "thinking":
      return streamed(state, frame.turn, { thinking: frame.text });
    case "restarted":
      return restarted(state, frame.turn);
    case "retrying":
      return retrying(state, frame);
    case "ended":
      return ended(state, frame.turn);
    case "notice":
      return answered(state, frame);
    case "answer":
      // Its text is in the log.
      return state;
    default:
      return notice(state, tooOld(`a frame of the kind “${frame.type}”`));
  }
}

/** Have all records arrived that the log had when we were welcomed? @param {Conversation} state */
export const caughtUp = (state) => state.welcomed && state.sequence >= state.head;

/** Messages to send now, in the order in which they were written. @param {Conversation} state */
export const unsent = (state) => state.pending.filter((message) => message.state === "sending");

/** Does the built-in demonstration answer? @param {Conversation} state */
export const isDemo = (state) => state.model.startsWith("demo/");

/**
 * A person wrote.
 * @param {Conversation} state @param {string} id @param {string} text @returns {Conversation}
 */
export function submit(state, id, text) {
  return { ...state, pending: [...state.pending, newPending(id, text)] };
}

/**
 * Sends a rejected message again.
 * @param {Conversation} state @param {string} id @returns {Conversation}
 */
export function retry(state, id) {
  return { ...state, pending: withState(state.pending, id, "sending") };
}

/**
 * Forgets a message that was not accepted.
 * @param {Conversation} state @param {string} id @returns {Conversation}
 */
export function discard(state, id) {
  return { ...state, pending: without(state.pending, id) };
}

/** The socket is gone: what we asked on it may not have been heard. @param {Conversation} state */
export function disconnected(state) {
  const live = state.live && { ...state.live, stopping: false };
  return { ...state, welcomed: false, broken: false, live };
}

/**
 * Something to tell that belongs to no message.
 * @param {Conversation} state @param {Problem} problem
 */
export function notice(state, problem) {
  const known = state.notices.some((other) => other.message === problem.message);
  return known ? state : { ...state, notices: [...state.notices, problem] };
}

/** The notices were read. @param {Conversation} state @returns {Conversation} */
export const dismissNotices = (state) => ({ ...state, notices: [] });

/** @param {Conversation} state @param {any} frame @returns {Conversation} */
function welcome(state, frame) {
  if (frame.head < state.sequence) {
    // The log is shorter than what we show: it is another log, and ours has to be read anew.
    return { ...emptyConversation(state.session), pending: state.pending, broken: true };
  }
  const { turn } = frame;
  return {
    ...state,
    welcomed: true,
    head: frame.head,
    model: frame.model,
    problems: frame.problems ?? [],
    pending: merged(state.pending, frame.queued),
    live: turn
      ? { ...newLive(turn.turn, turn.phase), text: turn.text, thinking: turn.thinking }
      : null,
  };
}

/** @param {Conversation} state @param {any} record @returns {Conversation} */
function record(state, { sequence, at_ms: at, turn, item }) {
  if (sequence <= state.sequence) return state;
  const replayed = sequence <= state.head;
  if (!replayed && sequence !== state.sequence + 1) return { ...state, broken: true };
  const context = { key: `r${sequence}`, turn, at };
  const summed = { ...state, sequence, summary: summarise(state.summary, context, item) };
  const next = cut(append(summed, context, item));
  // What a welcome says of the running turn came after the records that the welcome announced.
  return replayed ? next : advance(next, turn, item.type);
}

/**
 * @param {Conversation} state @param {Place} context
 * @param {any} item @returns {Conversation}
 */
function append(state, context, item) {
  switch (item.type) {
    case "user": {
      const { channel, text, event } = item;
      const pending = withoutLogged(state.pending, { channel, event });
      const entry = { kind: /** @type {const} */ ("user"), ...context, channel, text };
      return { ...state, pending, entries: [...state.entries, entry] };
    }
    case "assistant": {
      const { stop, model, instead_of: insteadOf = null } = item;
      const blocks = item.blocks.map(block);
      const entry = { kind: /** @type {const} */ ("assistant"), ...context, blocks, stop, model };
      return { ...state, entries: [...state.entries, { ...entry, insteadOf }] };
    }
    case "tool_started":
      return { ...state, entries: markStarted(state.entries, context, item) };
    case "tool_finished":
      return { ...state, entries: markFinished(state.entries, context, item) };
    case "files_saved":
      return state;
    case "files_lost":
    case "files_unsaved": {
      const { problem = null } = item;
      const entry = { kind: /** @type {const} */ ("files"), ...context, problem };
      return { ...state, entries: [...state.entries, entry] };
    }
    case "turn_ended": {
      const { result, problem = null } = item.outcome;
      const entry = {
        kind: /** @type {const} */ ("ended"),
        ...context,
        result,
        problem,
        summary: state.summary,
      };
      return {
        ...state,
        entries: [...closeTools(state.entries, context.turn), entry],
        summary: null,
      };
    }
    default:
      return {
        ...state,
        entries: [...state.entries, { kind: "unknown", ...context, type: item.type }],
      };
  }
}

/**
 * Lets the oldest entries go when there are too many.
 * @param {Conversation} state @returns {Conversation}
 */
function cut(state) {
  if (state.entries.length <= ENTRIES_KEPT_MAX + ENTRIES_KEPT_SLACK) return state;
  return { ...state, entries: state.entries.slice(-ENTRIES_KEPT_MAX), isCut: true };
}

/** @param {any} wire @returns {Block} */
function block(wire) {
  switch (wire.type) {
    case "tool_call":
      return toolBlock(wire.call, wire.name, wire.arguments);
    case "thinking":
      return wire.text === "" ? { kind: "redacted" } : { kind: "thinking", text: wire.text };
    case "redacted_thinking":
      return { kind: "redacted" };
    case "text":
      return { kind: "text", text: wire.text };
    default:
      return { kind: "text", text: tooOld(`a block of the kind “${wire.type}”`).message };
  }
}

/**
 * @param {TurnSummary | null} summary @param {{ turn: string, at: number }} context
 * @param {any} item @returns {TurnSummary}
 */
function summarise(summary, { turn, at }, item) {
  const current =
    summary?.turn === turn ? summary : { turn, since: at, model: "", input: 0, output: 0 };
  if (item.type !== "assistant") return current;
  const {
    input_tokens = 0,
    output_tokens = 0,
    cache_read_tokens = 0,
    cache_write_tokens = 0,
  } = item.usage;
  return {
    ...current,
    model: item.model,
    input: current.input + input_tokens + cache_read_tokens + cache_write_tokens,
    output: current.output + output_tokens,
  };
}

/**
 * A command of ours was answered. The answer is no part of the conversation: it is gone with the
 * page.
 * @param {Conversation} state @param {any} frame @returns {Conversation}
 */
function answered(state, { id, text }) {
  const key = `n${id}`;
  if (state.entries.some((entry) => entry.key === key)) return state;
  const asked = state.pending.find((message) => message.id === id)?.text ?? "";
  const place = { key, turn: "", at: 0 };
  const entry = { kind: /** @type {const} */ ("notice"), ...place, asked, text };
  return { ...state, pending: without(state.pending, id), entries: [...state.entries, entry] };
}

/** @param {Conversation} state @param {any} frame @returns {Conversation} */
function rejected(state, { id, problem }) {
  const ours = state.pending.some((message) => message.id === id);
  if (!ours) return notice(state, problem);
  return { ...state, pending: withState(state.pending, id, "rejected", problem) };
}

/** @param {string} what @returns {Problem} */
const tooOld = (what) => ({
  code: "unsupported_protocol",
  message: `The agent sent ${what}, which this page does not know.`,
  remedy: "Reload the page to get its newest version.",
});
