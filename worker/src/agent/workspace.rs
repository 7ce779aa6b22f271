//! What a container may do with the workspace's repository, and what the books learn of it.
//!
//! Invariants: a container adds and never deletes, unless its life is there for maintenance; while
//! one is, nobody else adds anything, not even a lock.

use protocol::object::Access;
use protocol::workspace::FileName;
use protocol::{Epoch, Problem, ProblemCode};

use super::core::{Core, books_failed};
use super::lifecycle::Lifecycle;
use super::store::workspace as book;
use crate::platform::clock::now_ms;

impl Core {
    /// Whether the container of `caller` may use the repository so.
    pub(super) fn grant_workspace(
        &self,
        caller: Option<Epoch>,
        access: Access,
    ) -> Result<(), Problem> {
        self.check_epoch(caller)?;
        let (_, state) = self.lifecycle()?;
        if access == Access::Delete && !matches!(state, Lifecycle::Maintaining { .. }) {
            return Err(Problem::new(
                ProblemCode::Forbidden,
                "The workspace's repository is append-only.",
            )
            .remedy("Old snapshots are removed by the agent's own maintenance."));
        }
        Ok(())
    }

    /// Whether the owner's own client may add something now. A client writes a lock before all else,
    /// so while there is maintenance none begins to work.
    pub(super) fn grant_owner(&self) -> Result<(), Problem> {
        if matches!(self.lifecycle()?.1, Lifecycle::Maintaining { .. }) {
            let message = "The workspace's repository is being tidied.";
            return Err(Problem::new(ProblemCode::Busy, message).remedy("Try again in a minute."));
        }
        Ok(())
    }

    /// A snapshot of the container of `caller` is in R2.
    pub(super) fn snapshot_stored(
        &self,
        caller: Option<Epoch>,
        name: &FileName,
    ) -> Result<(), Problem> {
        self.check_epoch(caller)?;
        caller.inspect(|epoch| self.note_progress(*epoch));
        // Maintenance rewrites old snapshots; the newest is not among them.
        if matches!(self.lifecycle()?.1, Lifecycle::Maintaining { .. }) {
            return Ok(());
        }
        book::note_snapshot(&self.sql, name, now_ms()).map_err(|error| books_failed(&error))
    }
}
