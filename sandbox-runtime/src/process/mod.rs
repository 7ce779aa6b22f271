//! Spawning: the only room that starts other programs.
//!
//! Invariants: a command is the leader of its own process group, and the whole group is killed when
//! the command runs out of time or when its future is dropped. What it prints is handed on while it
//! runs and never gathered here.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::limits::{COMMAND_PIPE_LINGER, COMMAND_READ_BYTES};

#[cfg(test)]
mod tests;

/// Variables of this process that would mislead a command: the port is taken, and the rest is
/// about this process.
const VARIABLES_WITHHELD: [&str; 3] = ["PORT", "EPOCH", "LOG"];
/// Variables that keep a command from waiting for a person.
const VARIABLES_ADDED: [(&str, &str); 4] =
    [("TERM", "dumb"), ("PAGER", "cat"), ("GIT_PAGER", "cat"), ("GIT_TERMINAL_PROMPT", "0")];

/// Variables that every command is given beside those of this process.
pub type CommandVariables = Vec<(&'static str, String)>;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandEnd {
    /// Its shell exited.
    Exited {
        /// With this status.
        status: ExitStatus,
        /// Something it started runs on and still held its output.
        left_running: bool,
    },
    /// It ran out of time and was killed with all it had started.
    TimedOut,
}

/// Why a command could not be run.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// No pipe.
    #[error("a pipe for the command's output could not be made")]
    Pipe(#[source] io::Error),
    /// No process.
    #[error("the shell could not be started")]
    Spawn(#[source] io::Error),
    /// The process was lost.
    #[error("the command's end could not be awaited")]
    Wait(#[source] io::Error),
}

/// Runs `script` in a shell in `folder` and gives what it prints, standard output and standard
/// error through one pipe and so in their true order, to `output` piece by piece.
pub async fn run_shell(
    script: &str,
    folder: &Path,
    variables: &CommandVariables,
    limit: Duration,
    mut output: impl FnMut(&[u8]),
) -> Result<CommandEnd, CommandError> {
    let deadline = Instant::now() + limit;
    let (mut pipe, mut child) = spawn(script, folder, variables)?;
    let group = Group::of(&child);
    let mut buffer = vec![0; COMMAND_READ_BYTES];

    let status = loop {
        tokio::select! {
            read = pipe.read(&mut buffer) => match read.map_err(CommandError::Pipe)? {
                0 => match timeout_at(deadline, child.wait()).await {
                    Ok(status) => break status.map_err(CommandError::Wait)?,
                    Err(_elapsed) => return Ok(CommandEnd::TimedOut),
                },
                count => output(buffer.get(..count).unwrap_or_default()),
            },
            status = child.wait() => {
                let status = status.map_err(CommandError::Wait)?;
                let left_running = linger(&mut pipe, &mut buffer, &mut output).await?;
                group.release();
                return Ok(CommandEnd::Exited { status, left_running });
            }
            () = sleep_until(deadline) => return Ok(CommandEnd::TimedOut),
        }
    };
    group.release();
    Ok(CommandEnd::Exited { status, left_running: false })
}

/// Reads what the pipe still holds after the shell has exited. `true` when something still has the
/// other end open.
async fn linger(
    pipe: &mut pipe::Receiver,
    buffer: &mut [u8],
    output: &mut impl FnMut(&[u8]),
) -> Result<bool, CommandError> {
    let until = Instant::now() + COMMAND_PIPE_LINGER;
    // The clock is asked as well: a pipe that is never empty would never let the timeout be seen.
    while Instant::now() < until {
        match timeout_at(until, pipe.read(buffer)).await {
            Ok(read) => match read.map_err(CommandError::Pipe)? {
                0 => return Ok(false),
                count => output(buffer.get(..count).unwrap_or_default()),
            },
            Err(_elapsed) => break,
        }
    }
    Ok(true)
}

fn spawn(
    script: &str,
    folder: &Path,
    variables: &CommandVariables,
) -> Result<(pipe::Receiver, Child), CommandError> {
    let (reader, writer) = io::pipe().map_err(CommandError::Pipe)?;
    let second = writer.try_clone().map_err(CommandError::Pipe)?;
    let pipe = pipe::Receiver::from_owned_fd(OwnedFd::from(reader)).map_err(CommandError::Pipe)?;
    let mut command = Command::new("bash");
    command
        .arg("-c")
        .arg(script)
        .current_dir(folder)
        .envs(VARIABLES_ADDED)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(second)
        .process_group(0);
    for name in VARIABLES_WITHHELD {
        command.env_remove(name);
    }
    // `command` holds our copies of the writing end and is dropped here, so that the pipe ends
    // when the last process that has it does.
    let child = command.spawn().map_err(CommandError::Spawn)?;
    Ok((pipe, child))
}

/// The process group of a running command. Dropped, it is killed.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(id.cast_signed())))
    }

    /// The command's shell has exited: what it left running on purpose may stay.
    fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0
            && let Err(error) = kill_process_group(group, Signal::KILL)
        {
            tracing::debug!(%error, "the command's process group was already gone");
        }
    }
}
