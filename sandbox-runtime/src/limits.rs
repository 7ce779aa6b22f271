//! Every bound of the runtime: queues, bodies, loops, timeouts and retries, each with its reason.
//!
//! Invariant: no other file of this package holds a number that bounds something.

use std::time::Duration;

use protocol::Sequence;
use protocol::limits::{ITEM_BYTES_MAX, PAGE_BYTES_MAX};

// The server.

/// Most connections that are served at once: the object needs one per running turn and a few for
/// health and cancel; the rest is room for connections that are being closed.
pub const CONNECTIONS_MAX: usize = 64;
/// Longest wait for a request's head, and so the longest that an idle connection is kept. Longer
/// than callers keep theirs, so that it is they who close and no request meets a closing door.
pub const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_mins(2);
/// Longest wait for a request's body. The caller is the platform on the same machine.
pub const REQUEST_BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest body of `POST /turns`: the records it may carry are one page of the log, twice over
/// for their envelope and for the object's freedom to send more than the least.
pub const TURN_BODY_BYTES_MAX: usize = 2 * PAGE_BYTES_MAX;
/// Bytes of a larger body that are read and thrown away before the connection is closed on it.
pub const TURN_BODY_DISCARD_BYTES_MAX: usize = 4 * TURN_BODY_BYTES_MAX;
/// Wait before accepting again after an accept failed (the usual cause is too many open files).
pub const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Highest number of a log's record that is believed: what JSON readers everywhere keep exact.
pub const SEQUENCE_MAX: Sequence = 1 << 53;

// Turns.

/// Most turns that run at once. A turn holds one history and one model request in memory, up to
/// about 3 × [`HISTORY_BYTES_MAX`]; a small container has 256 MiB.
pub use protocol::limits::RUNNING_TURNS_MAX;
/// Finished turns that can still be attached to. The object attaches again within seconds; a turn
/// that is no longer here is in the log.
pub const FINISHED_TURNS_MAX: usize = 8;
/// Bytes of event lines kept per turn. A 64,000-token answer is about 250 KB of text, four times
/// that as lines; beyond it the oldest deltas go, which the log's record supersedes anyway.
pub const EVENT_BUFFER_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of event lines put into one frame of the response.
pub const EVENT_FRAME_BYTES_MAX: usize = 32 * 1024;
/// Times that one turn may ask the model. Long coding tasks take 20 to 40.
pub const MODEL_CALLS_MAX: u32 = 60;
/// Tool calls that one turn may make: five for each time it asks.
pub const TOOL_CALLS_MAX: u32 = 5 * MODEL_CALLS_MAX;
/// Most messages that may join one running turn: as many as may wait in a session.
pub const STEERED_MESSAGES_MAX: usize = 100;
/// Longest time one turn may take. Beyond an hour something is wrong, and nobody waits.
pub const TURN_WALL_MAX: Duration = Duration::from_hours(1);
/// Most numbers tried to make a call's name unique within its turn: more than it can have calls, the
/// open ones of its last answer included.
pub const CALL_NAME_SUFFIX_MAX: u32 = 2 * TOOL_CALLS_MAX + 1;

// History.

/// Bytes of log records that one turn holds: a million tokens at four bytes each, the largest
/// context that models offer.
pub const HISTORY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Log records read at a cold start. More than one turn can make, see the assertion below.
pub const HISTORY_RECORDS_MAX: u64 = 2_000;
/// Sessions whose records are kept between turns.
pub const CACHED_SESSIONS_MAX: usize = 8;
/// Bytes of records kept between turns, all sessions together: one full history and some small.
pub const CACHE_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Bytes that one token is taken to have when sizes are estimated. English prose has about four,
/// code and other languages fewer: [`CONTEXT_MARGIN_DIVISOR`] makes up for that.
pub const BYTES_PER_TOKEN: usize = 4;
/// This part of the context (one eighth) stays free, because the estimate is rough.
pub const CONTEXT_MARGIN_DIVISOR: usize = 8;
/// When turns must be dropped, they are dropped in steps of this part of the room (a quarter), so
/// that the beginning of the request, which providers cache, does not change at every turn.
pub const CONTEXT_DROP_DIVISOR: usize = 4;

/// Calls that a note about lost files names; older ones are counted.
pub const LOST_CALLS_NAMED_MAX: usize = 20;
/// Bytes of a call's arguments in such a note: enough to know it again.
pub const LOST_CALL_BYTES_MAX: usize = 120;

// The edge.

/// Longest wait for a connection to the edge, which is on the same machine.
pub const EDGE_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest session read or append, from request to the answer's last byte.
pub const SESSION_CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Idle connections kept to the edge: one per running turn.
pub const EDGE_IDLE_CONNECTIONS_MAX: usize = RUNNING_TURNS_MAX;
/// How long an idle connection to the edge is used again: less than the five seconds after which
/// many servers close theirs, so that no question is lost to a closing door.
pub const EDGE_IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// Largest answer of a session call: a page and its envelope.
pub const SESSION_ANSWER_BYTES_MAX: usize = 2 * PAGE_BYTES_MAX;
/// Times that a session call is tried. With the delays below that is about ten seconds, longer
/// than an object takes to come back after a deploy.
pub const SESSION_ATTEMPTS_MAX: u32 = 9;
/// First delay between two tries; doubled each time.
pub const SESSION_RETRY_DELAY_MIN: Duration = Duration::from_millis(50);
/// Longest delay between two tries.
pub const SESSION_RETRY_DELAY_MAX: Duration = Duration::from_secs(2);
/// Longest wait for the first byte of a model's answer. Large inputs take providers a minute.
pub const MODEL_FIRST_BYTE_TIMEOUT: Duration = Duration::from_mins(2);
/// Longest silence inside a model's answer. Providers send a sign of life every 15 to 30 s.
pub const MODEL_IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// Times that one model is asked one question. Providers' own clients try three times; one more
/// bridges a restart. Beyond five a try only adds to the load that it waits out.
pub const MODEL_ATTEMPTS_MAX: u32 = 4;
/// Delay from which the random wait before the second try is taken.
pub const MODEL_RETRY_DELAY_MIN: Duration = Duration::from_secs(1);
/// Longest such delay, after doubling.
pub const MODEL_RETRY_DELAY_MAX: Duration = Duration::from_secs(30);
/// Longest wait that a provider may ask for and get: rate limits are counted by the minute. A longer
/// one is the user's to wait.
pub const MODEL_WAIT_MAX: Duration = Duration::from_mins(1);
/// Longest that one question waits between tries, all models together. A person has left by then.
pub const MODEL_WAITS_TOTAL_MAX: Duration = Duration::from_mins(3);
/// How long a model is left out after its tries were used up: a little longer than a limit by the
/// minute lasts.
pub const MODEL_REST_SHORT: Duration = Duration::from_secs(90);
/// How long a model is left out that needs somebody to set a key, pay, or change its name. Trying it
/// costs the user one short refusal.
pub const MODEL_REST_LONG: Duration = Duration::from_mins(10);
/// Models that are remembered as resting; settings name a handful.
pub const RESTING_MODELS_MAX: usize = 64;
/// Largest error answer of a provider that is read.
pub const MODEL_ERROR_BYTES_MAX: usize = 16 * 1024;
/// Wait for the end of the body after a model's last event, so that the connection can be reused.
pub const MODEL_TAIL_TIMEOUT: Duration = Duration::from_millis(500);
/// Most of a provider's own words that the log repeats.
pub const PROVIDER_WORDS_BYTES_MAX: usize = 300;

// Tools.

/// Most bytes of one tool's output that the model sees: about 7,500 tokens, so that ten of them
/// fit any model. Half of it is the beginning and half the end.
pub const TOOL_OUTPUT_BYTES_MAX: usize = 30_000;
/// How long a command runs when the model names no time.
pub const COMMAND_TIMEOUT_SECONDS: u64 = 120;
/// How long a command may run at most; the tool's schema says the same.
pub const COMMAND_TIMEOUT_SECONDS_MAX: u64 = 600;
/// After a command's shell has exited: how long its pipe is read on when something that it left
/// running still holds it.
pub const COMMAND_PIPE_LINGER: Duration = Duration::from_millis(200);
/// Bytes read from a command's pipe at once: the size of a Linux pipe buffer.
pub const COMMAND_READ_BYTES: usize = 64 * 1024;
/// Lines that `read` gives when the model names no number.
pub const READ_LINES: u64 = 1_000;
/// Largest file that `read` and `edit` open. Larger ones are for `bash`.
pub const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Largest image that `read` shows: a screenshot or a scaled photo. As base64 in a record it takes a
/// third more, which must fit one item of the log.
pub const IMAGE_BYTES_MAX: usize = 512 * 1024;
/// Tokens that an image is taken to have, whatever its bytes: what the larger providers count for one
/// of a thousand pixels a side.
pub const IMAGE_TOKENS: usize = 1_600;
/// Longest line that `read` shows whole.
pub const READ_LINE_BYTES_MAX: usize = 2_000;
/// Longest wait for a page: the edge's own bounds are a minute for the whole of it.
pub const WEB_FETCH_TIMEOUT: Duration = Duration::from_secs(75);
/// Most bytes of what stands above a page's text that are allowed for: a URL of the greatest length,
/// a type and a line.
pub const WEB_FETCH_HEAD_BYTES_MAX: usize = 10 * 1024;
/// Most text that is made of a page: a page is smaller, its links written whole may make it larger.
pub const READABLE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Deepest list whose items are still indented further.
pub const LIST_DEPTH_MAX: usize = 8;
/// Threads for file access. Two turns seldom touch files at the same instant; each thread costs
/// memory.
pub const BLOCKING_THREADS_MAX: usize = 4;
/// How long an idle thread is kept.
pub const BLOCKING_THREAD_IDLE: Duration = Duration::from_secs(2);

// What commands call.

/// Most connections through the commands' proxy at once: a package manager opens some dozens; more
/// wait in the kernel's queue.
pub const PROXY_CONNECTIONS_MAX: usize = 128;
/// Largest head of a request to it.
pub const PROXY_HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most fields in one.
pub const PROXY_FIELDS_MAX: usize = 128;
/// Longest wait for a head. The client is on the same machine.
pub const PROXY_HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for a host to be reached.
pub const PROXY_CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that are on their way in one direction of one connection.
pub const PROXY_BUFFER_BYTES: usize = 16 * 1024;
/// Pause between something to report and the report: a command's many connections make one.
pub const EGRESS_REPORT_PAUSE: Duration = Duration::from_secs(5);
/// Longest wait for the edge to take a report.
pub const EGRESS_REPORT_TIMEOUT: Duration = Duration::from_secs(10);

// The workspace.

/// Longest wait for the object to say what to restore. It does so right after the first healthy
/// answer.
pub const WORKSPACE_OPENING_TIMEOUT: Duration = Duration::from_secs(20);
/// Shortest time between two saves in the middle of a turn. What a lost container loses at most, and
/// the model is told of it.
pub const SAVE_INTERVAL: Duration = Duration::from_secs(15);
/// Pause before a save that failed is made again without being asked for.
pub const SAVE_RETRY_PAUSE: Duration = Duration::from_secs(30);
/// Longest that a turn's end waits for its save. A gigabyte of new files takes a minute.
pub const SAVE_TIMEOUT: Duration = Duration::from_mins(2);
/// Size of a pack of data in the workspace's repository: small enough to be held in memory twice,
/// large enough that a gigabyte is some hundred files.
pub const DATA_PACK_BYTES: u64 = 4 * 1024 * 1024;
/// Size of a pack of folders.
pub const TREE_PACK_BYTES: u64 = 2 * 1024 * 1024;
/// Bytes of packs that one maintenance writes anew to get rid of unused parts: a minute's work. The
/// next maintenance goes on.
pub const MAINTENANCE_REPACK_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Longest single call of the repository's store: a pack on a slow line.
pub const STORE_CALL_TIMEOUT: Duration = Duration::from_mins(1);
/// Times that a call of the store is tried. With the delays below that is about ten seconds.
pub const STORE_ATTEMPTS_MAX: u32 = 7;
/// First delay between two tries; doubled each time.
pub const STORE_RETRY_DELAY_MIN: Duration = Duration::from_millis(100);
/// Longest delay between two tries.
pub const STORE_RETRY_DELAY_MAX: Duration = Duration::from_secs(4);
/// Largest listing of the store: about 90 bytes per file, so some 180,000 packs, 1.4 TB.
pub const STORE_LISTING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of the repository's files that are kept in memory: the folders of some 50,000 files, which
/// every save compares with, and the index.
pub const STORE_CACHE_BYTES_MAX: usize = 12 * 1024 * 1024;
/// Packs that are on their way to the store at once: as many are in memory.
pub const STORE_UPLOADS_MAX: usize = 3;
/// Index files that are read at once. Each save adds a small one until the next maintenance.
pub const STORE_READ_AHEAD_THREADS: usize = 32;
/// Threads that fetch when a workspace is restored. They wait for the store most of the time.
pub const RESTORE_THREADS: usize = 8;
/// Bytes of files that one thread restores at a time; all threads together hold so many times that.
pub const RESTORE_BATCH_BYTES: u64 = 2 * 1024 * 1024;
/// Files that one thread restores at a time.
pub const RESTORE_BATCH_FILES: usize = 256;
/// Longest stretch of a pack that is fetched in one request.
pub const RESTORE_FETCH_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// Bytes that nobody needs and that are fetched nevertheless, because another request would cost
/// more.
pub const RESTORE_GAP_BYTES_MAX: u32 = 64 * 1024;
/// Files that could not be read and are named in the log.
pub const UNREADABLE_NAMED_MAX: usize = 10;
/// Longest wait for the files that belong to the prompt; after it the model is told that they are
/// missing.
pub const PROMPT_FILES_TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of one file that belongs to the prompt: about 4,000 tokens.
pub const PROMPT_FILE_BYTES_MAX: usize = 16 * 1024;

// Shutdown.

/// Longest wait for the edge to hear why the process ends badly.
pub const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(1);

/// Longest wait for cut turns to stop. They stop at their next await and save what they changed.
pub const DRAIN_TURNS_TIMEOUT: Duration = Duration::from_mins(1);
/// Longest wait for the last save. A large first one takes a minute; a small one a moment.
pub const DRAIN_SAVE_TIMEOUT: Duration = Duration::from_mins(1);
/// Longest wait for responses to be flushed after that.
pub const DRAIN_CONNECTIONS_TIMEOUT: Duration = Duration::from_secs(1);

const _: () = assert!(HISTORY_BYTES_MAX <= CACHE_BYTES_MAX);
const _: () = assert!(HISTORY_BYTES_MAX >= 2 * ITEM_BYTES_MAX);
// What one turn can add to the log at most: answers, two records per call, messages and the end.
const _: () = assert!(MODEL_CALLS_MAX + 2 * TOOL_CALLS_MAX + 100 < 2_000);
const _: () = assert!(TOOL_CALLS_MAX as usize >= dialects::limits::TOOL_CALLS_MAX);
const _: () = assert!(TOOL_OUTPUT_BYTES_MAX * 6 < ITEM_BYTES_MAX);
const _: () = assert!(MODEL_WAIT_MAX.as_secs() <= MODEL_WAITS_TOTAL_MAX.as_secs());
const _: () = assert!(IMAGE_BYTES_MAX / 3 * 4 + TOOL_OUTPUT_BYTES_MAX < ITEM_BYTES_MAX);
