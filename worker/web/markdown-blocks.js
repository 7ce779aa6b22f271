// Markdown to HTML text, and where streamed Markdown has settled. No document.
//
// Invariants: the HTML holds only elements that Markdown itself has; tags in the source stay text.
// It is still not trusted: markdown.js cleans it before it enters the document.

import { Marked } from "marked";

// The page's own heading is h1; a message's begin below it.
const HEADING_SHIFT = 1;
const HEADING_MAX = 6;
const LINE_BREAK = /^<br\s*\/?>/i;

const marked = new Marked({
  gfm: true,
  tokenizer: {
    html: () => undefined,
    // Models break lines in table cells this way, and Markdown has no other.
    tag(source) {
      const found = LINE_BREAK.exec(source);
      return found ? /** @type {any} */ ({ type: "br", raw: found[0] }) : undefined;
    },
  },
  renderer: {
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
    heading({ tokens, depth }) {
      const level = Math.min(depth + HEADING_SHIFT, HEADING_MAX);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>\n`;
    },
  },
});

/** @param {string} text @returns {string} */
export const toHtml = (text) => /** @type {string} */ (marked.parse(text));

/**
 * How many characters at the start of a text that is still growing are blocks that will not change
 * any more. Only whole lines count, and the last block always may go on.
 * (A link definition further down can still change a settled block. The stream shows such a link as
 * it was written; the finished message is rendered as a whole and shows it right.)
 * @param {string} text
 * @returns {number}
 */
export function settledLength(text) {
  const lines = text.slice(0, text.lastIndexOf("\n") + 1);
  const tokens = marked.lexer(lines);
  const last = tokens.findLastIndex((token) => token.type !== "space");
  if (last < 1) return 0;
  const settled = tokens
    .slice(0, last)
    .map((token) => token.raw)
    .join("");
  return lines.startsWith(settled) ? settled.length : 0;
}
