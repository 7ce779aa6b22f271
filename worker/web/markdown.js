// Markdown into the document: the only place where model text becomes elements.
//
// Invariants: what leaves here passed DOMPurify with the lists below; a link opens elsewhere and
// goes to http, https or mailto; an image comes from this origin or is inline data; nothing has a
// style, an id or a handler.

import DOMPurify from "dompurify";
import { element } from "./element.js";
import { settledLength, toHtml } from "./markdown-blocks.js";

const TAGS = [
  ..."a p br hr strong em del code pre blockquote ul ol li img".split(" "),
  ..."h1 h2 h3 h4 h5 h6 table thead tbody tr th td".split(" "),
];
const ATTRIBUTES = ["href", "title", "src", "alt", "start", "align", "class"];
const LINK = /^(?:https?:\/\/|mailto:)/i;
const INLINE_IMAGE = /^data:image\/(?:png|jpeg|gif|webp|avif);base64,/i;
const LANGUAGE = /^language-([\w+#.-]{1,30})$/;

const purify = DOMPurify();
purify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName !== "CODE") node.removeAttribute("class");
  if (node.tagName === "A") restrictLink(node);
  if (node.tagName === "IMG") restrictImage(node);
});

/**
 * A finished text.
 * @param {string} text
 * @returns {DocumentFragment}
 */
export function renderMarkdown(text) {
  const fragment = purify.sanitize(toHtml(text), {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
  fragment.querySelectorAll("pre").forEach(frameCode);
  fragment.querySelectorAll("table").forEach(frameTable);
  return fragment;
}

/** A text that grows: settled blocks are rendered once, only the last one again with each piece. */
export class GrowingMarkdown {
  /** @param {HTMLElement} parent */
  constructor(parent) {
    this.parent = parent;
    this.source = "";
    this.settled = 0;
    /** @type {ChildNode[]} */
    this.tail = [];
  }

  clear() {
    this.parent.replaceChildren();
    this.source = "";
    this.settled = 0;
    this.tail = [];
  }

  /**
   * Shows `text`; what does not begin with the text before it starts afresh.
   * @param {string} text
   */
  show(text) {
    if (text === this.source) return;
    if (!text.startsWith(this.source)) this.clear();
    const grewBy = text.slice(this.source.length);
    this.source = text;
    for (const node of this.tail) node.remove();
    const open = text.slice(this.settled);
    // Blocks settle at ends of lines only.
    const length = grewBy.includes("\n") ? settledLength(open) : 0;
    if (length > 0) {
      this.parent.append(renderMarkdown(open.slice(0, length)));
      this.settled += length;
    }
    const fragment = renderMarkdown(text.slice(this.settled));
    this.tail = [...fragment.childNodes];
    this.parent.append(fragment);
  }
}

/** @param {Element} link */
function restrictLink(link) {
  if (LINK.test(link.getAttribute("href") ?? "")) {
    link.setAttribute("target", "_blank");
    link.setAttribute("rel", "noopener noreferrer");
  } else {
    // A path of the workspace or a fragment leads nowhere here.
    link.removeAttribute("href");
  }
}

/** @param {Element} image */
function restrictImage(image) {
  const source = image.getAttribute("src") ?? "";
  if (INLINE_IMAGE.test(source) || isSameOrigin(source)) return;
  // Loading it would tell its server what was said. A link lets the reader decide.
  const label = `image: ${image.getAttribute("alt") || source}`;
  const link = element("a", {}, label);
  if (LINK.test(source)) link.setAttribute("href", source);
  restrictLink(link);
  image.replaceWith(link);
}

/** @param {string} source */
function isSameOrigin(source) {
  return (
    URL.canParse(source, location.href) && new URL(source, location.href).origin === location.origin
  );
}

/** @param {HTMLPreElement} pre */
function frameCode(pre) {
  const code = pre.querySelector("code");
  const language = LANGUAGE.exec(code?.className ?? "")?.[1] ?? "";
  const copy = element("button", { class: "copy", type: "button" }, "Copy");
  const frame = element(
    "div",
    { class: "code" },
    element("div", { class: "code-head" }, element("span", {}, language), copy),
  );
  pre.replaceWith(frame);
  pre.tabIndex = 0;
  frame.append(pre);
}

/** @param {HTMLTableElement} table */
function frameTable(table) {
  const frame = element("div", { class: "table", tabindex: "0" });
  table.replaceWith(frame);
  frame.append(table);
}
