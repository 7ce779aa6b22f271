//! Ending what a container's process left behind.
//!
//! A tool that starts its own process group escapes a signal to the container's group, but stays
//! in the container's session. A tool that makes its own session (`setsid`) leaves that too, but
//! carries the mark of the container's life in its environment, which children inherit. Out of
//! reach is only a process that does both: leaves the session and starts its program with an
//! environment that lacks the mark (`setsid env -i`), or that runs as another user. There is no
//! isolation here; such a process has no proxy in its environment either, and the proxy of the life
//! it came from is closed.

use std::fs::{File, metadata, read_dir, read_to_string};
use std::io::{Error, Read};
use std::os::unix::fs::MetadataExt;

use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::limits::{
    ENVIRONMENT_BYTES_MAX, SWEEP_PROCESSES_MAX, SWEEP_QUIET_ROUNDS_MIN, SWEEP_ROUNDS_MAX,
};

/// The variable that holds the mark of a container's life.
pub const LIFE: &str = "CONTAINER_ENGINE_LIFE";

/// One life of a container: what is between a start and the end of its first process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// The session that its first process leads, which is that process's id.
    pub session: u32,
    /// The value of [`LIFE`] in its environment, unlike that of any other life.
    pub mark: String,
}

/// Kills every process of a life, and reports what could not be done.
pub fn sweep(life: &Life) -> Result<(), Error> {
    let variable = format!("{LIFE}={}", life.mark);
    let mut quiet_rounds = 0;
    for _ in 0..SWEEP_ROUNDS_MAX {
        let members = living_members(life.session, variable.as_bytes())?;
        if members.is_empty() {
            quiet_rounds += 1;
        } else {
            quiet_rounds = 0;
            kill_all(&members)?;
        }
        if quiet_rounds == SWEEP_QUIET_ROUNDS_MIN {
            break;
        }
    }
    Ok(())
}

/// Tries all before it reports a failure.
fn kill_all(members: &[Pid]) -> Result<(), Error> {
    let mut outcome = Ok(());
    for pid in members {
        match kill_process(*pid, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => outcome = Err(error.into()),
        }
    }
    outcome
}

fn living_members(session: u32, variable: &[u8]) -> Result<Vec<Pid>, Error> {
    let mut members = Vec::new();
    for (count, entry) in read_dir("/proc")?.enumerate() {
        if count == SWEEP_PROCESSES_MAX {
            let message = format!("there are more than {SWEEP_PROCESSES_MAX} processes");
            return Err(Error::other(message));
        }
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|text| text.parse::<i32>().ok()) else { continue };
        // A process that ended since the listing has no file any more.
        let Ok(stat) = read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let Some(found) = living_session(&stat) else { continue };
        if found == session || is_marked(pid, variable) {
            members.extend(Pid::from_raw(pid));
        }
    }
    Ok(members)
}

/// The session of a process that still runs, from `/proc/<pid>/stat` (`proc_pid_stat(5)`). The
/// second field, the program's name in parentheses, may hold anything, so the fields are counted
/// from its last parenthesis.
fn living_session(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let session = fields.nth(2)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(session)
}

/// Whether a process of this user has the variable in its environment. One that has ended
/// meanwhile, or that may not be looked into, has not.
fn is_marked(pid: i32, variable: &[u8]) -> bool {
    let folder = format!("/proc/{pid}");
    if !metadata(&folder).is_ok_and(|folder| folder.uid() == geteuid().as_raw()) {
        return false;
    }
    let Ok(file) = File::open(format!("{folder}/environ")) else { return false };
    let mut environment = Vec::new();
    let read = file.take(ENVIRONMENT_BYTES_MAX).read_to_end(&mut environment);
    read.is_ok() && holds(&environment, variable)
}

/// Whether an environment, as `/proc/<pid>/environ` shows it, holds exactly this variable.
fn holds(environment: &[u8], variable: &[u8]) -> bool {
    environment.split(|byte| *byte == 0).any(|entry| entry == variable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_is_read_past_any_program_name() {
        assert_eq!(living_session("7 (sh) S 1 7 42 0 -1"), Some(42));
        assert_eq!(living_session("7 (a) Z 9 9) S 1 7 42 0 -1"), Some(42));
        assert_eq!(living_session("7 (sh) Z 1 7 42 0 -1"), None);
        assert_eq!(living_session(""), None);
    }

    #[test]
    fn only_the_whole_variable_counts() {
        let environment = b"A=1\0CONTAINER_ENGINE_LIFE=ab\0B=CONTAINER_ENGINE_LIFE=cd\0";
        assert!(holds(environment, b"CONTAINER_ENGINE_LIFE=ab"));
        for other in ["a", "abc", "cd", ""] {
            assert!(!holds(environment, format!("{LIFE}={other}").as_bytes()), "{other}");
        }
        assert!(!holds(b"", b"CONTAINER_ENGINE_LIFE=ab"));
    }
}
