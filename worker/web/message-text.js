// What a text must be to travel as a message. Pure.

import { MESSAGE_TEXT_BYTES_MAX } from "./limits.js";

/**
 * What is wrong with a text as a message, or "".
 * @param {string} text @returns {string}
 */
export function refusal(text) {
  const bytes = new TextEncoder().encode(text).length;
  if (bytes <= MESSAGE_TEXT_BYTES_MAX) return "";
  const [has, most] = [bytes, MESSAGE_TEXT_BYTES_MAX].map((number) => number.toLocaleString("en"));
  return `This message has ${has} bytes; the most is ${most}. Shorten it, or send it in parts.`;
}

/**
 * A text whose every character has a UTF-8 form: a lone half of a pair would be refused as a frame.
 * @param {string} text
 */
export const wellFormed = (text) => new TextDecoder().decode(new TextEncoder().encode(text));
