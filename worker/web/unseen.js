// How many answers came while nobody looked, told in the title of the tab.
//
// Invariant: an answer counts once, however often it is offered.

export class Unseen {
  /** @param {{ isHidden: () => boolean, setTitle: (title: string) => void }} ports
   *  @param {string} title */
  constructor(ports, title) {
    this.ports = ports;
    this.title = title;
    /** @type {Set<string>} */
    this.turns = new Set();
  }

  /** An answer is there. @param {string} turn */
  note(turn) {
    if (!this.ports.isHidden()) return;
    this.turns.add(turn);
    this.#show();
  }

  /** The page is looked at. */
  clear() {
    this.turns.clear();
    this.#show();
  }

  #show() {
    const count = this.turns.size;
    this.ports.setTitle(count === 0 ? this.title : `(${count}) ${this.title}`);
  }
}
