//! Saves the workspace: when a turn that changed something ends, now and then in a long one, and
//! before the process goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use protocol::Problem;
use protocol::workspace::FileName;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::{Keeper, Stage, on_thread};
use crate::limits::SAVE_INTERVAL;

/// What a save came to: the snapshot, or that there was nothing new.
pub type Saved = Option<FileName>;

/// The saves of one workspace.
#[derive(Debug, Default)]
pub(super) struct Saves {
    /// Changes that were announced.
    changes: AtomicU64,
    /// Changes that are covered by the last save, its time, and what it came to. Held while one
    /// runs.
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    covered: u64,
    at: Option<Instant>,
    snapshot: Saved,
}

impl Keeper {
    /// Says that files may have changed.
    pub fn changed(&self) {
        self.saves.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Saves everything that was announced up to now. When another save covers it already, that
    /// one's result is given.
    pub fn save(self: &Arc<Self>, label: String) -> JoinHandle<Result<Saved, Problem>> {
        let wanted = self.saves.changes.load(Ordering::SeqCst);
        let keeper = Arc::clone(self);
        // A task of its own: whoever waits may be cut off, the save goes on.
        tokio::spawn(async move { keeper.save_up_to(wanted, label).await })
    }

    /// Begins a save when the last one is long enough ago and something has changed since; `None`
    /// otherwise.
    pub fn save_if_due(
        self: &Arc<Self>,
        label: String,
    ) -> Option<JoinHandle<Result<Saved, Problem>>> {
        let last = self.saves.last.try_lock().ok()?;
        let is_due = last.at.is_none_or(|at| at.elapsed() >= SAVE_INTERVAL);
        let is_behind = last.covered < self.saves.changes.load(Ordering::SeqCst);
        drop(last);
        (is_due && is_behind).then(|| self.save(label))
    }

    async fn save_up_to(self: Arc<Self>, wanted: u64, label: String) -> Result<Saved, Problem> {
        let vault = self.vault().await?;
        let mut last = self.saves.last.lock().await;
        if last.covered >= wanted && last.at.is_some() {
            return Ok(last.snapshot.clone());
        }
        let covered = self.saves.changes.load(Ordering::SeqCst);
        let at = Instant::now();
        last.at = Some(at);
        let result = on_thread("save", move || vault.save(&[label])).await;
        let snapshot = self.checked(result)?;
        tracing::info!(?snapshot, ms = at.elapsed().as_millis(), "the workspace is saved");
        *last = Last { covered, at: Some(at), snapshot: snapshot.clone() };
        Ok(snapshot)
    }

    /// The last save before the process goes: also of what nobody announced, such as the work of
    /// processes that outlived their turn. Nothing to do for a workspace that is not whole.
    pub async fn save_last(self: &Arc<Self>) -> Result<(), Problem> {
        if !matches!(&*self.stage.borrow(), Stage::Ready(_)) {
            return Ok(());
        }
        self.changed();
        match self.save("drain".to_owned()).await {
            Ok(result) => result.map(|_| ()),
            Err(error) => {
                let message = format!("The last save broke down: {error}.");
                Err(Problem::new(protocol::ProblemCode::Internal, message))
            }
        }
    }
}
