// Our messages that were not accepted yet, kept in the browser's storage so that a reload or a
// crash does not lose them.
//
// Invariant: one storage key per message, so that two tabs cannot overwrite each other's. A message
// that two tabs send has one id and is accepted once.

const PREFIX = "pagurus.unaccepted.";

/** @typedef {{ id: string, text: string }} Message */

export class Outbox {
  /** @param {Storage | null} storage null when the browser grants none @param {string} session */
  constructor(storage, session) {
    this.storage = storage;
    this.prefix = `${PREFIX}${session}/`;
  }

  /** What is kept, oldest first. An entry that cannot be read is left alone and not shown. */
  load() {
    const found = [];
    for (const key of this.#keys()) {
      const kept = parse(this.storage?.getItem(key) ?? null);
      if (kept) found.push({ id: key.slice(this.prefix.length), ...kept });
    }
    found.sort((one, other) => one.at - other.at || (one.id < other.id ? -1 : 1));
    return found.map(({ id, text }) => ({ id, text }));
  }

  /**
   * Keeps a message. Says false when the storage is full or forbidden.
   * @param {Message} message @param {number} now
   */
  keep({ id, text }, now) {
    if (!this.storage) return false;
    try {
      this.storage.setItem(this.prefix + id, JSON.stringify({ text, at: now }));
      return true;
    } catch {
      return false;
    }
  }

  /** The message is safe elsewhere, or not wanted any more. @param {string} id */
  forget(id) {
    this.storage?.removeItem(this.prefix + id);
  }

  #keys() {
    const count = this.storage?.length ?? 0;
    const keys = Array.from({ length: count }, (_, index) => this.storage?.key(index) ?? "");
    return keys.filter((key) => key.startsWith(this.prefix));
  }
}

/**
 * A storage of the browser, or null where its settings forbid it.
 * @param {"localStorage" | "sessionStorage"} name @returns {Storage | null}
 */
export function browserStorage(name) {
  try {
    return globalThis[name] ?? null;
  } catch {
    return null;
  }
}

/** @param {string | null} json @returns {{ text: string, at: number } | null} */
function parse(json) {
  try {
    const value = JSON.parse(json ?? "null");
    return typeof value?.text === "string" && typeof value?.at === "number" ? value : null;
  } catch {
    return null;
  }
}
