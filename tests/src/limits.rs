//! How long a test waits for what must happen. Generous: a machine may be busy, and a test that
//! passes never waits this long.

use std::time::Duration;

/// The whole stack from nothing to its first page.
pub const STACK_READY: Duration = Duration::from_mins(2);

/// A test double from its start to its address.
pub const DOUBLE_READY: Duration = Duration::from_secs(30);

/// A frame of the chat socket. The object's watchdog finds a lost turn within ten seconds, and a
/// container may take several starts.
pub const FRAME: Duration = Duration::from_mins(1);

/// An HTTP answer.
pub const HTTP_ANSWER: Duration = Duration::from_secs(20);

/// A process that was asked to end.
pub const PROCESS_END: Duration = Duration::from_secs(20);

/// A condition that is polled.
pub const CONDITION: Duration = Duration::from_secs(30);

/// Pause between two signs of life of a model whose answer is paused.
pub const MODEL_PING: Duration = Duration::from_millis(100);

/// A closed model's wait for answers that are still under way.
pub const MODEL_CLOSE: Duration = Duration::from_millis(500);

/// Pause between two looks at a polled condition.
pub const POLL: Duration = Duration::from_millis(5);

/// Lines of a log that a failure message shows.
pub const TAIL_LINES: usize = 40;

/// Longest that one session of the fault harness may take for a round, with all recoveries in it.
pub const FAULTS_PATIENCE: Duration = Duration::from_mins(3);

/// Longest that a page of the fault harness hears nothing decisive before it opens anew, as a
/// person reloads.
pub const FAULTS_SILENCE: Duration = Duration::from_secs(45);

/// How long a person reads before "go on". Without it a failure of a second fills the conversation.
pub const FAULTS_READING: Duration = Duration::from_millis(200);

/// Pause before a page that was cut off opens anew.
pub const FAULTS_RECONNECT: Duration = Duration::from_millis(50);

/// Conversations that go on at once.
pub const FAULTS_SESSIONS: u32 = 3;

/// Rounds after which new conversations begin, so that all of one fits the model's context.
pub const FAULTS_ROUNDS_PER_SESSION: u32 = 25;

/// How far the clock goes in a night: more than it ever runs ahead.
pub const FAULTS_NIGHT_MS: i64 = 6 * 60 * 60 * 1000;

/// A little more than the idle time after which an agent sleeps.
pub const FAULTS_IDLE_MS: i64 = 11 * 60 * 1000;

/// Saves after which a sleeping agent's repository is tidied: the Worker's `MAINTENANCE_SAVES`.
pub const FAULTS_SAVES_FOR_TIDYING: u64 = 100;

/// Lives of one kept `workerd`: far more than a run of the harness has rounds.
pub const KEPT_LIVES_MAX: u32 = 100_000;

/// Longest wait for the event after which a fault comes; without one it comes then.
pub const FAULTS_MOMENT: Duration = Duration::from_secs(3);

/// Longest wait for everything that goes out by webhook to have arrived: a try that hangs takes
/// half a minute, and the pauses between tries double.
pub const FAULTS_DELIVERY: Duration = Duration::from_mins(3);

/// Size of the disk that is filled up: a workspace of the harness takes a few hundred kilobytes.
pub const FAULTS_DISK_BYTES: u64 = 64 * 1024 * 1024;

/// One round in so many has a second fault on top of the first.
pub const FAULTS_SECOND_IN: u64 = 5;

/// The fault of a round comes within so many milliseconds: about as long as its turns take.
pub const FAULTS_PAUSE_MS_MAX: u64 = 300;

/// Faults of the short run that belongs to the tests.
pub const FAULTS_ROUNDS_IN_TESTS: u32 = 14;
