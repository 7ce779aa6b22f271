//! Bounds that both ends of a wire must agree on. Each says where its number comes from.

/// Longest agent, session, turn or call identifier, in bytes. Provider call ids stay under 64
/// (`toolu_…` is 30, `call_…` 29); ours are shorter still.
pub const ID_BYTES_MAX: usize = 128;

/// Longest message text that a person may send, in bytes: about 25,000 tokens, more than any chat
/// client produces, and well under [`APPEND_BODY_BYTES_MAX`].
pub const MESSAGE_TEXT_BYTES_MAX: usize = 100_000;

/// Largest single item in the session log, in bytes of JSON. A row of the object's SQLite holds
/// 2 MiB at most; half leaves room for the columns beside it.
pub const ITEM_BYTES_MAX: usize = 1024 * 1024;

/// Most items in one append: an assistant message, one call started and the end of a turn is three;
/// an interrupted step closes each of its calls at once.
pub const APPEND_ITEMS_MAX: usize = 64;

/// Largest body of an append, in bytes: two items of the largest size and their envelope.
pub const APPEND_BODY_BYTES_MAX: usize = 2 * ITEM_BYTES_MAX + 64 * 1024;

/// Most records in one page of a session read.
pub const PAGE_RECORDS_MAX: usize = 500;

/// Most bytes of record JSON in one page (the first record is always included).
pub const PAGE_BYTES_MAX: usize = 2 * ITEM_BYTES_MAX;

/// Most turns that run at once, each of another session: what a small container can think about at
/// a time. More wait in the object.
pub const RUNNING_TURNS_MAX: usize = 8;

/// Largest text frame of the chat socket from a browser, in bytes: a message of the largest size,
/// escaped at worst as `\uXXXX` for each byte, and its envelope.
pub const CHAT_FRAME_BYTES_MAX: usize = 6 * MESSAGE_TEXT_BYTES_MAX + 1024;

/// Most bytes of a dying runtime's log that it reports: some thirty lines, enough to see the cause.
pub const LAST_WORDS_BYTES_MAX: usize = 4 * 1024;

/// Largest file of a workspace's repository, in bytes. Clients aim at packs of 4 to 128 MiB; an
/// index or a snapshot is far smaller.
pub const REPOSITORY_FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Most bytes of a page that is fetched for the agent: long documents have one or two megabytes of
/// HTML, and the runtime holds one such page in memory, twice over while it makes text of it.
pub const FETCH_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Longest URL that is fetched, in bytes: what servers commonly take.
pub const URL_BYTES_MAX: usize = 8 * 1024;

/// Most hosts in one report of what the container's commands called.
pub const EGRESS_REPORT_HOSTS_MAX: usize = 128;

/// Longest host in such a report, in bytes: a name of the greatest length (RFC 1035) and a port.
pub const EGRESS_HOST_BYTES_MAX: usize = 253 + 6;

const _: () = assert!(MESSAGE_TEXT_BYTES_MAX * 6 < ITEM_BYTES_MAX);
const _: () = assert!(PAGE_BYTES_MAX >= ITEM_BYTES_MAX);
