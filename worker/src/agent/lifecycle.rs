//! The container's life as a state machine: pure, the driver in `agent/wake.rs` performs it.
//!
//! Invariants: an epoch is in the books before its container is started, so no two lives ever share
//! one; only [`Lifecycle::Ready`] takes turns; a failure always knows when the next try is.

use protocol::Epoch;
use serde::{Deserialize, Serialize};

use crate::limits::{RESTART_PAUSE_MS_FIRST, RESTART_PAUSE_MS_MAX};

/// Where the container is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum Lifecycle {
    /// Not running, and nobody needs it.
    Cold,
    /// Started; not yet healthy.
    Starting {
        /// When it was started.
        since_ms: u64,
        /// Failed starts in a row before this one.
        failures: u32,
    },
    /// Healthy; takes turns.
    Ready {
        /// Since when.
        since_ms: u64,
    },
    /// Told to finish and exit.
    Draining {
        /// When it was told.
        since_ms: u64,
    },
    /// Did not start, or died before it was healthy.
    Failed {
        /// When.
        since_ms: u64,
        /// Failed starts in a row.
        failures: u32,
        /// Why, in one sentence.
        reason: String,
        /// Not to be started again before this.
        next_try_ms: u64,
    },
}

/// What to do when the container is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wake {
    /// It is there: use it.
    Use,
    /// Start a new life.
    Start,
    /// It is on its way out: await its end, then ask again.
    AwaitExit,
    /// Too soon after a failure: ask again then.
    Pause {
        /// When to ask again.
        until_ms: u64,
    },
}

impl Lifecycle {
    /// What to do when the container is needed; `running` is what the platform says.
    pub(crate) fn wake(&self, running: bool, now_ms: u64) -> Wake {
        match self {
            Self::Ready { .. } if running => Wake::Use,
            Self::Draining { .. } if running => Wake::AwaitExit,
            Self::Failed { next_try_ms, .. } if now_ms < *next_try_ms => {
                Wake::Pause { until_ms: *next_try_ms }
            }
            _ => Wake::Start,
        }
    }

    /// The state of a new life.
    pub(crate) fn starting(&self, now_ms: u64) -> Self {
        Self::Starting { since_ms: now_ms, failures: self.failures() }
    }

    /// The state after a failed start.
    pub(crate) fn failed(&self, reason: String, now_ms: u64) -> Self {
        let failures = self.failures().saturating_add(1);
        let doublings = (failures - 1).min(16);
        let pause_ms = (RESTART_PAUSE_MS_FIRST << doublings).min(RESTART_PAUSE_MS_MAX);
        Self::Failed { since_ms: now_ms, failures, reason, next_try_ms: now_ms + pause_ms }
    }

    /// The state after the process of `exited` has ended, when `current` is the newest epoch.
    /// `None` when that changes nothing.
    pub(crate) fn exited(&self, exited: Epoch, current: Epoch) -> Option<Self> {
        match self {
            Self::Ready { .. } | Self::Draining { .. } if exited == current => Some(Self::Cold),
            // A start in progress hears of the exit by its own probe and knows the reason.
            _ => None,
        }
    }

    fn failures(&self) -> u32 {
        match self {
            Self::Starting { failures, .. } | Self::Failed { failures, .. } => *failures,
            Self::Cold | Self::Ready { .. } | Self::Draining { .. } => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed_at(state: &Lifecycle, now_ms: u64) -> u64 {
        match state {
            Lifecycle::Failed { next_try_ms, .. } => next_try_ms - now_ms,
            other => panic!("not failed: {other:?}"),
        }
    }

    #[test]
    fn a_dead_container_in_ready_state_is_started_anew() {
        let ready = Lifecycle::Ready { since_ms: 1 };
        assert_eq!(ready.wake(true, 2), Wake::Use);
        assert_eq!(ready.wake(false, 2), Wake::Start);
    }

    #[test]
    fn a_start_that_an_object_reset_cut_off_is_started_anew() {
        let starting = Lifecycle::Starting { since_ms: 1, failures: 0 };
        assert_eq!(starting.wake(true, 2), Wake::Start);
    }

    #[test]
    fn failed_starts_wait_longer_each_time_up_to_the_bound() {
        let mut state = Lifecycle::Cold;
        let mut pauses = Vec::new();
        for _ in 0..12 {
            state = state.starting(1000).failed("it died".into(), 1000);
            pauses.push(failed_at(&state, 1000));
            assert!(matches!(state.wake(false, 1000), Wake::Pause { .. }));
        }
        assert!(pauses.is_sorted(), "{pauses:?}");
        assert_eq!(pauses[0], RESTART_PAUSE_MS_FIRST);
        assert_eq!(pauses[11], RESTART_PAUSE_MS_MAX);
    }

    #[test]
    fn a_healthy_life_forgets_former_failures() {
        let failed = Lifecycle::Cold.failed("x".into(), 0).failed("x".into(), 0);
        assert_eq!(failed_at(&failed, 0), 2 * RESTART_PAUSE_MS_FIRST);
        let again = Lifecycle::Ready { since_ms: 0 }.failed("y".into(), 0);
        assert_eq!(failed_at(&again, 0), RESTART_PAUSE_MS_FIRST);
    }

    #[test]
    fn the_exit_of_a_former_life_changes_nothing() {
        let ready = Lifecycle::Ready { since_ms: 1 };
        assert_eq!(ready.exited(Epoch(1), Epoch(2)), None);
        assert_eq!(ready.exited(Epoch(2), Epoch(2)), Some(Lifecycle::Cold));
    }
}
