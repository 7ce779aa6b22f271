// Our messages on their way, and what is wrong with them.

import { element } from "./element.js";
import { problemNote } from "./log-view.js";

/**
 * @typedef {import("./conversation.js").Pending} Pending
 * @typedef {{ connected: boolean, busy: boolean }} Circumstances
 */

export class PendingView {
  /**
   * @param {HTMLElement} parent
   * @param {{ onRetry: (id: string) => void, onEdit: (id: string) => void }} actions
   */
  constructor(parent, actions) {
    this.parent = parent;
    this.actions = actions;
    this.shown = "";
  }

  /** @param {Pending[]} pending @param {Circumstances} circumstances */
  render(pending, circumstances) {
    const shown = JSON.stringify([pending, circumstances]);
    if (shown === this.shown) return;
    this.shown = shown;
    this.parent.replaceChildren(...pending.map((message) => this.#message(message, circumstances)));
  }

  /** @param {Pending} message @param {Circumstances} circumstances */
  #message(message, circumstances) {
    const node = element("article", { class: "message user", "aria-label": "You" });
    node.dataset.state = message.state;
    node.append(element("div", { class: "bubble" }, message.text));
    if (message.state !== "rejected") {
      node.append(element("p", { class: "meta" }, label(message.state, circumstances)));
      return node;
    }
    const again = element("button", { type: "button", class: "small" }, "Send again");
    const edit = element("button", { type: "button", class: "small" }, "Edit");
    again.addEventListener("click", () => this.actions.onRetry(message.id));
    edit.addEventListener("click", () => this.actions.onEdit(message.id));
    const note = problemNote(message.problem, "Not taken. ");
    note.append(element("span", { class: "actions" }, again, edit));
    node.append(note);
    return node;
  }
}

/** @param {"sending" | "accepted"} state @param {Circumstances} circumstances */
function label(state, { connected, busy }) {
  if (state === "accepted") return busy ? "queued" : "accepted";
  return connected ? "sending…" : "sent when connected";
}
