//! The process that ends containers when the engine could not: it reads the lives that go on
//! from a pipe, and when the pipe closes, for whatever reason, it kills what is left of them.
//!
//! The kernel already kills each container's first process with the engine; this reaches the
//! processes those had started. It must be a process, since a killed engine runs nothing more.
//!
//! *Invariant:* the engine reports a life before anything could outlive it unknown, and takes it
//! back only after it was swept.

use std::collections::BTreeMap;
use std::io::{BufRead, Error, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::process::{Life, sweep};
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

    /// A life has begun.
    pub fn running(&self, life: &Life) {
        self.tell(&format!("+{} {}\n", life.session, life.mark));
    }

    /// A life has ended and was swept.
    pub fn ended(&self, life: &Life) {
        self.tell(&format!("-{}\n", life.session));
    }

    fn tell(&self, line: &str) {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        // One write: a line cut in half by the engine's death would be lost.
        if let Err(error) = pipe.write_all(line.as_bytes()) {
            report(&format!("the clean-up process is gone ({error}); stop the engine gently"));
        }
    }
}

/// The body of the process: returns when the engine is gone and its containers are ended.
pub fn serve(pipe: impl BufRead) {
    let mut lives = BTreeMap::new();
    // A line that cannot be read means what the end means: the engine is gone.
    for line in pipe.lines().map_while(Result::ok) {
        apply(&mut lives, &line);
    }
    for (session, mark) in lives {
        if let Err(error) = sweep(&Life { session, mark }) {
            report(&format!("cannot end the processes of session {session}: {error}"));
        }
    }
}

fn apply(lives: &mut BTreeMap<u32, String>, line: &str) {
    if let Some((session, mark)) = line.strip_prefix('+').and_then(|text| text.split_once(' ')) {
        if let Ok(session) = session.parse() {
            lives.insert(session, mark.to_owned());
        }
    } else if let Some(session) = line.strip_prefix('-').and_then(|text| text.parse().ok()) {
        lives.remove(&session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lives_that_were_not_taken_back_are_left() {
        let mut lives = BTreeMap::new();
        for line in ["+7 a", "+8 b", "-7", "nonsense", "+9 c", "+x d", "+10"] {
            apply(&mut lives, line);
        }
        assert_eq!(lives, BTreeMap::from([(8, "b".to_owned()), (9, "c".to_owned())]));
    }
}
