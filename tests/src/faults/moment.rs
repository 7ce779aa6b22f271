//! When a fault comes: after a time, at a question to the model, or right behind a side effect.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::chance::Chance;
use super::player::Player;
use crate::limits::{FAULTS_MOMENT, FAULTS_PAUSE_MS_MAX, POLL};

/// The instant of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// So many milliseconds after the messages.
    After(u64),
    /// While the model answers for the so manieth time from now on.
    Call(usize),
    /// A side effect has happened and its call has not ended.
    Effect,
}

/// Most questions that are waited for: about as many as the turns of one round ask.
const CALLS_MAX: u64 = 12;

impl Moment {
    /// The next one.
    pub(super) fn choose(chance: &mut Chance) -> Self {
        match chance.below(4) {
            0 => Self::Effect,
            // Conversions of numbers this small do not fail.
            1 => Self::Call(1 + usize::try_from(chance.below(CALLS_MAX)).unwrap_or(0)),
            _ => Self::After(chance.below(FAULTS_PAUSE_MS_MAX)),
        }
    }

    /// Waits for it. An event that does not come is not waited for for ever.
    pub(super) async fn come(self, player: &Player, effects: &Path) {
        let calls = player.calls();
        let lines = bytes_below(effects);
        let deadline = Instant::now() + FAULTS_MOMENT;
        match self {
            Self::After(ms) => sleep(Duration::from_millis(ms)).await,
            Self::Call(count) => {
                until(deadline, || player.calls() >= calls + count).await;
            }
            Self::Effect => until(deadline, || bytes_below(effects) > lines).await,
        }
    }
}

async fn until(deadline: Instant, come: impl Fn() -> bool) {
    while !come() && Instant::now() < deadline {
        sleep(POLL).await;
    }
}

/// Bytes of all files of a folder; each side effect adds some.
fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|about| about.len()).sum()
}
