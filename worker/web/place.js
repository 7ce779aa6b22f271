// Where the page is: which conversation, which socket, and whether it is let in.

import { ID_CHARS_MAX } from "./limits.js";

const SOCKET_PATH = "/api/chat/socket";
const SESSION_DEFAULT = "web";
const ID = /^[A-Za-z0-9_.:-]+$/;

/** The conversation that a URL's fragment names. @param {string} hash such as `#garden` */
export function sessionOf(hash) {
  const name = hash.slice(1);
  return ID.test(name) && name.length <= ID_CHARS_MAX ? name : SESSION_DEFAULT;
}

/** @param {{ protocol: string, host: string }} location */
export function socketUrl({ protocol, host }) {
  return `${protocol === "https:" ? "wss:" : "ws:"}//${host}${SOCKET_PATH}`;
}

/**
 * Why the server refuses us, or "" when it does not say. A request without an upgrade is answered
 * with a problem in any case; only that of a refusal is of interest.
 * @returns {Promise<string>}
 */
export async function probeRefusal() {
  try {
    const response = await fetch(SOCKET_PATH, { redirect: "manual", cache: "no-store" });
    if (response.type === "opaqueredirect")
      return "You are signed out. Reload the page to sign in.";
    if (response.status !== 401 && response.status !== 403) return "";
    const { message = "You are not allowed to talk to this agent.", remedy = "" } =
      await response.json();
    return remedy === "" ? message : `${message} ${remedy}`;
  } catch {
    // No connection, or no problem in the body: the socket's own tries go on and show it.
    return "";
  }
}
