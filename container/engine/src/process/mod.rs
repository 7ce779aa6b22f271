//! Starting, signalling and ending the processes behind containers.
//!
//! *Invariant:* a container's process leads a session of its own and dies with the engine; once
//! it has ended, nothing of its session or with its mark is left running, as nothing outlives the
//! first process of a real container.

pub mod disk;
pub mod environment;
pub mod log;
mod session;
pub mod signal;

use std::ffi::OsString;
use std::io::Error;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

pub use session::{LIFE, Life, sweep};

use crate::process::log::Outputs;

/// What to start.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The program and its arguments.
    pub command: &'a [OsString],
    /// The whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The working directory.
    pub folder: &'a Path,
    /// Where its output goes.
    pub outputs: Outputs,
}

/// Why a process was not started or signalled.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The command is empty; creation refuses that for apps.
    #[error("no command specified")]
    NoCommand,
    /// The operating system refused to start it.
    #[error("exec: {program:?}: cannot start it")]
    Spawn {
        /// The program's path.
        program: OsString,
        /// Why.
        #[source]
        source: Error,
    },
    /// The signal was not delivered.
    #[error("cannot signal the process group {pid}")]
    Signal {
        /// The leader of the group.
        pid: u32,
        /// Why.
        #[source]
        source: Error,
    },
}

/// Starts a process as the leader of a new session.
///
/// Must be called on a thread that lives as long as the engine: the kernel ends the child when the
/// *thread* that made it ends. The engine's only runtime thread is its main thread.
pub fn spawn(launch: Launch<'_>) -> Result<Child, ProcessError> {
    let (program, arguments) = launch.command.split_first().ok_or(ProcessError::NoCommand)?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(launch.environment);
    command.current_dir(launch.folder).stdin(Stdio::null());
    command.stdout(launch.outputs.stdout).stderr(launch.outputs.stderr);
    command.kill_on_drop(true);
    die_with_the_engine(&mut command);
    command.spawn().map_err(|source| ProcessError::Spawn { program: program.clone(), source })
}

/// Makes the child lead a session and be killed when the engine is gone, however it went.
#[expect(unsafe_code, reason = "only between fork and exec can a child ask for this")]
fn die_with_the_engine(command: &mut Command) {
    let engine = rustix::process::getpid();
    let prepare = move || {
        rustix::process::setsid()?;
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The engine may have died before the line above; then no signal would ever come.
        if rustix::process::getppid() == Some(engine) {
            Ok(())
        } else {
            Err(rustix::io::Errno::SRCH.into())
        }
    };
    // SAFETY: the closure makes three system calls and touches no memory but its own copy of a
    // number: no allocation, no lock, nothing that fork leaves in an unknown state.
    unsafe {
        command.pre_exec(prepare);
    }
}

/// Sends a signal to a container's process group. A group that has just ended is no failure.
pub fn signal_group(pid: u32, signal: Signal) -> Result<(), ProcessError> {
    let Some(group) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Ok(());
    };
    match rustix::process::kill_process_group(group, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(ProcessError::Signal { pid, source: error.into() }),
    }
}

/// The exit code Docker reports: death by signal n is 128 + n.
pub fn exit_code(status: ExitStatus) -> i32 {
    match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => -1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_as_docker_reports_them() {
        assert_eq!(exit_code(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(exit_code(ExitStatus::from_raw(9)), 137);
        assert_eq!(exit_code(ExitStatus::from_raw(15)), 143);
    }
}
