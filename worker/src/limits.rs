//! Bounds of the Worker and the agent object. Bounds that the container must share are in
//! `protocol::limits`.

use protocol::limits::{EGRESS_HOST_BYTES_MAX, EGRESS_REPORT_HOSTS_MAX};

/// Largest request to a model, in bytes: a million tokens of text are about 4 MB, and a few images
/// beside them fit in the rest. It is held while the call is granted.
pub(crate) const MODEL_REQUEST_BYTES_MAX: usize = 12 * 1024 * 1024;

/// Bytes of requests to models that are held at once; more are told to come again. A Worker has
/// 128 MiB.
pub(crate) const MODEL_REQUESTS_BYTES_MAX: usize = 48 * 1024 * 1024;

/// Shortest key that is looked for in a provider's answers, in bytes.
pub(crate) const KEY_BYTES_MASKED_MIN: usize = 8;

/// Most tokens of one answer unless `MAX_OUTPUT_TOKENS` or the model's own limit says otherwise:
/// enough for a long file, and little enough that what is set aside for a call stays small.
pub(crate) const OUTPUT_TOKENS_DEFAULT: u32 = 16_000;

/// Most models that stand in for the first.
pub(crate) const FALLBACK_MODELS_MAX: usize = 5;

/// Bytes of a request for which one token is set aside. Prose has four or five for each, source code
/// about three, other scripts about two; JSON's own marks make up for the rest. What was really
/// read is booked when the provider has counted.
pub(crate) const REQUEST_BYTES_PER_TOKEN: u64 = 2;

/// Tokens that an image is taken for, at most: the largest that any provider makes of one.
pub(crate) const IMAGE_TOKENS_MAX: u64 = 8_000;

/// Buffer through which a model's answer passes, in bytes: one per answer under way.
pub(crate) const RELAY_BUFFER_BYTES: u32 = 16 * 1024;

/// Tries to tell the ledger what a call came to; after the last the call lapses in time.
pub(crate) const SETTLE_ATTEMPTS_MAX: u32 = 5;

/// Pause before the second try; so much longer before each further one.
pub(crate) const SETTLE_PAUSE_MS: u64 = 100;

/// Longest that an answer's end waits for its booking.
pub(crate) const SETTLE_WAIT_MS_MAX: u64 = 1_000;

/// How many tokens a second the fastest models write; what a broken answer counts with at most.
pub(crate) const OUTPUT_TOKENS_PER_SECOND_MAX: u64 = 1_000;

/// Longest model call: a turn lasts no longer. What was not settled by then is booked as estimated.
pub(crate) const MODEL_CALL_MS_MAX: u64 = 60 * 60 * 1000;

/// Largest message about a model call between the Worker and the object, in bytes: two names, a few
/// numbers.
pub(crate) const CALL_BODY_BYTES_MAX: usize = 4 * 1024;

/// How long usage is kept, in days: a year and the month that it is compared with.
pub(crate) const USAGE_DAYS_KEPT: i32 = 400;

/// Days that `/usage` shows.
pub(crate) const USAGE_DAYS_SHOWN: i32 = 7;

/// Most lines of each list that `/usage` shows.
pub(crate) const USAGE_LINES_MAX: u64 = 10;

/// Longest wait for a started container's first healthy answer. Cloudflare's p95 start is 7 to 24
/// seconds; a slower one is better told than waited for.
pub(crate) const CONTAINER_READY_MS_MAX: u64 = 45_000;

/// Longest wait for one health probe. A port that does not listen refuses at once.
pub(crate) const HEALTH_PROBE_MS_MAX: u64 = 5_000;

/// Longest silence of a turn's event stream before the runtime is asked whether it lives. Models and
/// tools may be silent for minutes, so silence alone says nothing.
pub(crate) const STREAM_SILENCE_MS_MAX: u64 = 15_000;

/// Longest wait for the runtime's answer to a posted turn: it answers before it does anything.
pub(crate) const POST_ANSWER_MS_MAX: u64 = 15_000;

/// Longest wait for the platform to do something with the container (intercept, destroy). It takes
/// milliseconds; without a bound a fault there would hold a session for ever.
pub(crate) const PLATFORM_CALL_MS_MAX: u64 = 30_000;

/// First pause between health probes; each later one is a half longer, up to
/// [`HEALTH_PAUSE_MS_MAX`]. The runtime binds its port within 15 ms of its start.
pub(crate) const HEALTH_PAUSE_MS_FIRST: u64 = 4;

/// Longest pause between health probes.
pub(crate) const HEALTH_PAUSE_MS_MAX: u64 = 300;

/// How often in a row one turn may lose its container without getting any further, before the user
/// is told that it cannot be finished.
pub(crate) const TURN_ATTEMPTS_MAX: u32 = 3;

/// How often one turn may lose its container in all: a turn of many steps on a restless host gets
/// on, and one that kills each container after one step does not go on for ever.
pub(crate) const TURN_LIVES_MAX: u32 = 20;

/// How often in a row a turn's event stream may break off while the container still answers, before
/// the container is given up. Each break is a lost connection; the turn itself went on.
pub(crate) const REATTACH_MAX: u32 = 8;

/// How often a runtime may say that it is busy before the turn is given up. Its busy state is short:
/// a former turn of the session that is being put away.
pub(crate) const BUSY_MAX: u32 = 50;

/// Pause between two such asks.
pub(crate) const BUSY_PAUSE_MS: u64 = 100;

/// Pause before the container is started again after a failure; doubled with each further one, up
/// to [`RESTART_PAUSE_MS_MAX`].
pub(crate) const RESTART_PAUSE_MS_FIRST: u64 = 250;

/// Largest body of a container's last words: escaped at worst, and their envelope.
pub(crate) const LAST_WORDS_BODY_BYTES_MAX: usize =
    6 * protocol::limits::LAST_WORDS_BYTES_MAX + 4096;

/// A life of the container that was healthy for so long is no sign of a crash loop, even if it got
/// nothing done.
pub(crate) const HEALTHY_LIFE_MS: u64 = 60_000;

/// Longest life of a container that tidies the workspace's repository. A prune of some hundred
/// snapshots takes seconds; what is cut off goes on the next day.
pub(crate) const MAINTENANCE_MS_MAX: u64 = 10 * 60 * 1000;

/// Idle time after which a container that never sleeps makes way for maintenance.
pub(crate) const MAINTENANCE_IDLE_MS: u64 = 10 * 60 * 1000;

/// Saves after which the repository is tidied however early it is: each leaves an index file that a
/// cold start has to read.
pub(crate) const MAINTENANCE_SAVES: u64 = 100;

/// How long a lock of the owner's restic counts: restic renews its own every five minutes, and takes
/// one of half an hour for left behind.
pub(crate) const LOCK_FRESH_MS: u64 = 30 * 60 * 1000;

/// How long after something was saved the repository is tidied: a day's snapshots in one go.
pub(crate) const MAINTENANCE_EVERY_MS: u64 = 24 * 60 * 60 * 1000;

/// Pause before a chore that failed is tried again; doubled with each further failure, six times at
/// the most.
pub(crate) const CHORE_PAUSE_MS_FIRST: u64 = 10 * 60 * 1000;

/// Largest configuration of a workspace's repository, in bytes; it has about 200.
pub(crate) const REPOSITORY_CONFIG_BYTES_MAX: usize = 16 * 1024;

/// Most files of one kind in a workspace's repository: packs of 8 MiB for a terabyte.
pub(crate) const REPOSITORY_FILES_MAX: usize = 150_000;

/// Largest order of faults, in bytes.
pub(crate) const FAULTS_BODY_BYTES_MAX: usize = 4 * 1024;

/// Most rings of the alarm in one order of faults.
pub(crate) const FAULTS_RINGS_MAX: u32 = 10_000;

/// Shortest `API_TOKEN`, in characters: 144 bits when it is random.
pub(crate) const API_TOKEN_CHARS_MIN: usize = 24;

/// Largest body of a webhook, in bytes: a message of the largest size, escaped, and its envelope.
pub(crate) const HOOK_BODY_BYTES_MAX: usize = protocol::limits::CHAT_FRAME_BYTES_MAX;

/// How far a webhook's time may be from ours: what Standard Webhooks' own libraries allow.
pub(crate) const HOOK_CLOCK_SKEW_SECONDS_MAX: u64 = 5 * 60;

/// Most signatures of one webhook that are looked at: senders sign with an old and a new key.
pub(crate) const HOOK_SIGNATURES_MAX: usize = 8;

/// Largest envelope from the Worker to the object, in bytes.
pub(crate) const ENVELOPE_BYTES_MAX: usize = HOOK_BODY_BYTES_MAX + 4096;

/// When the sender of a webhook that found no room may come again, in seconds.
pub(crate) const HOOK_RETRY_AFTER_SECONDS: u64 = 30;

/// Pause before the second try of something that goes out; doubled with each further one, up to
/// [`OUTBOX_PAUSE_MS_MAX`].
pub(crate) const OUTBOX_PAUSE_MS_FIRST: u64 = 1_000;

/// Longest pause between two tries.
pub(crate) const OUTBOX_PAUSE_MS_MAX: u64 = 10 * 60 * 1000;

/// How long something is tried before it is set aside. A receiver that was away for a day needs a
/// person.
pub(crate) const OUTBOX_AGE_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// Longest single try.
pub(crate) const OUTBOX_TRY_MS_MAX: u64 = 30_000;

/// Most chats that are sent to at once.
pub(crate) const OUTBOX_CHATS_MAX: usize = 8;

/// How long a page may stay away before its unseen answers are no longer offered; the log has them.
pub(crate) const OUTBOX_KEPT_MS: u64 = 30 * OUTBOX_AGE_MS_MAX;

/// Shortest distance between two runs of a job.
pub(crate) const JOB_INTERVAL_MS_MIN: u64 = 60_000;

/// How late a run may be before it counts as missed: alarms come within seconds.
pub(crate) const JOB_LATE_MS_MAX: u64 = 60_000;

/// How far away a run may be, and the longest distance between two: ten years.
pub(crate) const JOB_HORIZON_MS: u64 = 10 * 366 * 24 * 60 * 60 * 1000;

/// Times on the wall that are looked at for the next run: after the clock was moved back those of an
/// hour, once a minute, are over already.
pub(crate) const JOB_WALL_TIMES_MAX: usize = 200;

/// How long the results of runs are kept.
pub(crate) const JOB_RUNS_KEPT_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// Largest prompt of a job, in bytes.
pub(crate) const JOB_PROMPT_BYTES_MAX: usize = 4_000;

/// Most jobs of an agent.
pub(crate) const JOBS_MAX: usize = 100;

/// Failed runs in a row after which a job is paused.
pub(crate) const JOB_FAILURES_MAX: u64 = 5;

/// Most runs that a job's history shows.
pub(crate) const JOB_HISTORY_MAX: u64 = 10;

/// Longest pause before another start.
pub(crate) const RESTART_PAUSE_MS_MAX: u64 = 60_000;

/// How far ahead the alarm stands while there is work: if the object is reset in mid-turn, this is
/// the longest that the turn stands still before the object finds it again.
pub(crate) const WATCHDOG_MS: u64 = 10_000;

/// The container sleeps after this long without work unless `SANDBOX_SLEEP_AFTER` says otherwise.
pub(crate) const SLEEP_AFTER_MS_DEFAULT: u64 = 10 * 60 * 1000;

/// Shortest `SANDBOX_SLEEP_AFTER`: below it the container would stop between two messages of one
/// conversation.
pub(crate) const SLEEP_AFTER_MS_MIN: u64 = 5_000;

/// How long a container may take to drain before it is destroyed. The runtime's own bounds (a minute
/// for its turns, a minute for the last save) are below.
pub(crate) const DRAIN_MS_MAX: u64 = 150_000;

/// Most messages that may wait in one session. A person who writes more is told to wait.
pub(crate) const WAITING_MESSAGES_MAX: u64 = 100;

/// Most bytes of text in one offer to a running turn. More goes in the next one.
pub(crate) const STEER_TEXT_BYTES_MAX: usize = 512 * 1024;

/// Most chat sockets that an agent holds: tabs and devices of one person, with room to spare.
pub(crate) const SOCKETS_MAX: usize = 64;

/// Longest line of a turn's event stream, in bytes: a delta is far below; `Finished` carries one
/// problem.
pub(crate) const EVENT_LINE_BYTES_MAX: usize = 1024 * 1024;

/// Most live text kept for pages that join in mid-turn, in bytes; beyond it the oldest is dropped
/// (the record that follows has all of it).
pub(crate) const LIVE_TEXT_BYTES_MAX: usize = 512 * 1024;

/// Most records of a long log that a page is sent when it opens; it shows the newest.
pub(crate) const REPLAY_RECORDS_MAX: u64 = 2_000;

/// Most bytes of them that are read from R2 for that; beyond it the oldest are left out.
pub(crate) const REPLAY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Records of a turn that are sent along with it at the most. A turn that begins has one or a few;
/// one that is taken up again after many steps is read by the runtime itself.
pub(crate) const TURN_RECORDS_MAX: usize = 100;

/// Newest records of a session that stay rows: what a page is sent and what a runtime reads at a
/// cold start, so that neither waits for R2.
pub(crate) const LOG_RECORDS_KEPT: u64 = 2_000;

/// Records that make a segment of a session's log worth writing: some twenty turns, a few cents for
/// ten thousand of them.
pub(crate) const SEGMENT_RECORDS: usize = 250;

/// Bytes that make a segment worth writing, however few its records.
pub(crate) const SEGMENT_BYTES: usize = 1024 * 1024;

/// Most records of a segment; a longer turn is cut.
pub(crate) const SEGMENT_RECORDS_MAX: usize = 1_000;

/// Largest segment, in bytes: three items of the largest size. One is held in memory at a time.
pub(crate) const SEGMENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most segments that are written in one go; the rest follows after a later turn.
pub(crate) const SETTLE_SEGMENTS_MAX: usize = 8;

/// Largest control export, in bytes. It is held whole, twice while it is written, beside a Worker
/// that has 128 MiB: some hundred sessions whose last records are not in a segment yet.
pub(crate) const CONTROL_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How often the control tables are exported at least while they change.
pub(crate) const CONTROL_EVERY_MS: u64 = 24 * 60 * 60 * 1000;

/// How long after the last change a sleeping agent's control tables are exported: several commands
/// make one export. An agent that fell asleep has been idle for longer.
pub(crate) const CONTROL_PAUSE_MS: u64 = 60_000;

/// Control exports that are kept: about a month.
pub(crate) const CONTROL_FILES_KEPT: usize = 30;

/// Bytes from which the time of a control export is read: its first line has some hundred.
pub(crate) const CONTROL_HEADER_BYTES_MAX: u64 = 4 * 1024;

/// How long an export remembers which messages were accepted, so that a sender who repeats one after
/// a restore is known: longer than any of them repeats.
pub(crate) const DEDUPE_KEPT_MS: u64 = 14 * 24 * 60 * 60 * 1000;

/// Most segments or control exports that a restore looks at: fifty million records.
pub(crate) const LISTED_MAX: usize = 200_000;

/// Most segments newer than the control export that a restore takes in. Between two exports a busy
/// agent writes a few; each is read whole.
pub(crate) const ADOPTED_SEGMENTS_MAX: usize = 500;

/// How far above the exported epoch a restored agent begins: more lives than a container has between
/// two exports.
pub(crate) const RESTORE_EPOCHS: u64 = 1_000;

/// Longest that a name which was found public is not looked up again. What it resolves to may change
/// at any time; the platform looks it up for itself anyway.
pub(crate) const RESOLVED_KEPT_MS_MAX: u64 = 60_000;

/// Most names that are remembered so: an agent seldom visits more in a minute.
pub(crate) const RESOLVED_NAMES_MAX: usize = 64;

/// A day.
pub(crate) const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Days of the record of what left that are kept.
pub(crate) const EGRESS_DAYS_KEPT: u64 = 30;

/// Rows of that record for one day: far more hosts than a day's work has; 15,000 rows in all.
pub(crate) const EGRESS_ROWS_PER_DAY_MAX: u64 = 500;

/// Days of it that `/egress` shows.
pub(crate) const EGRESS_DAYS_SHOWN: u64 = 7;

/// Most lines that `/egress` shows.
pub(crate) const EGRESS_SHOWN_MAX: u64 = 40;

/// Largest notes for that record, and largest report of the container, in bytes: the most hosts of
/// the greatest length, and what stands around each.
pub(crate) const EGRESS_NOTES_BYTES_MAX: usize =
    EGRESS_REPORT_HOSTS_MAX * (EGRESS_HOST_BYTES_MAX + 128) + 256;

/// Most that one report of the container may add to a count: what none does between two of them. The
/// sums stay far below 2^53.
pub(crate) const EGRESS_COUNT_MAX: u64 = 1 << 40;

/// Largest request that is passed on to another host, in bytes. It streams and is never held; the
/// platform's own bound on a request is 100 MB on most plans.
pub(crate) const OUTBOUND_REQUEST_BYTES_MAX: u64 = 100 * 1000 * 1000;

/// Largest answer that is passed back, in bytes; what is larger breaks off.
pub(crate) const OUTBOUND_ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Longest wait for another host's first byte.
pub(crate) const OUTBOUND_FIRST_BYTE_MS: u64 = 60_000;

/// Longest silence in the middle of another host's answer.
pub(crate) const OUTBOUND_IDLE_MS: u64 = 60_000;

/// Longest wait for the first byte of a page, each redirect for itself.
pub(crate) const FETCH_FIRST_BYTE_MS: u64 = 20_000;

/// Longest wait for a whole page.
pub(crate) const FETCH_MS_MAX: u64 = 60_000;

/// Most redirects that are followed for a page: what browsers allow is 20, and 5 is common.
pub(crate) const FETCH_REDIRECTS_MAX: usize = 5;

/// Largest order to fetch a page, in bytes: a URL, escaped at worst, and its envelope.
pub(crate) const FETCH_ORDER_BYTES_MAX: usize = 6 * protocol::limits::URL_BYTES_MAX + 256;

/// Longest wait for the resolver of names.
pub(crate) const RESOLVE_MS_MAX: u64 = 5_000;

/// Largest answer of the resolver, in bytes: some hundred addresses.
pub(crate) const RESOLVE_BYTES_MAX: usize = 32 * 1024;

/// Most hosts of an allowlist, or of one secret: each is announced to the platform at every start.
pub(crate) const EGRESS_HOSTS_MAX: usize = 100;

/// Most secrets for other services.
pub(crate) const EGRESS_SECRETS_MAX: usize = 32;

/// Shortest secret for another service: a shorter one would be found by chance in what comes back,
/// and taken out of it.
pub(crate) const EGRESS_SECRET_CHARS_MIN: usize = 8;

const _: () = assert!(LOG_RECORDS_KEPT >= REPLAY_RECORDS_MAX);
const _: () = assert!(SEGMENT_RECORDS <= SEGMENT_RECORDS_MAX);
const _: () = assert!(SEGMENT_BYTES_MAX > 2 * protocol::limits::ITEM_BYTES_MAX);
const _: () = assert!(HEALTH_PAUSE_MS_FIRST <= HEALTH_PAUSE_MS_MAX);
const _: () = assert!(HEALTH_PROBE_MS_MAX < CONTAINER_READY_MS_MAX);
const _: () = assert!(RESTART_PAUSE_MS_FIRST <= RESTART_PAUSE_MS_MAX);
const _: () = assert!(SLEEP_AFTER_MS_MIN <= SLEEP_AFTER_MS_DEFAULT);
const _: () = assert!(TURN_RECORDS_MAX <= protocol::limits::PAGE_RECORDS_MAX);
