//! Every bound of the engine, each with its reason.

/// Longest container name. `<name>.log` and `<name>` must be file names (255 bytes on Linux), and
/// workerd's names are about 30 bytes plus a 64-digit object id.
pub const NAME_BYTES_MAX: usize = 200;

/// Largest body of `POST /containers/create`. Linux passes at most 2 MiB of arguments and
/// environment to a process, and JSON escaping rarely doubles them.
pub const CREATE_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Largest body of `PUT /containers/{name}/archive`, which is read and dropped: one certificate.
pub const ARCHIVE_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Largest body of `PUT /egress` on the sidecar: a port and a list of host names.
pub const EGRESS_BODY_BYTES_MAX: usize = 256 * 1024;

/// Containers that may exist at once, sidecars included. Each app is a process on a developer's
/// machine, so this is far above use and far below the process limit.
pub const CONTAINERS_MAX: usize = 256;

/// Open connections to the API socket. Each running container holds one `wait` long poll; the
/// rest are short calls.
pub const API_CONNECTIONS_MAX: usize = 2 * CONTAINERS_MAX;

/// Open connections into one app through its sidecar: requests and sockets of one agent.
pub const INGRESS_CONNECTIONS_MAX: usize = 256;

/// Open connections from one app to its forward proxy.
pub const PROXY_CONNECTIONS_MAX: usize = 256;

/// Open tunnels from one sidecar to workerd: one per request in flight plus the idle ones.
pub const TUNNELS_MAX: usize = 256;

/// Idle tunnels kept per host: as many as requests usually run side by side to one host.
pub const IDLE_TUNNELS_PER_HOST_MAX: usize = 8;

/// How long an idle tunnel is kept. workerd's HTTP server closes a connection that was idle for
/// five seconds; giving it up earlier keeps a request from racing with that close.
pub const IDLE_TUNNEL_MILLISECONDS_MAX: u64 = 3_000;

/// Time to open a loopback connection and, for a tunnel, to hear workerd's verdict. workerd
/// answers after it has dialled the origin when a request is passed through raw.
pub const CONNECT_SECONDS_MAX: u64 = 20;

/// Time to resolve a host name. The system resolver gives up after about this long.
pub const RESOLVE_SECONDS_MAX: u64 = 10;

/// Buffer of one direction of a spliced connection: two 16 KiB TLS records or a large model
/// event, without a second read.
pub const SPLICE_BUFFER_BYTES: usize = 32 * 1024;

/// Bytes read at once from a tunnel that was hung up on: what is left of one answer, usually short.
pub const HANG_UP_READ_BYTES_MAX: usize = 4 * 1024;

/// Largest request or response head on any connection. workerd forwards browser headers, whose
/// sum servers commonly bound at 8 to 64 KiB.
pub const HEAD_BYTES_MAX: usize = 128 * 1024;

/// Time from SIGKILL until the process must be reaped. The kernel needs longer only when the
/// process is stuck in uninterruptible I/O, and then the caller must hear of it.
pub const KILL_SECONDS_MAX: u64 = 10;

/// Rounds of looking for left-over processes of a session. Each round kills all it sees, so a
/// second finds only what was forked in between; a program that forks faster is not chased for ever.
pub const SWEEP_ROUNDS_MAX: usize = 16;

/// Rounds in a row that must find nothing before a sweep is over. A process that is just replacing
/// its program shows an empty environment for some microseconds, so one round could miss it.
pub const SWEEP_QUIET_ROUNDS_MIN: usize = 2;

/// Processes that one round of a sweep looks at. Linux numbers at most 4,194,304, but a machine with
/// this many is not one that somebody develops on, and the sweep holds up the container's exit.
pub const SWEEP_PROCESSES_MAX: usize = 262_144;

/// Bytes of one process's environment that a sweep reads. Linux gives arguments and environment
/// together at most three quarters of 8 MiB.
pub const ENVIRONMENT_BYTES_MAX: u64 = 6 * 1024 * 1024;

/// Bytes of a request body that are read and dropped after nobody upstream wants them any more.
/// A client that sends on while nobody reads would meet a reset before it has read the answer.
/// Bodies that servers refuse for their size are a few times their bound, which is some megabytes.
pub const UPLOAD_DRAIN_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Time for the same: over loopback the bytes above take far less, and a client that pauses for
/// longer than this has read its answer.
pub const UPLOAD_DRAIN_SECONDS_MAX: u64 = 10;

/// Tries to find a free port that no other container was given.
pub const PORT_TRIES_MAX: usize = 64;

/// A container's log is started anew at `start` when it has grown beyond this; the old one is
/// kept once, so a log takes at most about twice this between restarts.
pub const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Longest line that is printed with a prefix; longer ones are printed in pieces.
pub const LOG_LINE_BYTES_MAX: usize = 8 * 1024;

/// Pause after a failed `accept`, which fails for want of file descriptors: retrying at once
/// would spin.
pub const ACCEPT_RETRY_MILLISECONDS: u64 = 50;

const _: () = assert!(NAME_BYTES_MAX + ".log.old".len() <= 255, "a log's name must be a file name");
const _: () = assert!(CONTAINERS_MAX < API_CONNECTIONS_MAX, "waits must leave room for calls");
const _: () = assert!(SWEEP_QUIET_ROUNDS_MIN < SWEEP_ROUNDS_MAX, "a sweep must be able to end");
const _: () = assert!(IDLE_TUNNEL_MILLISECONDS_MAX < 5_000, "workerd closes idle tunnels at 5 s");
