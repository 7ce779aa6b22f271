// The socket's life: connect, welcome, loss, wait, again. Sockets, clock and chance come from
// outside.
//
// Invariants: at most one socket is in use, and a socket that was given up is not heard any more;
// one timer runs at most for each purpose; a refusal ends all tries until a person asks again.

import { RETRY_FIRST_MS, RETRY_MAX_MS, STABLE_AFTER_MS, WELCOME_TIMEOUT_MS } from "./limits.js";

/** The close code that says: you are not allowed. Codes of the server's own are 4000 to 4999. */
const CLOSE_UNAUTHORIZED = 4401;
const CLOSE_OWN_FIRST = 4000;
const CLOSE_OWN_LAST = 4999;

/**
 * @typedef {"connecting" | "connected" | "waiting" | "refused"} StatusKind
 * @typedef {{ kind: StatusKind, reason: string }} Status
 * @typedef {{
 *   openSocket: () => WebSocket,
 *   probe: () => Promise<string>,
 *   hello: () => object,
 *   onFrame: (frame: any) => void,
 *   onGarbage: () => void,
 *   onStatus: (status: Status) => void,
 *   now: () => number,
 *   setTimer: (run: () => void, ms: number) => any,
 *   clearTimer: (timer: any) => void,
 *   random: () => number,
 * }} Ports `probe` says why the server refuses us, or "" when it does not
 */

export class Connection {
  /** @param {Ports} ports */
  constructor(ports) {
    this.ports = ports;
    /** @type {Status} */
    this.status = { kind: "waiting", reason: "" };
    /** @type {WebSocket | null} */
    this.socket = null;
    this.timer = null;
    this.failures = 0;
    this.welcomedAt = 0;
    this.probed = false;
  }

  /** Connects now, unless a socket is in use already. */
  connect() {
    if (!this.socket) this.#open();
  }

  /** Gives the socket up, if there is one, and connects now. */
  renew() {
    this.#abandon();
    this.#open();
  }

  /** The network is gone: gives the socket up and tries again with growing waits. */
  lose() {
    if (!this.socket) return;
    this.#abandon();
    this.#wait("");
  }

  /** Sends a frame if we are welcome; says whether it did. @param {object} frame */
  send(frame) {
    if (this.status.kind !== "connected" || !this.socket) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  #open() {
    this.#clearTimer();
    const socket = this.ports.openSocket();
    this.socket = socket;
    let opened = false;
    this.#setStatus("connecting", this.status.reason);
    this.timer = this.ports.setTimer(() => this.lose(), WELCOME_TIMEOUT_MS);
    socket.onopen = () => {
      opened = true;
      socket.send(JSON.stringify(this.ports.hello()));
    };
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => this.#closed(opened, event.code, event.reason);
  }

  /** @param {unknown} data */
  #receive(data) {
    let frame;
    try {
      frame = JSON.parse(String(data));
    } catch {
      this.ports.onGarbage();
      return;
    }
    if (frame.type === "welcome" && this.status.kind !== "connected") {
      this.#clearTimer();
      this.welcomedAt = this.ports.now();
      this.#setStatus("connected", "");
    }
    this.ports.onFrame(frame);
  }

  /** @param {boolean} opened @param {number} code @param {string} reason */
  #closed(opened, code, reason) {
    this.socket = null;
    if (code === CLOSE_UNAUTHORIZED) {
      this.#refuse(reason || "You are not allowed to talk to this agent.");
      return;
    }
    const isOwn = code >= CLOSE_OWN_FIRST && code <= CLOSE_OWN_LAST;
    this.#wait(isOwn ? reason : "");
    if (!opened) this.#askWhy();
  }

  /** A browser hides why a handshake failed. An ordinary request of the same route shows it. */
  #askWhy() {
    if (this.probed) return;
    this.probed = true;
    this.ports.probe().then((reason) => {
      this.probed = false;
      if (reason !== "" && this.status.kind !== "connected") {
        this.#abandon();
        this.#refuse(reason);
      }
    });
  }

  /** @param {string} reason */
  #refuse(reason) {
    this.#clearTimer();
    this.#setStatus("refused", reason);
  }

  /** @param {string} reason */
  #wait(reason) {
    const wasStable =
      this.status.kind === "connected" && this.ports.now() - this.welcomedAt >= STABLE_AFTER_MS;
    this.failures = wasStable ? 0 : this.failures;
    const delay = retryDelay(this.failures, this.ports.random());
    this.failures += 1;
    this.#clearTimer();
    this.#setStatus("waiting", reason);
    this.timer = this.ports.setTimer(() => this.#open(), delay);
  }

  #abandon() {
    this.#clearTimer();
    const socket = this.socket;
    this.socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #clearTimer() {
    this.ports.clearTimer(this.timer);
    this.timer = null;
  }

  /** @param {StatusKind} kind @param {string} reason */
  #setStatus(kind, reason) {
    this.status = { kind, reason };
    this.ports.onStatus(this.status);
  }
}

/**
 * How long to wait after so many failures: somewhere between the first wait and twice as much with
 * each failure, so that many pages do not come back in the same instant.
 * @param {number} failures @param {number} random from 0 to 1
 */
export function retryDelay(failures, random) {
  const most = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(failures + 1, 10));
  return RETRY_FIRST_MS + random * (most - RETRY_FIRST_MS);
}
