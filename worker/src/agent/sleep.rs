//! How the container ends: asked to, overdue, given up, or by itself.
//!
//! Invariant: an end is in the books once, with whether the life that ended was of any use; a drain
//! has a bound.

use std::rc::Rc;

use protocol::{Epoch, Problem};

use super::core::Core;
use super::lifecycle::{End, Lifecycle};
use super::wake::container_failed;
use crate::limits::DRAIN_MS_MAX;
use crate::platform::clock::{now_ms, within};
use crate::platform::container::Container;
use crate::platform::log as console;

impl Core {
    /// Keeps the books true when the process of `epoch` ends.
    pub(super) fn watch_exit(self: &Rc<Self>, container: &Container, epoch: Epoch) {
        let ended = container.monitor();
        let core = Rc::clone(self);
        self.spawn(async move {
            let reason = match ended.await {
                Ok(()) => "The agent's container ended by itself.".to_owned(),
                Err(error) => format!("The agent's container ended: {error}."),
            };
            console::note(format_args!("epoch {epoch}: {reason}"));
            core.exited(epoch, reason);
            // What waits for the container to be cold is due now.
            core.arm().await;
        });
    }

    /// The process of `exited` is known to be gone, for this reason.
    pub(super) fn exited(&self, exited: Epoch, reason: String) {
        let end = End { reason, productive: self.productive.get() == Some(exited) };
        let noted = self.lifecycle().and_then(|(current, state)| {
            state
                .exited(exited, current, end, now_ms())
                .map_or(Ok(()), |state| self.enter(current, &state))
        });
        if let Err(problem) = noted {
            console::trouble(format_args!("the container's end could not be noted: {problem}"));
        }
    }

    /// The life of `epoch` has got something done.
    pub(super) fn note_progress(&self, epoch: Epoch) {
        self.productive.set(Some(epoch));
    }

    /// Watches the container of a former life of this object, or notes that it is gone: only that
    /// life would have heard of its end. For an object without work, so a life that ended was of use.
    pub(super) fn look_for_former_life(self: &Rc<Self>) -> Result<(), Problem> {
        let Some(container) = self.sandbox.unknown() else { return Ok(()) };
        let (epoch, state) = self.lifecycle()?;
        if container.running() {
            self.note_progress(epoch);
            self.watch_former(container, epoch);
            return Ok(());
        }
        self.sandbox.adopted.set(true);
        match state.ended_unseen() {
            Some(state) => {
                console::note(format_args!("epoch {epoch}: its container ended, seen by nobody"));
                self.enter(epoch, &state)
            }
            None => Ok(()),
        }
    }

    /// Watches the container of a former life, once.
    pub(super) fn watch_former(self: &Rc<Self>, container: &Container, epoch: Epoch) {
        if !self.sandbox.watched.replace(true) {
            self.watch_exit(container, epoch);
        }
    }

    /// Ends the container of `epoch` because it does not answer.
    pub(super) async fn abandon(&self, epoch: Epoch) -> Result<(), Problem> {
        let container = self.sandbox.container()?;
        if self.lifecycle()?.0 == epoch && container.running() {
            container.destroy().await.map_err(|error| container_failed(&error))?;
        }
        self.exited(epoch, "The agent's container did not answer.".to_owned());
        Ok(())
    }

    /// Sends the container to sleep: it finishes, exits, and is cold.
    pub(super) fn drain(&self) -> Result<(), Problem> {
        let container = self.sandbox.container()?;
        let (epoch, state) = self.lifecycle()?;
        let awake = state.takes_turns() || matches!(state, Lifecycle::Maintaining { .. });
        if awake && container.running() {
            self.enter(epoch, &Lifecycle::Draining { since_ms: now_ms() })?;
            container.terminate().map_err(|error| container_failed(&error))?;
        }
        Ok(())
    }

    /// Waits for a draining container, and no longer than it may take.
    pub(super) async fn await_exit(&self, container: &Container) -> Result<(), Problem> {
        let (epoch, _) = self.lifecycle()?;
        if within(DRAIN_MS_MAX, container.monitor()).await.is_none() {
            container.destroy().await.map_err(|error| container_failed(&error))?;
        }
        self.exited(epoch, "The agent's container was asked to end.".to_owned());
        Ok(())
    }

    /// Ends a container that was told to drain and did not within its time.
    pub(super) async fn end_overdue_drain(&self) -> Result<(), Problem> {
        let (epoch, state) = self.lifecycle()?;
        match state {
            Lifecycle::Draining { since_ms } if now_ms() >= since_ms + DRAIN_MS_MAX => {
                self.abandon(epoch).await
            }
            _ => Ok(()),
        }
    }
}
