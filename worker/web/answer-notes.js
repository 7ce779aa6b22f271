// What the reader must know of an answer besides its words. Pure.

const STOP_NOTES = new Map([
  ["refusal", "The model declined to go on."],
  ["max_tokens", "Cut at the model's output limit; say “go on”."],
]);

/**
 * Notes to show below an answer, in order.
 * @param {{ stop: string, model: string, insteadOf: string | null }} entry @returns {string[]}
 */
export function answerNotes({ stop, model, insteadOf }) {
  const notes = [STOP_NOTES.get(stop) ?? ""];
  // Steps on the way to an answer need no such note: the answer has it.
  if (insteadOf !== null && stop !== "tool_use")
    notes.push(`Answered by ${model} (${insteadOf} did not answer).`);
  return notes.filter((note) => note !== "");
}
