//! When a turn saves the workspace, and what its log says of it.
//!
//! Invariants: a turn that changed files ends only after they are safe or the log says that they
//! are not; what a lost container took with it is in the log before the model is asked again.

use std::time::Instant;

use protocol::session::{Item, ToolStatus};
use protocol::{Problem, ProblemCode, Sequence};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::drive::{Break, Driver, Running, finished, micros};
use super::files;
use super::state::Last;
use crate::keeper::Saved;
use crate::limits::SAVE_TIMEOUT;
use protocol::turn::EventKind;

const NOTE_INTERRUPTED: &str = include_str!("../../prompts/notes/call_interrupted.md");
const NOTE_NOT_RUN: &str = include_str!("../../prompts/notes/call_not_run_lost.md");

/// A save that was begun in the middle of a turn.
#[derive(Debug)]
pub(super) struct Saving {
    /// The last record whose changes it covers.
    upto: Sequence,
    save: JoinHandle<Result<Saved, Problem>>,
}

impl Driver<'_> {
    /// Notes what a former life of the container did to files and did not save. The calls of the
    /// last answer that may have relied on it are not run.
    pub(super) fn note_lost_files(&self, running: &mut Running) {
        let is_first = self.agent.meets(&self.request.session);
        if !is_first || matches!(running.state.last, Last::Ended(_)) {
            return;
        }
        let calls = files::lost_calls(&running.history);
        if calls.is_empty() {
            return;
        }
        tracing::warn!(turn = %self.request.turn, calls = calls.len(), "files were lost");
        for open in running.state.open_calls.clone() {
            running.add(if open.started {
                finished(open.call, ToolStatus::Interrupted, NOTE_INTERRUPTED.trim())
            } else {
                finished(open.call, ToolStatus::Refused, NOTE_NOT_RUN.trim())
            });
        }
        running.add(Item::FilesLost { calls });
    }

    /// After a call that may have changed files: saves, if the last save is long enough ago. The
    /// turn goes on meanwhile.
    pub(super) fn save_midway(&self, running: &mut Running) {
        self.agent.keeper.changed();
        if running.saving.is_none()
            && let Some(save) = self.agent.keeper.save_if_due(self.label())
        {
            running.saving = Some(Saving { upto: running.head(), save });
        }
    }

    /// Notes a save that has ended meanwhile.
    pub(super) async fn note_saved(&self, running: &mut Running) -> Result<(), Break> {
        if !running.saving.as_ref().is_some_and(|saving| saving.save.is_finished()) {
            return Ok(());
        }
        self.await_saving(running).await
    }

    async fn await_saving(&self, running: &mut Running) -> Result<(), Break> {
        let Some(Saving { upto, save }) = running.saving.take() else { return Ok(()) };
        match awaited(save).await {
            Ok(snapshot) => running.add(Item::FilesSaved { upto, snapshot }),
            Err(problem) if problem.code == ProblemCode::StaleEpoch => {
                return Err(Break::StaleEpoch);
            }
            // The turn's end tries again, and says so if that fails too.
            Err(problem) => tracing::warn!(%problem, "a save in the middle of a turn failed"),
        }
        Ok(())
    }

    /// Before the turn ends or is cut: saves what it, or a turn before it, changed.
    pub(super) async fn save_at_end(&mut self, running: &mut Running) -> Result<(), Break> {
        let clock = Instant::now();
        self.await_saving(running).await?;
        self.timing.save_us += micros(clock.elapsed());
        if files::first_unsaved(&running.history).is_none() {
            return Ok(());
        }
        // The answer is safe, and shown, before the save.
        self.flush(running).await?;
        if files::first_unsaved(&running.history).is_none() {
            return Ok(());
        }
        self.events.push(EventKind::Saving);
        let upto = running.history.head();
        self.agent.keeper.changed();
        let clock = Instant::now();
        let saved = awaited(self.agent.keeper.save(self.label())).await;
        self.timing.save_us += micros(clock.elapsed());
        running.add(match saved {
            Ok(snapshot) => Item::FilesSaved { upto, snapshot },
            Err(problem) if problem.code == ProblemCode::StaleEpoch => {
                return Err(Break::StaleEpoch);
            }
            Err(problem) => Item::FilesUnsaved { problem },
        });
        Ok(())
    }

    fn label(&self) -> String {
        format!("session:{}", self.request.session)
    }
}

/// What a save came to, within its bound.
async fn awaited(save: JoinHandle<Result<Saved, Problem>>) -> Result<Saved, Problem> {
    match timeout(SAVE_TIMEOUT, save).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => {
            let message = format!("Saving the workspace broke down: {error}.");
            Err(Problem::new(ProblemCode::Internal, message))
        }
        Err(_elapsed) => {
            let message = "Saving the workspace takes very long; it goes on in the background.";
            Err(Problem::new(ProblemCode::UpstreamFailed, message))
        }
    }
}
