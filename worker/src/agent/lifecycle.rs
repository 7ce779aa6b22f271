//! The container's life as a state machine: pure, the driver in `agent/wake.rs` performs it.
//!
//! Invariants: an epoch is in the books before its container is started, so no two lives ever share
//! one; only a healthy life that is not there for maintenance takes turns; a failure always knows
//! when the next try is.

use protocol::Epoch;
use serde::{Deserialize, Serialize};

use crate::limits::{HEALTHY_LIFE_MS, RESTART_PAUSE_MS_FIRST, RESTART_PAUSE_MS_MAX};

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
        /// Failures in a row before this start.
        failures: u32,
    },
    /// Healthy; takes turns while it brings the workspace back.
    Restoring {
        /// Since when.
        since_ms: u64,
        /// Failures in a row before this life.
        #[serde(default)]
        failures: u32,
    },
    /// Healthy; the workspace is in place.
    Ready {
        /// Since when.
        since_ms: u64,
        /// Failures in a row before this life.
        #[serde(default)]
        failures: u32,
    },
    /// Tidies the workspace's repository and takes no turns.
    Maintaining {
        /// Since when.
        since_ms: u64,
        /// Failures in a row before this life.
        #[serde(default)]
        failures: u32,
    },
    /// Told to finish and exit.
    Draining {
        /// When it was told.
        since_ms: u64,
    },
    /// Did not start, or died before it got anything done.
    Failed {
        /// When.
        since_ms: u64,
        /// Failures in a row.
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
    /// What it does can wait, or is of no use: ask it to exit, then await its end.
    Interrupt,
    /// Too soon after a failure: ask again then.
    Pause {
        /// When to ask again.
        until_ms: u64,
    },
}

/// What there is of the container when it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    /// Nothing runs, as the platform says.
    Gone,
    /// It runs.
    Running,
    /// It runs, and its workspace could not be restored.
    Lame,
}

/// What a healthy container is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To run turns.
    Turns,
    /// To tidy the workspace's repository.
    Maintenance,
}

/// How a life of the container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    /// Why, as far as the platform says.
    pub(crate) reason: String,
    /// Whether this life got anything done: a life that did is no sign of a crash loop, however it
    /// ended. Hosts restart at any time.
    pub(crate) productive: bool,
}

impl Lifecycle {
    /// What to do when the container is needed for turns. From a lame one nothing can be had; another
    /// life tries to restore again.
    pub(crate) fn wake(&self, process: Process, now_ms: u64) -> Wake {
        let running = process != Process::Gone;
        match self {
            Self::Ready { .. } | Self::Restoring { .. } if process == Process::Lame => {
                Wake::Interrupt
            }
            Self::Ready { .. } | Self::Restoring { .. } if running => Wake::Use,
            Self::Draining { .. } if running => Wake::AwaitExit,
            Self::Maintaining { .. } if running => Wake::Interrupt,
            Self::Failed { next_try_ms, .. } if now_ms < *next_try_ms => {
                Wake::Pause { until_ms: *next_try_ms }
            }
            _ => Wake::Start,
        }
    }

    /// Whether turns may be posted to it.
    pub(crate) fn takes_turns(&self) -> bool {
        matches!(self, Self::Ready { .. } | Self::Restoring { .. })
    }

    /// The state of a new life.
    pub(crate) fn starting(&self, now_ms: u64) -> Self {
        Self::Starting { since_ms: now_ms, failures: self.failures() }
    }

    /// The state of a life that has become healthy.
    pub(crate) fn healthy(&self, purpose: Purpose, now_ms: u64) -> Self {
        let (since_ms, failures) = (now_ms, self.failures());
        match purpose {
            Purpose::Turns => Self::Restoring { since_ms, failures },
            Purpose::Maintenance => Self::Maintaining { since_ms, failures },
        }
    }

    /// The state once the workspace is in place; `None` when that changes nothing.
    pub(crate) fn restored(&self, now_ms: u64) -> Option<Self> {
        match self {
            Self::Restoring { failures, .. } => {
                Some(Self::Ready { since_ms: now_ms, failures: *failures })
            }
            _ => None,
        }
    }

    /// The state after a failure. The first one is followed by another try at once, since a single
    /// one says nothing; each later one by a longer pause.
    pub(crate) fn failed(&self, reason: String, now_ms: u64) -> Self {
        let failures = self.failures().saturating_add(1);
        let pause_ms = match failures {
            0 | 1 => 0,
            more => (RESTART_PAUSE_MS_FIRST << (more - 2).min(16)).min(RESTART_PAUSE_MS_MAX),
        };
        Self::Failed { since_ms: now_ms, failures, reason, next_try_ms: now_ms + pause_ms }
    }

    /// The state after the process of `exited` has ended, when `current` is the newest epoch.
    /// `None` when that changes nothing.
    pub(crate) fn exited(
        &self,
        exited: Epoch,
        current: Epoch,
        end: End,
        now_ms: u64,
    ) -> Option<Self> {
        match self {
            _ if exited != current => None,
            Self::Draining { .. } => Some(Self::Cold),
            Self::Restoring { since_ms, .. }
            | Self::Ready { since_ms, .. }
            | Self::Maintaining { since_ms, .. } => {
                let long = now_ms.saturating_sub(*since_ms) >= HEALTHY_LIFE_MS;
                let sound = end.productive || long;
                Some(if sound { Self::Cold } else { self.failed(end.reason, now_ms) })
            }
            // A start in progress hears of the exit by its own probe and knows the reason.
            Self::Starting { .. } | Self::Cold | Self::Failed { .. } => None,
        }
    }

    /// The state after an end that a former life of the object may have seen or not, with nothing
    /// running. `None` when that changes nothing. It is held for no failure: what ended the object
    /// ends its container too.
    pub(crate) fn ended_unseen(&self) -> Option<Self> {
        match self {
            Self::Cold | Self::Failed { .. } => None,
            _ => Some(Self::Cold),
        }
    }

    /// Failures in a row up to now.
    pub(crate) fn failures(&self) -> u32 {
        match self {
            Self::Starting { failures, .. }
            | Self::Restoring { failures, .. }
            | Self::Ready { failures, .. }
            | Self::Maintaining { failures, .. }
            | Self::Failed { failures, .. } => *failures,
            Self::Cold | Self::Draining { .. } => 0,
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

    fn ready(failures: u32) -> Lifecycle {
        Lifecycle::Ready { since_ms: 1000, failures }
    }

    fn end(productive: bool) -> End {
        End { reason: "it died".into(), productive }
    }

    #[test]
    fn a_dead_container_in_ready_state_is_started_anew() {
        assert_eq!(ready(0).wake(Process::Running, 2), Wake::Use);
        assert_eq!(ready(0).wake(Process::Gone, 2), Wake::Start);
        assert_eq!(ready(0).wake(Process::Lame, 2), Wake::Interrupt, "it cannot work");
    }

    #[test]
    fn turns_need_not_wait_for_the_workspace_but_interrupt_maintenance() {
        let starting = Lifecycle::Cold.starting(1);
        let restoring = starting.healthy(Purpose::Turns, 2);
        assert_eq!(restoring.wake(Process::Running, 3), Wake::Use);
        assert!(matches!(restoring.restored(3), Some(Lifecycle::Ready { .. })));
        let maintaining = starting.healthy(Purpose::Maintenance, 2);
        assert_eq!(maintaining.wake(Process::Running, 3), Wake::Interrupt);
        assert!(!maintaining.takes_turns());
        assert_eq!(maintaining.restored(3), None);
    }

    #[test]
    fn a_start_that_an_object_reset_cut_off_is_started_anew() {
        let starting = Lifecycle::Starting { since_ms: 1, failures: 0 };
        assert_eq!(starting.wake(Process::Running, 2), Wake::Start);
    }

    #[test]
    fn failures_wait_longer_each_time_up_to_the_bound_and_the_first_not_at_all() {
        let mut state = Lifecycle::Cold;
        let mut pauses = Vec::new();
        for _ in 0..16 {
            state = state.starting(1000).failed("it died".into(), 1000);
            pauses.push(failed_at(&state, 1000));
        }
        assert!(pauses.is_sorted(), "{pauses:?}");
        assert_eq!(pauses[..3], [0, RESTART_PAUSE_MS_FIRST, 2 * RESTART_PAUSE_MS_FIRST]);
        assert_eq!(pauses[15], RESTART_PAUSE_MS_MAX);
        assert!(matches!(state.wake(Process::Gone, 1000), Wake::Pause { .. }));
    }

    #[test]
    fn lives_that_get_nothing_done_are_a_crash_loop() {
        let mut state = Lifecycle::Cold;
        for n in 1..=4 {
            state = state.starting(1000).healthy(Purpose::Turns, 1000);
            state = state.exited(Epoch(n), Epoch(n), end(false), 2000).unwrap();
            assert_eq!(state.failures(), u32::try_from(n).unwrap());
        }
    }

    #[test]
    fn a_life_that_got_something_done_or_was_long_forgets_former_failures() {
        let epoch = Epoch(3);
        assert_eq!(ready(2).exited(epoch, epoch, end(true), 1001), Some(Lifecycle::Cold));
        let late = 1000 + HEALTHY_LIFE_MS;
        assert_eq!(ready(2).exited(epoch, epoch, end(false), late), Some(Lifecycle::Cold));
        let short = ready(2).exited(epoch, epoch, end(false), 1001).unwrap();
        assert_eq!(short.failures(), 3);
    }

    #[test]
    fn the_exit_of_a_former_life_changes_nothing() {
        assert_eq!(ready(0).exited(Epoch(1), Epoch(2), end(false), 1001), None);
    }

    #[test]
    fn a_container_that_ended_with_its_object_left_the_agent_awake_for_ever() {
        assert_eq!(ready(1).ended_unseen(), Some(Lifecycle::Cold));
        let draining = Lifecycle::Draining { since_ms: 1 };
        assert_eq!(draining.ended_unseen(), Some(Lifecycle::Cold));
        let failed = ready(1).failed("it died".into(), 2);
        assert_eq!(failed.ended_unseen(), None, "the next try keeps its time");
    }

    #[test]
    fn states_of_an_older_version_still_read() {
        let ready: Lifecycle = serde_json::from_str(r#"{"state":"ready","since_ms":5}"#).unwrap();
        assert_eq!(ready, Lifecycle::Ready { since_ms: 5, failures: 0 });
    }
}
