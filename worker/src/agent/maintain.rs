//! Tidies the workspace's repository: old snapshots go, in a life of the container that runs no
//! turns.
//!
//! Invariants: only the epoch of such a life may delete anything, and not while a client of the
//! owner's is at work; work comes first, and what it cuts off is done on another day; a failure
//! backs off like any other.

use std::rc::Rc;

use protocol::runtime::RuntimeRoute;
use protocol::version::PROTOCOL_VERSION;
use protocol::workspace::{FileKind, Maintenance, Retention};
use protocol::{Epoch, Problem, ProblemCode};

use super::core::{Core, books_failed};
use super::lifecycle::{Lifecycle, Purpose};
use super::restore::post;
use super::store::chores::{self, Chore};
use super::store::workspace as book;
use crate::keys;
use crate::limits::{
    CHORE_PAUSE_MS_FIRST, LOCK_FRESH_MS, MAINTENANCE_EVERY_MS, MAINTENANCE_MS_MAX,
    MAINTENANCE_SAVES, REPOSITORY_FILES_MAX,
};
use crate::platform::clock::{now_ms, within};
use crate::platform::log as console;

const CHORE: &str = "maintenance";

/// What is kept: the newest ones, one an hour for a day, one a day for two weeks, one a week for
/// two months.
const RETENTION: Retention = Retention { last: 10, hourly: 24, daily: 14, weekly: 8 };

/// When the repository is to be tidied next, with so many saves since it was; `None` when nothing was
/// saved since. Pure.
fn due_ms(chore: Chore, snapshot_at_ms: Option<u64>, saves: u64) -> Option<u64> {
    let snapshot_at_ms = snapshot_at_ms?;
    if chore.failures > 0 {
        return Some(chore.at_ms + (CHORE_PAUSE_MS_FIRST << chore.failures.min(6)));
    }
    let pause_ms = if saves < MAINTENANCE_SAVES { MAINTENANCE_EVERY_MS } else { 0 };
    (saves > 0).then(|| chore.at_ms.max(snapshot_at_ms) + pause_ms)
}

impl Core {
    /// When the repository is to be tidied next.
    pub(super) fn maintenance_due_ms(&self) -> Result<Option<u64>, Problem> {
        let chore = chores::load(&self.sql, CHORE).map_err(|error| books_failed(&error))?;
        let workspace = self.workspace()?;
        Ok(due_ms(chore, workspace.snapshot_at_ms, workspace.saves))
    }

    /// Begins to tidy when it is time and the container sleeps.
    pub(super) fn run_maintenance(self: &Rc<Self>) -> Result<(), Problem> {
        let is_due = self.maintenance_due_ms()?.is_some_and(|due_ms| due_ms <= now_ms());
        let (epoch, state) = self.lifecycle()?;
        if !is_due || state != Lifecycle::Cold {
            return Ok(());
        }
        // Tried, whatever comes of it: an object that is reset in the middle does not try at once.
        chores::note(&self.sql, CHORE, false, now_ms()).map_err(|error| books_failed(&error))?;
        let core = Rc::clone(self);
        self.spawn(async move {
            let epoch = epoch.next();
            let result = within(MAINTENANCE_MS_MAX, core.maintain(epoch)).await;
            match result {
                Some(Ok(())) => console::note(format_args!("the workspace's repository is tidy")),
                Some(Err(problem)) => {
                    console::trouble(format_args!("the repository was not tidied: {problem}"));
                }
                None => console::trouble(format_args!("tidying the repository took too long")),
            }
            if let Err(problem) = core.drain_after_maintenance(epoch) {
                console::trouble(format_args!("epoch {epoch}: {problem}"));
            }
            core.arm().await;
        });
        Ok(())
    }

    async fn maintain(self: &Rc<Self>, epoch: Epoch) -> Result<(), Problem> {
        // Before a container is started for nothing.
        self.refuse_while_owner_works().await?;
        let container = self.sandbox.container()?.clone();
        self.start(&container, epoch, Purpose::Maintenance).await?;
        // From here on no client of the owner's gets a lock; one may have got it just before.
        self.refuse_while_owner_works().await?;
        let (protocol, key) = (PROTOCOL_VERSION, self.workspace()?.key());
        let order = Maintenance { protocol, key, retention: RETENTION };
        let response = post(&container, &RuntimeRoute::Maintenance, &order).await?;
        self.hear_workspace(epoch, response).await?;
        chores::note(&self.sql, CHORE, true, now_ms())
            .and_then(|()| book::note_tidy(&self.sql))
            .map_err(|error| books_failed(&error))
    }

    /// Refuses while a client of the owner holds the repository, as its lock says.
    async fn refuse_while_owner_works(&self) -> Result<(), Problem> {
        let locks = keys::repository_folder(&self.agent()?, FileKind::Locks);
        let locks = self.archive.bucket()?.list_all(&locks, REPOSITORY_FILES_MAX).await?;
        let now_ms = now_ms();
        if locks.iter().any(|lock| lock.uploaded_ms + LOCK_FRESH_MS > now_ms) {
            let message = "A restic of the owner's is at work in the workspace's repository.";
            return Err(Problem::new(ProblemCode::Busy, message)
                .remedy("It is tidied later; `restic unlock` helps if none is at work."));
        }
        Ok(())
    }

    fn drain_after_maintenance(&self, epoch: Epoch) -> Result<(), Problem> {
        match self.lifecycle()? {
            (current, Lifecycle::Maintaining { .. }) if current == epoch => self.drain(),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_after_the_first_snapshot_and_then_only_when_something_was_saved() {
        assert_eq!(due_ms(Chore::default(), None, 0), None);
        assert_eq!(due_ms(Chore::default(), Some(5), 1), Some(5 + MAINTENANCE_EVERY_MS));
        let done = Chore { at_ms: 10, failures: 0 };
        assert_eq!(due_ms(done, Some(9), 0), None);
        assert_eq!(due_ms(done, Some(11), 1), Some(11 + MAINTENANCE_EVERY_MS));
    }

    #[test]
    fn a_busy_day_does_not_make_cold_starts_slow() {
        let done = Chore { at_ms: 10, failures: 0 };
        assert_eq!(due_ms(done, Some(11), MAINTENANCE_SAVES), Some(11));
    }

    #[test]
    fn failures_are_tried_again_later_and_later() {
        let failed = |failures| due_ms(Chore { at_ms: 10, failures }, Some(5), 1_000).unwrap();
        assert!(failed(1) < failed(2) && failed(6) == failed(60));
    }
}
