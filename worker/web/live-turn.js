// The turn that runs: what is streamed of it, and what it does. Pure, like conversation.js.
//
// Invariant: a turn that has ended does not come alive again, in whatever order its last frames
// come.

import { toolRuns } from "./tool-blocks.js";

/**
 * @typedef {import("./conversation.js").Conversation} Conversation
 * @typedef {{ turn: string, phase: string, text: string, thinking: string, stopping: boolean
 *   }} Live
 */

/** What the running turn does, in a few words; "" when none runs. @param {Conversation} state */
export function activity({ live, entries }) {
  if (!live) return "";
  if (live.stopping) return "Stopping…";
  if (live.phase === "waiting") return "Waiting…";
  if (live.phase === "starting") return "Waking the container…";
  if (live.phase === "saving") return "Saving files…";
  if (live.phase === "recovering") return "The container was lost; a new one takes over…";
  if (live.text !== "") return "Writing…";
  if (live.thinking !== "") return "Thinking…";
  return toolRuns(entries, live.turn) ? "Using a tool…" : "Working…";
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
  return { ...state, live: { ...live, phase, text: "", thinking: "" } };
}

/** @param {Conversation} state @param {any} frame @returns {Conversation} */
export function progress(state, { turn, phase }) {
  return turn === state.endedTurn ? state : { ...state, live: { ...liveOf(state, turn), phase } };
}

/**
 * @param {Conversation} state @param {string} turn
 * @param {{ text?: string, thinking?: string }} piece @returns {Conversation}
 */
export function streamed(state, turn, { text = "", thinking = "" }) {
  if (turn === state.endedTurn) return state;
  const live = liveOf(state, turn);
  return {
    ...state,
    live: { ...live, phase: "working", text: live.text + text, thinking: live.thinking + thinking },
  };
}

/** @param {Conversation} state @param {string} turn @returns {Conversation} */
export function restarted(state, turn) {
  if (turn === state.endedTurn) return state;
  const live = liveOf(state, turn);
  return { ...state, live: { ...live, text: "", thinking: "" } };
}

/** @param {Conversation} state @param {string} turn @returns {Conversation} */
export function ended(state, turn) {
  return { ...state, endedTurn: turn, live: state.live?.turn === turn ? null : state.live };
}

/** @param {Conversation} state @param {string} turn @returns {Live} */
const liveOf = (state, turn) => (state.live?.turn === turn ? state.live : newLive(turn, "waiting"));

/** @param {string} turn @param {string} phase @returns {Live} */
export const newLive = (turn, phase) => ({ turn, phase, text: "", thinking: "", stopping: false });
