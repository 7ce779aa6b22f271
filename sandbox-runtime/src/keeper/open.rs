//! Opens the repository and restores the workspace, once per life of the process.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use protocol::Problem;
use protocol::workspace::{Expected, Maintenance, WorkspaceEvent, WorkspaceOpening};

use super::prompt_files::NAMES;
use super::{Keeper, Opened, PromptFiles, Stage, on_thread};

impl Keeper {
    /// Begins to restore, in the background; a second call changes nothing.
    pub fn open(self: &Arc<Self>, opening: WorkspaceOpening) {
        let is_first = self.stage.send_if_modified(|stage| {
            let is_first = matches!(stage, Stage::Unopened);
            if is_first {
                *stage = Stage::Opening;
            }
            is_first
        });
        if is_first {
            tokio::spawn(Arc::clone(self).restore(opening));
        }
    }

    async fn restore(self: Arc<Self>, opening: WorkspaceOpening) {
        let keeper = Arc::clone(&self);
        let result = on_thread("restore", move || keeper.restore_now(&opening)).await;
        if let Err(problem) = self.checked(result) {
            tracing::error!(%problem, "the workspace could not be restored");
            self.stage.send_replace(Stage::Failed(problem.clone()));
            self.tell(WorkspaceEvent::Failed { problem });
        }
    }

    /// Blocks until the workspace is whole.
    fn restore_now(&self, opening: &WorkspaceOpening) -> Result<(), Problem> {
        let Opened { vault, master_key, snapshot } =
            self.opener.open(&opening.key, &opening.expected)?;
        self.tell(WorkspaceEvent::Opened { master_key });
        let (files, bytes) = match &snapshot {
            None => {
                self.prompt_files.send_replace(Some(PromptFiles::default()));
                (0, 0)
            }
            Some(snapshot) => {
                self.stage.send_replace(Stage::Restoring(Arc::clone(&vault), snapshot.clone()));
                let contents = vault.read_files(snapshot, &NAMES)?;
                self.prompt_files.send_replace(Some(PromptFiles::of(contents)));
                let cancelled = || self.cancelled.load(Ordering::Relaxed);
                vault.restore_all(snapshot, &|event| self.tell(event), &cancelled)?
            }
        };
        tracing::info!(files, bytes, "the workspace is whole");
        self.stage.send_replace(Stage::Ready(vault));
        self.tell(WorkspaceEvent::Restored { snapshot, files, bytes });
        Ok(())
    }

    /// Gives a restore up that is still going on.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Tidies the repository: one event when it is over.
    pub async fn maintain(&self, order: Maintenance) -> WorkspaceEvent {
        let opener = Arc::clone(&self.opener);
        let work = move || {
            let Opened { vault, .. } = opener.open(&order.key, &Expected::Repository)?;
            vault.maintain(&order.retention)
        };
        let result = on_thread("maintenance", work).await;
        self.checked(result).unwrap_or_else(|problem| WorkspaceEvent::Failed { problem })
    }
}
