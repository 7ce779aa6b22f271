// Keeps the end of the log in view for a reader who is at the end, and leaves any other reader
// alone.

import { AT_END_PX } from "./limits.js";

export class Follow {
  /** @param {HTMLElement} scroller @param {HTMLElement} jump the button that leads to the end */
  constructor(scroller, jump) {
    this.scroller = scroller;
    this.jump = jump;
    this.atEnd = true;
    this.last = 0;
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    jump.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.settle()).observe(scroller);
  }

  /** The content has changed. */
  settle() {
    if (this.atEnd) {
      this.scroller.scrollTop = this.scroller.scrollHeight;
      this.last = this.scroller.scrollTop;
    }
    this.jump.hidden = this.atEnd;
  }

  toEnd() {
    this.atEnd = true;
    this.settle();
  }

  /**
   * Changes the content above the reader without moving what is read.
   * @param {() => void} change
   */
  holding(change) {
    const fromEnd = this.scroller.scrollHeight - this.scroller.scrollTop;
    change();
    this.scroller.scrollTop = this.scroller.scrollHeight - fromEnd;
    this.last = this.scroller.scrollTop;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    const isNear = scrollHeight - scrollTop - clientHeight <= AT_END_PX;
    // Content that grows leaves the position as it is; only a person moves it up.
    if (isNear) this.atEnd = true;
    else if (scrollTop < this.last - 1) this.atEnd = false;
    this.last = scrollTop;
    this.jump.hidden = this.atEnd;
  }
}
