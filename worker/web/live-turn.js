// The turn that runs: what is streamed of it, and what it does. Pure, like conversation.js.
//
// Invariant: a turn that has ended does not come alive again, in whatever order its last frames
// come.

import { toolRuns } from "./tool-blocks.js";

/**
 * @typedef {import("./conversation.js").Conversation} Conversation
 * @typedef {{ model: string, reason: string, afterMs: number }} Retry
 * @typedef {{ turn: string, phase: string, text: string, thinking: string, stopping: boolean,
 *   retry: Retry | null }} Live `retry`: why nothing comes, until something does
 */

/** What the running turn does, in a few words; "" when none runs. @param {Conversation} state */
export function activity({ live, entries }) {
  if (!live) return "";
  if (live.stopping) return "Stopping…";
  if (live.retry) return retryText(live.retry);
  if (live.phase === "waiting") return "Waiting…";
  if (live.phase === "starting") return "Waking the container…";
  if (live.phase === "saving") return "Saving files…";
  if (live.phase === "recovering") return "The container was lost; a new one takes over…";
  if (live.text !== "") return "Writing…";
  if (live.thinking !== "") return "Thinking…";
  return toolRuns(entries, live.turn) ? "Using a tool…" : "Working…";
}

/** @param {Retry} retry */
function retryText({ model, reason, afterMs }) {
  const seconds = Math.ceil(afterMs / 1_000);
  const when = seconds > 0 ? ` again in ${seconds} s` : "";
  return `${reason} Asking ${model}${when}…`;
}

/** A person asked to stop the turn. @param {Conversation} state @returns {Conversation} */
export function stopRequested(state) {
  return state.live ? { ...state, live: { ...state.live, stopping: true } } : state;
}

/**
 * A record of the turn is in the log: it supersedes what was streamed.
 * @param {Conversation} state @param {string} turn @param {string} type @returns {Conversation}
 */
export function advance(state, turn, type) {
  if (type === "turn_ended") return ended(state, turn);
  if (turn === state.endedTurn) return state;
  const live = liveOf(state, turn);
  const phase = type === "user" ? live.phase : "working";
  return { ...state, live: { ...live, phase, text: "", thinking: "", retry: null } };
}

/** @param {Conversation} state @param {any} frame @returns {Conversation} */
export function progress(state, { turn, phase }) {
  if (turn === state.endedTurn) return state;
  return { ...state, live: { ...liveOf(state, turn), phase, retry: null } };
}

/**
 * @param {Conversation} state @param {string} turn
 * @param {{ text?: string, thinking?: string }} piece @returns {Conversation}
 */
export function streamed(state, turn, { text = "", thinking = "" }) {
  if (turn === state.endedTurn) return state;
  const live = liveOf(state, turn);
  const whole = { text: live.text + text, thinking: live.thinking + thinking };
  return { ...state, live: { ...live, ...whole, phase: "working", retry: null } };
}

/** @param {Conversation} state @param {string} turn @returns {Conversation} */
export function restarted(state, turn) {
  if (turn === state.endedTurn) return state;
  const live = liveOf(state, turn);
  return { ...state, live: { ...live, text: "", thinking: "", retry: null } };
}

/**
 * The model did not answer and is asked again, or another one is: what was streamed is void.
 * @param {Conversation} state @param {any} frame @returns {Conversation}
 */
export function retrying(state, { turn, model, reason, after_ms: afterMs }) {
  if (turn === state.endedTurn) return state;
  const live = { ...liveOf(state, turn), text: "", thinking: "", phase: "working" };
  return { ...state, live: { ...live, retry: { model, reason, afterMs } } };
}

/** @param {Conversation} state @param {string} turn @returns {Conversation} */
export function ended(state, turn) {
  return { ...state, endedTurn: turn, live: state.live?.turn === turn ? null : state.live };
}

/** @param {Conversation} state @param {string} turn @returns {Live} */
const liveOf = (state, turn) => (state.live?.turn === turn ? state.live : newLive(turn, "waiting"));

/** @param {string} turn @param {string} phase @returns {Live} */
export const newLive = (turn, phase) => ({
  turn,
  phase,
  text: "",
  thinking: "",
  stopping: false,
  retry: null,
});
