//! The object's one alarm: a watchdog while there is work, the time to sleep when there is none.
//!
//! Invariant: whenever there is a message or a turn that is not done, an alarm is set; so whatever
//! happens to this object, a later one finds it.

use std::rc::Rc;

use protocol::Problem;

use super::core::{Core, books_failed};
use super::lifecycle::Lifecycle;
use super::store::{inbox, turns};
use crate::limits::{DRAIN_MS_MAX, MAINTENANCE_IDLE_MS, MAINTENANCE_MS_MAX, WATCHDOG_MS};
use crate::platform::clock::{self, now_ms};
use crate::platform::log as console;

/// When the alarm must go off next, if at all. Pure.
fn due(
    working: bool,
    state: &Lifecycle,
    worked_at_ms: u64,
    sleep_after_ms: Option<u64>,
    now_ms: u64,
) -> Option<u64> {
    if working {
        return Some(now_ms + WATCHDOG_MS);
    }
    match state {
        Lifecycle::Draining { since_ms } => Some(since_ms + DRAIN_MS_MAX),
        Lifecycle::Ready { .. } | Lifecycle::Restoring { .. } => {
            sleep_after_ms.map(|after_ms| worked_at_ms + after_ms)
        }
        Lifecycle::Maintaining { since_ms, .. } => Some(since_ms + MAINTENANCE_MS_MAX),
        Lifecycle::Cold | Lifecycle::Starting { .. } | Lifecycle::Failed { .. } => None,
    }
}

/// When there is time to tidy the repository, which is due at `due_ms` and needs a container of its
/// own. One that never sleeps makes way for it when it has been idle for a while. Pure.
fn tidying_ms(
    due_ms: Option<u64>,
    state: &Lifecycle,
    worked_at_ms: u64,
    sleep_after_ms: Option<u64>,
) -> Option<u64> {
    match state {
        Lifecycle::Cold => due_ms,
        state if state.takes_turns() && sleep_after_ms.is_none() => {
            due_ms.map(|due_ms| due_ms.max(worked_at_ms + MAINTENANCE_IDLE_MS))
        }
        _ => None,
    }
}

impl Core {
    /// Sets the alarm for what comes next. An alarm that goes off early enough already is left as
    /// it is, since each setting is a write.
    pub(super) async fn arm(&self) {
        let due = match self.due() {
            Ok(Some(due)) => due,
            Ok(None) => return,
            Err(problem) => {
                console::trouble(format_args!("the alarm could not be set: {problem}"));
                return;
            }
        };
        let now = now_ms();
        if self.alarm_at_ms.get().is_some_and(|at| at > now && at <= due) {
            return;
        }
        let ahead = i64::try_from(due.saturating_sub(now)).unwrap_or(i64::MAX);
        match clock::ring(&self.state, ahead).await {
            Ok(()) => self.alarm_at_ms.set(Some(due)),
            Err(error) => console::trouble(format_args!("the alarm could not be set: {error}")),
        }
    }

    fn due(&self) -> Result<Option<u64>, Problem> {
        let (_, state) = self.lifecycle()?;
        let working = self.working()?;
        let own = due(working, &state, self.worked_at_ms.get(), self.sleep_after_ms(), now_ms());
        // A chore that is overdue waits for the container to be cold; then it is set again.
        let maintenance = if working { None } else { self.tidying_ms(&state)? };
        let archive = [self.settling_due_ms()?, self.control_due_ms()?].into_iter().flatten();
        Ok([own, maintenance, self.outbox_due_ms()?, self.schedule_due_ms()?]
            .into_iter()
            .flatten()
            .chain(archive)
            .min())
    }

    fn tidying_ms(&self, state: &Lifecycle) -> Result<Option<u64>, Problem> {
        let (due_ms, worked_at_ms) = (self.maintenance_due_ms()?, self.worked_at_ms.get());
        Ok(tidying_ms(due_ms, state, worked_at_ms, self.sleep_after_ms()))
    }

    /// Idle time after which the container sleeps. One without its workspace sleeps at once, so that
    /// the next message finds another that tries again.
    fn sleep_after_ms(&self) -> Option<u64> {
        if self.is_lame() { Some(0) } else { self.settings.sleep_after_ms }
    }

    fn working(&self) -> Result<bool, Problem> {
        let failed = |error| books_failed(&error);
        let running = turns::running_everywhere(&self.sql).map_err(failed)?;
        let waiting = inbox::sessions_to_run(&self.sql).map_err(failed)?;
        Ok(!running.is_empty() || !waiting.is_empty())
    }

    /// The alarm went off: goes on with what is not done, else sees whether it is time to sleep.
    pub(super) async fn on_alarm(self: &Rc<Self>) -> Result<(), Problem> {
        self.alarm_at_ms.set(None);
        self.run_outbox()?;
        self.run_schedule()?;
        self.run_settling()?;
        self.run_control_export()?;
        if self.working()? {
            self.pump()?;
        } else {
            self.look_for_former_life()?;
            self.end_overdue_drain().await?;
            let now_ms = now_ms();
            // After a clock that ran ahead nothing would count as idle for as long.
            self.worked_at_ms.set(self.worked_at_ms.get().min(now_ms));
            let idle_ms = now_ms.saturating_sub(self.worked_at_ms.get());
            let sleeps = self.sleep_after_ms().is_some_and(|after_ms| idle_ms >= after_ms);
            let state = self.lifecycle()?.1;
            let tidying_ms = self.tidying_ms(&state)?;
            let makes_way = tidying_ms.is_some_and(|tidying_ms| tidying_ms <= now_ms);
            // One that tidies has been idle all along.
            if state.takes_turns() && (sleeps || makes_way) {
                self.drain()?;
            }
            self.run_maintenance()?;
        }
        self.arm().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_keeps_the_watchdog_close() {
        assert_eq!(due(true, &Lifecycle::Cold, 0, None, 5), Some(5 + WATCHDOG_MS));
    }

    #[test]
    fn an_idle_container_sleeps_after_its_time_counted_from_the_last_work() {
        let ready = Lifecycle::Ready { since_ms: 0, failures: 0 };
        assert_eq!(due(false, &ready, 1000, Some(60_000), 30_000), Some(61_000));
        assert_eq!(due(false, &ready, 1000, None, 30_000), None);
    }

    #[test]
    fn a_cold_agent_sets_no_alarm() {
        assert_eq!(due(false, &Lifecycle::Cold, 0, Some(1), 99), None);
    }

    #[test]
    fn an_agent_that_never_sleeps_was_never_tidied() {
        let ready = Lifecycle::Ready { since_ms: 0, failures: 0 };
        assert_eq!(tidying_ms(Some(50), &ready, 100, None), Some(100 + MAINTENANCE_IDLE_MS));
        assert_eq!(tidying_ms(Some(50), &ready, 100, Some(9)), None);
        assert_eq!(tidying_ms(Some(50), &Lifecycle::Cold, 100, None), Some(50));
        assert_eq!(tidying_ms(None, &ready, 100, None), None);
    }

    #[test]
    fn a_drain_has_an_end() {
        let draining = Lifecycle::Draining { since_ms: 10 };
        assert_eq!(due(false, &draining, 0, None, 20), Some(10 + DRAIN_MS_MAX));
    }
}
