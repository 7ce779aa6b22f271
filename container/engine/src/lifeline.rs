//! The process that ends containers when the engine could not: it reads the sessions that run from
//! a pipe, and when the pipe closes, for whatever reason, it kills what is left of them.
//!
//! The kernel already kills each container's first process with the engine; this reaches the
//! processes those had started. It must be a process, since a killed engine runs nothing more.
//!
//! *Invariant:* the engine reports a session before anything could outlive it unknown, and takes
//! it back only after it was swept.

use std::collections::BTreeSet;
use std::io::{BufRead, Error, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::process::sweep;
use crate::terminal::report;

/// The engine's end of the pipe.
#[derive(Debug)]
pub struct Lifeline {
    pipe: Mutex<ChildStdin>,
    /// Held so that the process is known to be this engine's; it ends when the pipe closes.
    _process: Child,
}

/// Why the process was not started.
#[derive(Debug, thiserror::Error)]
pub enum LifelineError {
    /// The engine's own program was not found or not started.
    #[error("cannot start the process that cleans up after the engine")]
    Spawn(#[source] Error),
    /// It has no pipe, which the standard library rules out.
    #[error("the process that cleans up after the engine has no pipe")]
    NoPipe,
}

impl Lifeline {
    /// Starts the process from the engine's own program.
    pub fn start() -> Result<Self, LifelineError> {
        let program = std::env::current_exe().map_err(LifelineError::Spawn)?;
        let mut command = Command::new(program);
        command.arg("--lifeline").stdin(Stdio::piped()).stdout(Stdio::null());
        // Its own group: a Ctrl-C meant for the engine must not end it first.
        let mut process = command.process_group(0).spawn().map_err(LifelineError::Spawn)?;
        let pipe = process.stdin.take().ok_or(LifelineError::NoPipe)?;
        Ok(Self { pipe: Mutex::new(pipe), _process: process })
    }

    /// A session runs.
    pub fn running(&self, session: u32) {
        self.tell('+', session);
    }

    /// A session has ended and was swept.
    pub fn ended(&self, session: u32) {
        self.tell('-', session);
    }

    fn tell(&self, sign: char, session: u32) {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        // One write: a line cut in half by the engine's death would be lost.
        if let Err(error) = pipe.write_all(format!("{sign}{session}\n").as_bytes()) {
            report(&format!("the clean-up process is gone ({error}); stop the engine gently"));
        }
    }
}

/// The body of the process: returns when the engine is gone and its sessions are ended.
pub fn serve(pipe: impl BufRead) {
    let mut sessions = BTreeSet::new();
    // A line that cannot be read means what the end means: the engine is gone.
    for line in pipe.lines().map_while(Result::ok) {
        apply(&mut sessions, &line);
    }
    for session in sessions {
        if let Err(error) = sweep(session) {
            report(&format!("cannot end the processes of session {session}: {error}"));
        }
    }
}

fn apply(sessions: &mut BTreeSet<u32>, line: &str) {
    if let Some(session) = line.strip_prefix('+').and_then(|text| text.parse().ok()) {
        sessions.insert(session);
    } else if let Some(session) = line.strip_prefix('-').and_then(|text| text.parse().ok()) {
        sessions.remove(&session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sessions_that_were_not_taken_back_are_left() {
        let mut sessions = BTreeSet::new();
        for line in ["+7", "+8", "-7", "nonsense", "+9", "+x"] {
            apply(&mut sessions, line);
        }
        assert_eq!(sessions, BTreeSet::from([8, 9]));
    }
}
