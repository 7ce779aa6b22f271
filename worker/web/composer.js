// The field in which a person writes.
//
// Invariant: what was written leaves the field only when it was handed over, or by the person's
// hand.

import { refusal, wellFormed } from "./message-text.js";

export class Composer {
  /**
   * @param {{ form: HTMLFormElement, field: HTMLTextAreaElement, note: HTMLElement }} parts
   * @param {{ onSend: (text: string) => string, draft: Draft }} ports `onSend` gives "" when it has
   *   taken the text, else why not
   *
   * @typedef {{ load: () => string, save: (text: string) => void }} Draft
   */
  constructor({ form, field, note }, { onSend, draft }) {
    this.field = field;
    this.note = note;
    this.onSend = onSend;
    this.draft = draft;
    field.value = draft.load();
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    field.addEventListener("input", () => this.#changed());
    field.addEventListener("keydown", (event) => this.#key(event));
    this.#changed();
  }

  /** Puts a text back for editing, before what is there. @param {string} text */
  restore(text) {
    this.field.value = this.field.value === "" ? text : `${text}\n${this.field.value}`;
    this.#changed();
    this.field.focus();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    // 229 is what browsers report for keys that an input method consumes.
    const composing = event.isComposing || event.keyCode === 229;
    if (event.key !== "Enter" || event.shiftKey || composing) return;
    event.preventDefault();
    this.#send();
  }

  #send() {
    const text = wellFormed(this.field.value);
    if (text.trim() === "") {
      this.field.focus();
      return;
    }
    const problem = refusal(text) || this.onSend(text);
    this.#tell(problem);
    if (problem !== "") return;
    this.field.value = "";
    this.#changed();
    this.field.focus();
  }

  #changed() {
    const { field } = this;
    this.draft.save(field.value);
    field.style.height = "auto";
    // The border is not part of scrollHeight. The style sheet bounds the height.
    field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
    this.#tell(refusal(field.value));
  }

  /** @param {string} problem */
  #tell(problem) {
    this.note.textContent = problem;
    this.note.hidden = problem === "";
    this.field.setAttribute("aria-invalid", String(problem !== ""));
  }
}
