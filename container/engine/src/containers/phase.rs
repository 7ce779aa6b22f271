//! The life of one container as a pure state machine: created → running → exited → removed.
//!
//! *Invariant:* `exits` never falls, so a waiter that slept through a whole restart still sees
//! that the run it waited for is over.

/// Where a container stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Made, never started.
    Created,
    /// Started; a sidecar, which is no process, has the pid 0.
    Running {
        /// The process, which leads a session and a group of the same number.
        pid: u32,
    },
    /// Ended by itself or by a signal.
    Exited,
    /// Gone from the registry; only waiters still see it.
    Removed,
}

/// What waiters, listings and inspections see of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Where it stands.
    pub phase: Phase,
    /// How many runs have ended.
    pub exits: u64,
    /// Exit code of the last run; 0 before any has ended, as in Docker.
    pub exit_code: i32,
}

/// What to do about a request to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartDecision {
    /// Start it.
    Start,
    /// It runs already: 304.
    AlreadyRunning,
}

/// What to do about a request to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoveDecision {
    /// Nothing runs: take it away.
    TakeAway,
    /// End this process first.
    KillFirst {
        /// The process to end.
        pid: u32,
    },
    /// It runs and `force` was not given: 409.
    RefuseRunning,
}

/// What a waiter waits for: Docker's three conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitCondition {
    /// Not running now; the default.
    NotRunning,
    /// The end of the present or next run.
    NextExit,
    /// Removed from the registry.
    Removed,
}

impl Status {
    /// A container that was just made.
    pub const fn created() -> Self {
        Self { phase: Phase::Created, exits: 0, exit_code: 0 }
    }

    /// Whether it runs.
    pub const fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    /// The word Docker uses for this phase.
    pub const fn word(&self) -> &'static str {
        match self.phase {
            Phase::Created => "created",
            Phase::Running { .. } => "running",
            Phase::Exited => "exited",
            Phase::Removed => "removing",
        }
    }

    /// Decides about a start.
    pub const fn on_start(&self) -> StartDecision {
        if self.is_running() { StartDecision::AlreadyRunning } else { StartDecision::Start }
    }

    /// Decides about a removal.
    pub const fn on_remove(&self, force: bool) -> RemoveDecision {
        match (self.phase, force) {
            (Phase::Running { pid }, true) => RemoveDecision::KillFirst { pid },
            (Phase::Running { .. }, false) => RemoveDecision::RefuseRunning,
            (Phase::Created | Phase::Exited | Phase::Removed, _) => RemoveDecision::TakeAway,
        }
    }

    /// The status after the process was started.
    #[must_use]
    pub const fn started(self, pid: u32) -> Self {
        Self { phase: Phase::Running { pid }, ..self }
    }

    /// The status after the run ended.
    #[must_use]
    pub const fn exited(self, exit_code: i32) -> Self {
        Self { phase: Phase::Exited, exits: self.exits + 1, exit_code }
    }

    /// The status after removal.
    #[must_use]
    pub const fn removed(self) -> Self {
        Self { phase: Phase::Removed, ..self }
    }
}

impl WaitCondition {
    /// Reads the `condition` query parameter; `None` when Docker knows no such condition.
    pub fn parse(word: Option<&str>) -> Option<Self> {
        match word {
            None | Some("" | "not-running") => Some(Self::NotRunning),
            Some("next-exit") => Some(Self::NextExit),
            Some("removed") => Some(Self::Removed),
            Some(_) => None,
        }
    }

    /// Whether a waiter that began at `from` may be released at `now`.
    pub const fn is_met(self, from: &Status, now: &Status) -> bool {
        let run_ended = now.exits > from.exits;
        let removed = matches!(now.phase, Phase::Removed);
        match self {
            Self::NotRunning => run_ended || !now.is_running(),
            Self::NextExit => run_ended || removed,
            Self::Removed => removed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_wait_on_a_container_that_does_not_run_is_over_at_once() {
        let created = Status::created();
        assert!(WaitCondition::NotRunning.is_met(&created, &created));
        assert!(!WaitCondition::NextExit.is_met(&created, &created));
        assert!(!WaitCondition::Removed.is_met(&created, &created));
    }

    #[test]
    fn unknown_conditions_are_not_taken_for_the_default() {
        assert_eq!(WaitCondition::parse(None), Some(WaitCondition::NotRunning));
        assert_eq!(WaitCondition::parse(Some("removed")), Some(WaitCondition::Removed));
        assert_eq!(WaitCondition::parse(Some("stopped")), None);
    }

    #[derive(Debug, Clone, Copy)]
    enum Event {
        Start(u32),
        Exit(i32),
        Remove { force: bool },
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            (1_u32..9).prop_map(Event::Start),
            (0_i32..256).prop_map(Event::Exit),
            any::<bool>().prop_map(|force| Event::Remove { force }),
        ]
    }

    /// Applies an event as the registry does: decisions first, then the change.
    fn apply(status: Status, event: Event) -> Status {
        match event {
            _ if status.phase == Phase::Removed => status,
            Event::Start(pid) if status.on_start() == StartDecision::Start => status.started(pid),
            Event::Exit(code) if status.is_running() => status.exited(code),
            Event::Remove { force } => match status.on_remove(force) {
                RemoveDecision::TakeAway => status.removed(),
                RemoveDecision::KillFirst { .. } => status.exited(137).removed(),
                RemoveDecision::RefuseRunning => status,
            },
            Event::Start(_) | Event::Exit(_) => status,
        }
    }

    proptest! {
        #[test]
        fn a_waiter_that_looks_only_at_the_end_misses_no_exit(
            before in prop::collection::vec(event(), 0..8),
            during in prop::collection::vec(event(), 0..8),
        ) {
            let from = before.into_iter().fold(Status::created(), apply);
            let mut now = from;
            let mut stopped = false;
            for event in during {
                now = apply(now, event);
                stopped |= !now.is_running();
            }
            // Others are released before anything else happens.
            if from.is_running() {
                prop_assert_eq!(WaitCondition::NotRunning.is_met(&from, &now), stopped);
                prop_assert_eq!(WaitCondition::NextExit.is_met(&from, &now), stopped);
            }
            prop_assert!(now.exits >= from.exits);
        }
    }
}
