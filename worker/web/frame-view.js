// What surrounds the log: the connection, the model, what is wrong with the settings, the stop
// button.

import { isDemo } from "./conversation.js";
import { byId, element } from "./element.js";

/**
 * @typedef {import("./conversation.js").Conversation} Conversation
 * @typedef {import("./conversation.js").Problem} Problem
 * @typedef {import("./connection.js").Status} Status
 * @typedef {{ onDismiss: () => void, onTryAgain: () => void, onExample: (text: string) => void,
 *   onStop: () => void }} Actions
 */

/** What the demonstration understands. */
const DEMO_EXAMPLES = ["Hello, who are you?", "run uname -a"];

export class FrameView {
  /** @param {Actions} actions */
  constructor(actions) {
    this.actions = actions;
    this.status = byId("status", HTMLElement);
    this.model = byId("model", HTMLElement);
    this.demo = byId("demo", HTMLDetailsElement);
    this.session = byId("session", HTMLElement);
    this.banner = byId("banner", HTMLElement);
    this.empty = byId("empty", HTMLElement);
    this.examples = byId("examples", HTMLElement);
    this.cut = byId("cut", HTMLElement);
    this.stop = byId("stop", HTMLButtonElement);
    this.bannerShown = "";
    this.stop.addEventListener("click", () => actions.onStop());
    const buttons = DEMO_EXAMPLES.map((text) => {
      const button = element("button", { type: "button", class: "small" }, text);
      button.addEventListener("click", () => actions.onExample(text));
      return button;
    });
    this.examples.append(...buttons);
  }

  /** @param {Conversation} state @param {Status} status */
  render(state, status) {
    const demo = isDemo(state);
    this.#showStatus(status);
    this.demo.hidden = !demo;
    this.model.hidden = demo || state.model === "";
    this.model.textContent = state.model;
    this.model.title = state.model;
    this.session.hidden = state.session === "web";
    this.session.textContent = `#${state.session}`;
    const isEmpty = state.entries.length === 0 && state.pending.length === 0 && !state.live;
    this.empty.hidden = !(isEmpty && state.welcomed && state.head === 0);
    this.examples.hidden = !demo;
    this.cut.hidden = !state.isCut;
    this.stop.hidden = state.live === null;
    this.stop.disabled = state.live?.stopping === true || status.kind !== "connected";
    this.#showBanner(state, status);
  }

  /** @param {Status} status */
  #showStatus({ kind }) {
    const text = statusText(kind, navigator.onLine);
    if (this.status.textContent === text) return;
    this.status.textContent = text;
    this.status.dataset.kind = kind;
  }

  /** @param {Conversation} state @param {Status} status */
  #showBanner({ problems, notices }, { kind, reason }) {
    const shown = JSON.stringify([problems, notices, kind === "refused", reason]);
    if (shown === this.bannerShown) return;
    this.bannerShown = shown;
    /** @type {HTMLElement[]} */
    const lines = [...problems, ...notices].map(problemLine);
    if (reason !== "") lines.unshift(element("p", {}, reason));
    if (notices.length > 0) lines.push(button("Dismiss", this.actions.onDismiss));
    if (kind === "refused") lines.push(button("Try again", this.actions.onTryAgain));
    this.banner.replaceChildren(...lines);
    this.banner.hidden = lines.length === 0;
  }
}

/** @param {Status["kind"]} kind @param {boolean} onLine what the browser believes of the network */
function statusText(kind, onLine) {
  if (kind === "waiting") return onLine ? "connecting…" : "offline";
  return { connecting: "connecting…", connected: "connected", refused: "not connected" }[kind];
}

/** @param {Problem} problem */
function problemLine({ message, remedy }) {
  const line = element("p", {}, message);
  if (remedy) line.append(" ", element("span", { class: "remedy" }, remedy));
  return line;
}

/** @param {string} label @param {() => void} onClick */
function button(label, onClick) {
  const node = element("button", { type: "button", class: "small" }, label);
  node.addEventListener("click", onClick);
  return node;
}
