// The running turn: what is streamed, and what it does.
//
// Invariant: it renders at most once per animation frame, and rests after a costly rendering.

import { thinkingFold } from "./block-view.js";
import { element } from "./element.js";
import { LIVE_REST_FACTOR, LIVE_REST_MAX_MS } from "./limits.js";
import { GrowingMarkdown } from "./markdown.js";

export class LiveView {
  /** @param {HTMLElement} parent @param {HTMLElement} activity @param {HTMLElement} activityText */
  constructor(parent, activity, activityText) {
    const { fold, body } = thinkingFold();
    const prose = element("div", { class: "prose" });
    this.parent = parent;
    this.activity = activity;
    this.activityText = activityText;
    this.thinking = fold;
    this.thought = body;
    this.markdown = new GrowingMarkdown(prose);
    this.restUntil = 0;
    fold.hidden = true;
    parent.append(fold, prose);
    this.#showStream(null);
  }

  /** Has the reader unfolded the thinking that is going on? */
  get thinkingOpen() {
    return !this.thinking.hidden && this.thinking.open;
  }

  /**
   * Shows the turn. Says whether it must be called again although nothing new comes.
   * @param {import("./conversation.js").Live | null} live @param {string} activity
   */
  render(live, activity) {
    this.activity.hidden = activity === "";
    if (this.activityText.textContent !== activity) this.activityText.textContent = activity;
    const start = performance.now();
    const grows = live !== null && live.text.length > this.markdown.source.length;
    if (grows && start < this.restUntil) return true;
    this.#showStream(live);
    const cost = performance.now() - start;
    this.restUntil = start + cost + Math.min(cost * LIVE_REST_FACTOR, LIVE_REST_MAX_MS);
    return false;
  }

  /** @param {import("./conversation.js").Live | null} live */
  #showStream(live) {
    const thinking = live?.thinking ?? "";
    if (this.thought.textContent !== thinking) this.#showThinking(thinking);
    this.markdown.show(live?.text ?? "");
    this.parent.hidden = this.thinking.hidden && this.markdown.source === "";
  }

  /** @param {string} thinking */
  #showThinking(thinking) {
    this.thought.textContent = thinking;
    this.thinking.hidden = thinking === "";
    if (thinking === "") this.thinking.open = false;
  }
}
