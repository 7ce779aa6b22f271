// The parts of an answer as elements: text, thinking, tool calls.
//
// Invariant: a view keeps its element for its whole life, so that an update folds nothing, moves no
// focus and loses no selection.

import { element } from "./element.js";
import { TOOL_TEXT_CHARS_MAX } from "./limits.js";
import { renderMarkdown } from "./markdown.js";
import { TOOL_STATE_LABELS } from "./tool-blocks.js";

/**
 * @typedef {import("./conversation.js").Block} Block
 * @typedef {import("./tool-blocks.js").ToolBlock} ToolBlock
 * @typedef {{ node: HTMLElement, block: Block, update: (block: Block) => void }} BlockView
 */

/** @param {Block} block @param {{ thinkingOpen: boolean }} options @returns {BlockView} */
export function blockView(block, { thinkingOpen }) {
  if (block.kind === "tool") return toolView(block);
  const node = still(block, thinkingOpen);
  return { node, block, update() {} };
}

/** @param {Exclude<Block, ToolBlock>} block @param {boolean} thinkingOpen */
function still(block, thinkingOpen) {
  switch (block.kind) {
    case "thinking": {
      const { fold, body } = thinkingFold();
      body.textContent = block.text;
      fold.open = thinkingOpen;
      return fold;
    }
    case "redacted":
      return element("p", { class: "quiet" }, "Thinking that the provider does not show.");
    default:
      return element("div", { class: "prose" }, renderMarkdown(block.text));
  }
}

/** An empty fold for thinking. */
export function thinkingFold() {
  const body = element("div", { class: "fold-body thought" });
  const fold = element("details", { class: "fold" }, element("summary", {}, "Thinking"), body);
  return { fold, body };
}

/** @param {ToolBlock} first @returns {BlockView} */
function toolView(first) {
  const name = element("span", { class: "tool-name" });
  const line = element("span", { class: "tool-line" });
  const state = element("span", { class: "tool-state" });
  const body = element("div", { class: "fold-body" });
  const summary = element("summary", {}, name, line, state);
  const node = element("details", { class: "fold tool" }, summary, body);
  /** @type {BlockView} */
  const view = {
    node,
    block: first,
    update(block) {
      view.block = block;
      const tool = /** @type {ToolBlock} */ (block);
      name.textContent = tool.name;
      line.textContent = tool.summary;
      state.textContent = TOOL_STATE_LABELS[tool.state] ?? tool.state;
      node.dataset.state = tool.state;
      if (node.open) body.replaceChildren(...details(tool));
    },
  };
  // What stays folded costs nothing: outputs can be large and many.
  node.addEventListener("toggle", () => {
    body.replaceChildren(...(node.open ? details(/** @type {ToolBlock} */ (view.block)) : []));
  });
  view.update(first);
  return view;
}

/** @param {ToolBlock} tool */
function details({ input, output, state, duration }) {
  const parts = [];
  if (input !== "") parts.push(...labelled("Arguments", input));
  if (output !== null) parts.push(...labelled("Output", output === "" ? "(nothing)" : output));
  if (state === "interrupted") {
    parts.push(
      element(
        "p",
        { class: "quiet" },
        "Its end was never seen; it may or may not have had its effect.",
      ),
    );
  }
  if (duration !== null)
    parts.push(element("p", { class: "quiet" }, `Took ${durationText(duration)}.`));
  return parts;
}

/** @param {string} label @param {string} text */
function labelled(label, text) {
  const rest = text.length - TOOL_TEXT_CHARS_MAX;
  const parts = [
    element("p", { class: "label" }, label),
    element("pre", { tabindex: "0" }, text.slice(0, TOOL_TEXT_CHARS_MAX)),
  ];
  if (rest > 0) {
    parts.push(
      element(
        "p",
        { class: "quiet" },
        `${rest.toLocaleString("en")} more characters are in the log.`,
      ),
    );
  }
  return parts;
}

/** @param {number} ms */
export function durationText(ms) {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1_000)} s`;
}
