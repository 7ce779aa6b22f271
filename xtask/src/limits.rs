//! Every bound of this program, with its reason.

use std::time::Duration;

/// Lines of a failed command's log that are shown: a few compiler errors or failed tests fit.
pub(crate) const LOG_TAIL_LINES_MAX: usize = 100;

/// Bytes read from the end of a log to find those lines; compiler lines stay far below 1 KiB.
pub(crate) const LOG_TAIL_BYTES_MAX: u64 = 64 * 1024;

/// Between two lines that say what a long setup is busy with.
pub(crate) const PROGRESS_INTERVAL_MAX: Duration = Duration::from_secs(30);

/// Bytes of a file that is still taken for a source: ten times the largest lock file or picture.
pub(crate) const SOURCE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Built Workers kept in the cache: a few branches' worth, about 1 MB each.
pub(crate) const WORKER_CACHE_ENTRIES_MAX: usize = 8;

/// From the start of a process of `dev` until it must be ready. A cold workerd takes 3 s on a calm
/// machine; ten times that still tells a hang from a slow start.
pub(crate) const PROCESS_READY_SECONDS_MAX: u64 = 60;

/// From TERM to KILL when `dev` stops. The runtime may flush for 10 s at its own drain bound.
pub(crate) const PROCESS_STOP_SECONDS_MAX: u64 = 12;

/// One message of `--say`, from sending to the turn's end, a cold start and tool calls included.
pub(crate) const REPLY_SECONDS_MAX: u64 = 300;

/// A restore, from asking to the agent's word. It reads what is newer than the control export, some
/// hundred objects at the most; Node itself gives up after 300 s.
pub(crate) const RESTORE_SECONDS_MAX: u64 = 290;

/// Bytes of the agent's answer to a restore: some thousand warnings.
pub(crate) const RESTORE_ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of a Unix socket's path that every system takes (Linux 107, macOS 103).
pub(crate) const SOCKET_PATH_BYTES_MAX: usize = 100;

/// Ports tried from the default one upward before the system chooses.
pub(crate) const PORT_ATTEMPTS_MAX: u16 = 20;

/// A line of a child's output that is kept in memory; longer ones are cut for matching only.
pub(crate) const LINE_BYTES_MAX: usize = 64 * 1024;

/// Where a free port is looked for first: Linux takes those for outgoing connections from 32768 up.
pub(crate) const FREE_PORTS: std::ops::Range<u16> = 20_000..32_000;

/// How many of them are tried before the system is asked.
pub(crate) const FREE_PORT_ATTEMPTS_MAX: usize = 200;
