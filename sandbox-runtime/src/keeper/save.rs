//! Saves the workspace: when a turn that changed something ends, now and then in a long one, and
//! before the process goes; and again by itself when a save has failed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use protocol::Problem;
use protocol::workspace::FileName;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::{Keeper, Stage, on_thread};
use crate::limits::{SAVE_INTERVAL, SAVE_RETRY_PAUSE};

/// What a save came to: the snapshot, or that there was nothing new.
pub type Saved = Option<FileName>;

/// The saves of one workspace.
#[derive(Debug, Default)]
pub(super) struct Saves {
    /// Changes that were announced.
    changes: AtomicU64,
    /// Since when something is to be saved.
    dirty_since: std::sync::Mutex<Option<Instant>>,
    /// Whether a failed save is going to be made again.
    is_retrying: AtomicBool,
    /// The last save. Held while one runs.
    last: Mutex<Option<Last>>,
}

#[derive(Debug)]
struct Last {
    /// Changes that it covers.
    covered: u64,
    /// What it came to.
    snapshot: Saved,
}

impl Saves {
    /// No code that can panic runs under this lock.
    pub(super) fn dirty_since(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.dirty_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper {
    /// Says that files may have changed.
    pub fn changed(&self) {
        self.saves.changes.fetch_add(1, Ordering::SeqCst);
        self.saves.dirty_since().get_or_insert_with(Instant::now);
    }

    /// Saves everything that was announced up to now. When another save covers it already, that
    /// one's result is given.
    pub fn save(self: &Arc<Self>, label: String) -> JoinHandle<Result<Saved, Problem>> {
        let wanted = self.saves.changes.load(Ordering::SeqCst);
        let keeper = Arc::clone(self);
        // A task of its own: whoever waits may be cut off, the save goes on.
        tokio::spawn(async move { keeper.save_up_to(wanted, label).await })
    }

    /// Begins a save when something has waited long enough for it; `None` otherwise.
    pub fn save_if_due(
        self: &Arc<Self>,
        label: String,
    ) -> Option<JoinHandle<Result<Saved, Problem>>> {
        let is_due = self.saves.dirty_since().is_some_and(|since| since.elapsed() >= SAVE_INTERVAL);
        is_due.then(|| self.save(label))
    }

    async fn save_up_to(self: Arc<Self>, wanted: u64, label: String) -> Result<Saved, Problem> {
        let vault = self.vault().await?;
        let mut last = self.saves.last.lock().await;
        if let Some(last) = last.as_ref().filter(|last| last.covered >= wanted) {
            return Ok(last.snapshot.clone());
        }
        let covered = self.saves.changes.load(Ordering::SeqCst);
        self.saves.dirty_since().take();
        let at = Instant::now();
        let tags = vec![label.clone()];
        let result = on_thread("save", move || vault.save(&tags)).await;
        if result.is_err() {
            // It is to be saved still, and not at once: the store has just failed.
            self.saves.dirty_since().get_or_insert(at);
            self.retry(label);
        }
        let snapshot = self.checked(result)?;
        tracing::info!(?snapshot, ms = at.elapsed().as_millis(), "the workspace is saved");
        *last = Some(Last { covered, snapshot: snapshot.clone() });
        Ok(snapshot)
    }

    /// Makes a save that has failed again after a while, so that the files need not wait for the next
    /// turn. If that fails too, it is what makes the next try.
    fn retry(self: &Arc<Self>, label: String) {
        if self.saves.is_retrying.swap(true, Ordering::SeqCst) {
            return;
        }
        let keeper = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(SAVE_RETRY_PAUSE).await;
            keeper.saves.is_retrying.store(false, Ordering::SeqCst);
            if keeper.saves.dirty_since().is_none() {
                return;
            }
            match keeper.save(label).await {
                Ok(Ok(_)) => {}
                Ok(Err(problem)) => tracing::warn!(%problem, "a failed save has failed again"),
                Err(error) => tracing::warn!(%error, "a failed save broke down"),
            }
        });
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
