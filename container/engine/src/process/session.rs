//! Ending what a container's process left behind.
//!
//! A tool that starts its own process group escapes a signal to the container's group, but stays
//! in the container's session. A process that makes its own session escapes this too: there is no
//! isolation here.

use std::fs::{read_dir, read_to_string};

use rustix::process::{Pid, Signal, kill_process};

use crate::limits::SWEEP_ROUNDS_MAX;

/// Kills every process of the session that `leader` led, and reports what could not be done.
pub fn sweep(leader: u32) -> Result<(), std::io::Error> {
    for _ in 0..SWEEP_ROUNDS_MAX {
        let members = living_members(leader)?;
        if members.is_empty() {
            return Ok(());
        }
        for pid in members {
            match kill_process(pid, Signal::KILL) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

fn living_members(session: u32) -> Result<Vec<Pid>, std::io::Error> {
    let mut members = Vec::new();
    for entry in read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|text| text.parse::<i32>().ok()) else { continue };
        // A process that ended since the listing has no file any more.
        let Ok(stat) = read_to_string(format!("/proc/{pid}/stat")) else { continue };
        if is_living_member(&stat, session) {
            members.extend(Pid::from_raw(pid));
        }
    }
    Ok(members)
}

/// Reads `/proc/<pid>/stat` (`proc_pid_stat(5)`). The second field, the program's name in
/// parentheses, may hold anything, so the fields are counted from its last parenthesis.
fn is_living_member(stat: &str, session: u32) -> bool {
    let Some((_, rest)) = stat.rsplit_once(')') else { return false };
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next();
    let member = fields.nth(2).and_then(|text| text.parse::<u32>().ok()) == Some(session);
    member && !matches!(state, Some("Z" | "X"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_is_read_past_any_program_name() {
        assert!(is_living_member("7 (sh) S 1 7 42 0 -1", 42));
        assert!(is_living_member("7 (a) Z 9 9) S 1 7 42 0 -1", 42));
        assert!(!is_living_member("7 (sh) S 1 42 7 0 -1", 42));
        assert!(!is_living_member("7 (sh) Z 1 7 42 0 -1", 42));
        assert!(!is_living_member("", 42));
    }
}
