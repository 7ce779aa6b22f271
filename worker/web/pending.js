// Messages on their way into the log. Pure, like conversation.js.
//
// Invariants: only what this page wrote is ever sent; what was accepted is sent again only when the
// agent does not know of it.

/**
 * @typedef {import("./conversation.js").Problem} Problem
 * @typedef {"sending" | "accepted" | "rejected"} PendingState
 * @typedef {{ id: string, text: string, state: PendingState, problem: Problem | null,
 *   isOurs: boolean }} Pending `isOurs`: written in this browser
 */

/** A message of ours that is still to be sent. @param {string} id @param {string} text */
export const newPending = (id, text) => ({
  id,
  text,
  state: /** @type {PendingState} */ ("sending"),
  problem: null,
  isOurs: true,
});

/**
 * @param {Pending[]} pending @param {string} id
 * @param {PendingState} state @param {Problem | null} problem
 * @returns {Pending[]}
 */
export function withState(pending, id, state, problem = null) {
  return pending.map((message) => (message.id === id ? { ...message, state, problem } : message));
}

/** @param {Pending[]} pending @param {string} id */
export const without = (pending, id) => pending.filter((message) => message.id !== id);

/**
 * Without the message that a record of the log holds. Ours came through the channel `web`; another
 * channel may use the same number for something else.
 * @param {Pending[]} pending @param {{ channel: string, event: string }} record
 */
export function withoutLogged(pending, { channel, event }) {
  return pending.filter((message) => message.id !== event || (message.isOurs && channel !== "web"));
}

/**
 * What is pending after the agent said which messages wait for their turn. One of ours that was
 * accepted and does not wait is in the log, or was never heard: it is sent again, which is safe,
 * since the same id is accepted once.
 * @param {Pending[]} pending @param {{ id: string, text: string }[]} queued
 * @returns {Pending[]}
 */
export function merged(pending, queued) {
  const waiting = new Set(queued.map((message) => message.id));
  const ours = pending
    .filter((message) => message.isOurs)
    .map((message) => {
      if (waiting.has(message.id)) return { ...message, state: ACCEPTED, problem: null };
      return message.state === "accepted" ? { ...message, state: SENDING } : message;
    });
  const known = new Set(ours.map((message) => message.id));
  const others = queued
    .filter((message) => !known.has(message.id))
    .map(({ id, text }) => ({ ...newPending(id, text), state: ACCEPTED, isOurs: false }));
  return [...others, ...ours];
}

const ACCEPTED = /** @type {PendingState} */ ("accepted");
const SENDING = /** @type {PendingState} */ ("sending");
