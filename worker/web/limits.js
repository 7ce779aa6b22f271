// Every bound of the chat page, unit last in the name, with its reason.

/** Longest message, in UTF-8 bytes. The same number as the protocol's MESSAGE_TEXT_BYTES_MAX. */
export const MESSAGE_TEXT_BYTES_MAX = 100_000;

/** Most messages that wait for their acceptance: more than anybody types while a line is down, and
 *  at the largest size still within the 5 MB that browsers grant to an origin's storage. */
export const UNACCEPTED_MESSAGES_MAX = 20;

/** First and longest wait before the next try to connect. The first hides a server's restart; the
 *  longest is what a person accepts after the network is back without an event telling so. */
export const RETRY_FIRST_MS = 500;
export const RETRY_MAX_MS = 15_000;

/** A connection that lived this long was a good one: the next loss starts again with a short wait.
 *  Shorter lives are failures, or a server that closes at once would be asked twice a second. */
export const STABLE_AFTER_MS = 5_000;

/** From opening the socket to its welcome. A slow mobile handshake takes about 3 s. */
export const WELCOME_TIMEOUT_MS = 10_000;

/** From sending a message to its acceptance. The edge answers in milliseconds; after this long the
 *  socket is taken for dead, although the browser has not noticed. */
export const ACCEPT_TIMEOUT_MS = 10_000;

/** A page that was hidden for longer may hold a socket that the network has dropped unheard. */
export const HIDDEN_RENEW_AFTER_MS = 60_000;

/** Entries of the log that are in the document at first, and how many each "show earlier" adds. */
export const ENTRIES_SHOWN_FIRST = 200;
export const ENTRIES_SHOWN_STEP = 200;

/** Entries that the page holds, and how many more before the oldest go (so that it happens seldom).
 *  2,000 are weeks of talk and a few megabytes; what is older stays in the agent's log. */
export const ENTRIES_KEPT_MAX = 2_000;
export const ENTRIES_KEPT_SLACK = 500;

/** After a rendering that took t, the live message rests for t times this: at most a fifth of the
 *  time goes into rendering, so that scrolling and typing stay smooth on a slow phone. */
export const LIVE_REST_FACTOR = 4;
/** … but the text never stands still for longer than this. */
export const LIVE_REST_MAX_MS = 400;

/** Longest one-line summary of a tool call's arguments: one line of the page. */
export const TOOL_SUMMARY_CHARS_MAX = 100;

/** Most characters of a tool's arguments or output in the document. The log keeps all of it; a
 *  megabyte in one element makes a phone stand still. */
export const TOOL_TEXT_CHARS_MAX = 60_000;

/** Distance from the end of the log within which a reader counts as being at the end. */
export const AT_END_PX = 64;

/** Longest session identifier. The same number as the protocol's ID_BYTES_MAX. */
export const ID_CHARS_MAX = 128;
