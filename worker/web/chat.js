// The chat page: joins the conversation's state with the socket, the storage and the document.
//
// Invariants: every change goes through `update`; the document is written in one place, at most
// once per animation frame.

import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import * as conversation from "./conversation.js";
import { byId } from "./element.js";
import { Follow } from "./follow.js";
import { FrameView } from "./frame-view.js";
import { ACCEPT_TIMEOUT_MS, HIDDEN_RENEW_AFTER_MS, UNACCEPTED_MESSAGES_MAX } from "./limits.js";
import { LiveView } from "./live-view.js";
import { LogView } from "./log-view.js";
import { browserStorage, Outbox } from "./outbox.js";
import { PendingView } from "./pending-view.js";
import { probeRefusal, sessionOf, socketUrl } from "./place.js";
import { Unseen } from "./unseen.js";

const session = sessionOf(location.hash);
const outbox = new Outbox(browserStorage("localStorage"), session);
let state = conversation.emptyConversation(session, outbox.load());
let frameAsked = false;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let acceptTimer;
let hiddenSince = 0;

const log = byId("log", HTMLElement);
const follow = new Follow(byId("scroller", HTMLElement), byId("jump", HTMLButtonElement));
const earlier = byId("earlier", HTMLButtonElement);
const logView = new LogView(log, earlier);
const liveView = new LiveView(
  byId("live", HTMLElement),
  byId("activity", HTMLElement),
  byId("activity-text", HTMLElement),
);
const pendingView = new PendingView(byId("pending", HTMLElement), { onRetry: retry, onEdit: edit });
const frameView = new FrameView({
  onDismiss: dismiss,
  onTryAgain: () => connection.renew(),
  onExample: say,
  onStop: stop,
});

const connection = new Connection({
  openSocket: () => new WebSocket(socketUrl(location)),
  probe: () => probeRefusal(),
  hello: () => ({ type: "hello", session, after: state.sequence }),
  onFrame: receive,
  onGarbage: () => update(conversation.notice(state, garbage)),
  onStatus: (status) => {
    if (status.kind !== "connected") update(conversation.disconnected(state));
    askForFrame();
  },
  now: () => performance.now(),
  setTimer: (run, ms) => setTimeout(run, ms),
  clearTimer: (timer) => clearTimeout(timer),
  random: Math.random,
});

const unseen = new Unseen(
  { isHidden: () => document.hidden, setTitle: (title) => (document.title = title) },
  document.title,
);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) unseen.clear();
});

const composer = new Composer(
  {
    form: byId("composer", HTMLFormElement),
    field: byId("text", HTMLTextAreaElement),
    note: byId("composer-note", HTMLElement),
  },
  { onSend: send, draft: draftOf(session) },
);

const garbage = {
  code: "bad_request",
  message: "The agent sent something that this page could not read.",
  remedy: "Reload the page; if it comes again, look into the Worker's log.",
};

/** @param {any} frame */
function receive(frame) {
  update(conversation.apply(state, frame));
  if (state.broken) {
    // A record is missing, or the log is another one: say hello again with what we have.
    connection.lose();
    return;
  }
  if (frame.type === "answer") {
    connection.send({ type: "received", key: frame.key });
    unseen.note(frame.turn);
  }
  if (frame.type === "welcome") deliver(conversation.unsent(state));
  if (frame.type === "accepted" || frame.type === "rejected") watchAcceptance();
}

/**
 * The next state: forgets what is safe, and shows it with the next frame.
 * @param {conversation.Conversation} next
 */
function update(next) {
  if (next === state) return;
  if (next.pending !== state.pending) {
    const kept = new Set(
      next.pending.filter((message) => message.state !== "accepted").map(({ id }) => id),
    );
    for (const { id } of state.pending) if (!kept.has(id)) outbox.forget(id);
  }
  state = next;
  askForFrame();
}

/** @param {string} text @returns {string} why it was not taken, or "" */
function send(text) {
  if (conversation.unsent(state).length >= UNACCEPTED_MESSAGES_MAX) {
    return `${UNACCEPTED_MESSAGES_MAX} messages wait for the connection. Wait until they are sent.`;
  }
  const message = { id: crypto.randomUUID(), text };
  const isKept = outbox.keep(message, Date.now());
  update(conversation.submit(state, message.id, text));
  if (!isKept) update(conversation.notice(state, storageRefused));
  follow.toEnd();
  deliver([message]);
  return "";
}

const storageRefused = {
  code: "internal",
  message: "This browser does not let the page keep messages that are not sent yet.",
  remedy: "Leave the page open until your message is accepted, or allow it to store data.",
};

/** @param {{ id: string, text: string }[]} messages */
function deliver(messages) {
  for (const { id, text } of messages) connection.send({ type: "send", id, text });
  watchAcceptance();
}

/** A socket on which nothing is accepted in time is dead, whatever the browser believes. */
function watchAcceptance() {
  clearTimeout(acceptTimer);
  if (conversation.unsent(state).length === 0) return;
  acceptTimer = setTimeout(() => {
    if (state.welcomed && conversation.unsent(state).length > 0) connection.lose();
  }, ACCEPT_TIMEOUT_MS);
}

/** @param {string} id */
function retry(id) {
  update(conversation.retry(state, id));
  deliver(state.pending.filter((message) => message.id === id));
}

/** @param {string} id */
function edit(id) {
  const text = state.pending.find((message) => message.id === id)?.text ?? "";
  update(conversation.discard(state, id));
  composer.restore(text);
}

function stop() {
  if (connection.send({ type: "stop" })) update(conversation.stopRequested(state));
}

/** @param {string} text */
function say(text) {
  composer.restore(text);
}

function dismiss() {
  update(conversation.dismissNotices(state));
}

function askForFrame() {
  if (frameAsked) return;
  frameAsked = true;
  requestAnimationFrame(render);
}

function render() {
  frameAsked = false;
  const connected = connection.status.kind === "connected";
  const isReplay = state.sequence < state.head;
  // A history that arrives is not read out; what comes after it is.
  log.setAttribute("aria-live", isReplay ? "off" : "polite");
  // The first history is shown when it is complete, or its older part would be rendered for
  // nothing.
  if (!isReplay || !logView.isEmpty) {
    logView.render(state.entries, { thinkingOpen: liveView.thinkingOpen, atEnd: follow.atEnd });
  }
  const unfinished = liveView.render(state.live, conversation.activity(state));
  pendingView.render(state.pending, { connected, busy: state.live !== null });
  frameView.render(state, connection.status);
  follow.settle();
  if (unfinished) askForFrame();
}

/** @param {string} name */
function draftOf(name) {
  const key = `pagurus.draft.${name}`;
  const storage = browserStorage("sessionStorage");
  return {
    load: () => storage?.getItem(key) ?? "",
    /** @param {string} text */
    save(text) {
      try {
        if (text === "") storage?.removeItem(key);
        else storage?.setItem(key, text);
      } catch {
        // A full storage costs the draft's copy only; the text itself is in the field.
      }
    },
  };
}

log.parentElement?.addEventListener("click", async (event) => {
  const button = event.target;
  if (!(button instanceof HTMLButtonElement) || !button.classList.contains("copy")) return;
  const code = button.closest(".code")?.querySelector("pre")?.textContent ?? "";
  try {
    await navigator.clipboard.writeText(code);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select and copy by hand";
  }
  setTimeout(() => (button.textContent = "Copy"), 2_000);
});

earlier.addEventListener("click", () => follow.holding(() => logView.showEarlier()));
addEventListener("online", () => {
  if (connection.status.kind !== "refused") connection.renew();
});
addEventListener("offline", () => connection.lose());
addEventListener("hashchange", () => location.reload());
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    hiddenSince = performance.now();
    return;
  }
  if (connection.status.kind === "waiting") connection.renew();
  else if (
    connection.status.kind === "connected" &&
    performance.now() - hiddenSince > HIDDEN_RENEW_AFTER_MS
  ) {
    connection.renew();
  }
});

connection.connect();
