// The log's entries as elements, the newest of them.
//
// Invariants: the elements are those of `entries[start…]` in order; an entry whose object did not
// change is not touched.

import { answerNotes } from "./answer-notes.js";
import { blockView, durationText } from "./block-view.js";
import { element } from "./element.js";
import { ENTRIES_SHOWN_FIRST, ENTRIES_SHOWN_STEP } from "./limits.js";
import { renderMarkdown } from "./markdown.js";

/**
 * @typedef {import("./conversation.js").Entry} Entry
 * @typedef {import("./conversation.js").AssistantEntry} AssistantEntry
 * @typedef {import("./block-view.js").BlockView} BlockView
 * @typedef {{ entry: Entry, node: HTMLElement, blocks: BlockView[] }} EntryView
 */

export class LogView {
  /**
   * @param {HTMLElement} parent @param {HTMLElement} earlier the button that shows older entries
   */
  constructor(parent, earlier) {
    this.parent = parent;
    this.earlier = earlier;
    /** @type {EntryView[]} */
    this.views = [];
    /** @type {Entry[]} */
    this.entries = [];
    this.start = 0;
  }

  /**
   * @param {Entry[]} entries
   * @param {{ thinkingOpen: boolean, atEnd: boolean }} options `atEnd`: older ones may leave
   */
  render(entries, options) {
    if (entries === this.entries) return;
    this.#align(entries);
    this.entries = entries;
    for (const [index, view] of this.views.entries())
      update(view, entries[this.start + index], options);
    const added = entries
      .slice(this.start + this.views.length)
      .map((entry) => create(entry, options));
    this.views.push(...added);
    this.parent.append(...added.map((view) => view.node));
    if (options.atEnd) this.#leave();
    this.earlier.hidden = this.start === 0;
  }

  get isEmpty() {
    return this.views.length === 0;
  }

  /** Puts older entries before those that are shown. */
  showEarlier() {
    const start = Math.max(0, this.start - ENTRIES_SHOWN_STEP);
    const options = { thinkingOpen: false };
    const added = this.entries.slice(start, this.start).map((entry) => create(entry, options));
    this.start = start;
    this.views.unshift(...added);
    this.parent.prepend(...added.map((view) => view.node));
    this.earlier.hidden = start === 0;
  }

  /** Finds the shown entries in the next list: the oldest may have left, or all may be others.
   *  @param {Entry[]} entries */
  #align(entries) {
    const first = this.views[0]?.entry.key;
    if (first !== undefined && entries[this.start]?.key === first) return;
    const place = entries.findIndex((entry) => entry.key === first);
    if (place >= 0) {
      this.start = place;
      return;
    }
    this.views = [];
    this.start = Math.max(0, entries.length - ENTRIES_SHOWN_FIRST);
    this.parent.replaceChildren();
  }

  #leave() {
    const excess = this.views.length - ENTRIES_SHOWN_FIRST - ENTRIES_SHOWN_STEP;
    if (excess <= 0) return;
    for (const view of this.views.splice(0, excess)) view.node.remove();
    this.start += excess;
  }
}

/** @param {Entry} entry @param {{ thinkingOpen: boolean }} options @returns {EntryView} */
function create(entry, options) {
  switch (entry.kind) {
    case "user":
      return { entry, node: userMessage(entry), blocks: [] };
    case "assistant": {
      const node = element("article", { class: "message agent", "aria-label": "Agent" });
      /** @type {EntryView} */
      const view = { entry: { ...entry, blocks: [] }, node, blocks: [] };
      for (const note of answerNotes(entry))
        node.append(element("p", { class: "quiet" }, note));
      update(view, entry, options);
      return view;
    }
    case "ended":
      return { entry, node: endMark(entry), blocks: [] };
    case "notice": {
      const asked = element("p", { class: "meta" }, entry.asked);
      const answer = element("div", { class: "prose" });
      answer.append(renderMarkdown(entry.text));
      const label = { class: "notice", "aria-label": "Answer to a command" };
      return { entry, node: element("aside", label, asked, answer), blocks: [] };
    }
    case "files":
      return { entry, node: filesNote(entry), blocks: [] };
    default: {
      const text = `The log holds a record of the kind “${entry.type}”. Reload the page to see it.`;
      return { entry, node: element("p", { class: "quiet" }, text), blocks: [] };
    }
  }
}

/** @param {EntryView} view @param {Entry} entry @param {{ thinkingOpen: boolean }} options */
function update(view, entry, options) {
  if (entry === view.entry || entry.kind !== "assistant") return;
  for (const [index, block] of entry.blocks.entries()) {
    const known = view.blocks[index];
    if (!known) {
      const added = blockView(block, options);
      // Notes, if any, stay last.
      view.node.insertBefore(added.node, view.node.children[index] ?? null);
      view.blocks.push(added);
    } else if (known.block !== block) {
      known.update(block);
    }
  }
  view.entry = entry;
}

/** @param {import("./conversation.js").UserEntry} entry */
function userMessage({ text, channel, at }) {
  const origin = channel === "web" ? "" : ` · ${channel}`;
  const meta = element("p", { class: "meta" }, timeElement(at), origin);
  const bubble = element("div", { class: "bubble" }, text);
  return element("article", { class: "message user", "aria-label": "You" }, bubble, meta);
}

/** @param {import("./conversation.js").EndedEntry} entry */
function endMark({ result, problem, summary, at }) {
  if (result === "failed") return problemNote(problem);
  const parts = [summary?.model ?? ""];
  if (summary) {
    parts.push(durationText(Math.max(0, at - summary.since)));
    if (summary.input + summary.output > 0) {
      parts.push(`${count(summary.input)} tokens in, ${count(summary.output)} out`);
    }
  }
  const facts = parts.filter((part) => part !== "").join(" · ");
  if (result === "completed") return element("p", { class: "meta end" }, facts);
  const word = result === "cancelled" ? "Stopped" : result;
  return element(
    "p",
    { class: "meta end" },
    element("strong", {}, word),
    facts === "" ? "" : ` · ${facts}`,
  );
}

/** @param {import("./conversation.js").FilesEntry} entry */
function filesNote({ problem }) {
  if (problem) return problemNote(problem, "Changed files are not saved yet. ");
  const text = "The container was lost before the last changes to files were saved; the agent was told.";
  return element("p", { class: "quiet" }, text);
}

/** @param {import("./conversation.js").Problem | null} problem @param {string} [lead] */
export function problemNote(problem, lead = "This did not work. ") {
  const node = element("div", { class: "problem" }, element("strong", {}, lead));
  node.append(problem?.message ?? "The agent gave no reason.");
  if (problem?.remedy) node.append(element("span", { class: "remedy" }, problem.remedy));
  return node;
}

const count = (/** @type {number} */ number) => number.toLocaleString("en");

/** @param {number} at */
function timeElement(at) {
  const date = new Date(at);
  const isToday = date.toDateString() === new Date().toDateString();
  const clock = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const text = isToday ? clock : `${date.toLocaleDateString()} ${clock}`;
  return element("time", { datetime: date.toISOString(), title: date.toLocaleString() }, text);
}
