//! Keeps the workspace: brings it back when the container starts, saves it when something changed.
//!
//! Invariants: nothing is written to the workspace before it is known to be whole (or the owner said
//! that it begins empty), so a failed restore is never taken for an empty folder; a save covers
//! everything that was finished before it began; one save runs at a time.

mod events;
mod open;
mod prompt_files;
mod save;
#[cfg(test)]
mod tests;
mod vault;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use protocol::workspace::FileName;
use protocol::{Problem, ProblemCode};
use tokio::sync::watch;
use tokio::time::timeout;

pub use events::line;
pub use prompt_files::PromptFiles;
pub use save::Saved;
pub use vault::{Opened, Opener, Vault};

use crate::limits::WORKSPACE_OPENING_TIMEOUT;
use crate::shutdown::{ExitReason, Shutdown};
use crate::workspace::Workspace;
use events::Told;
use save::Saves;

/// How far the workspace is.
#[derive(Clone)]
enum Stage {
    /// The object has not said what to restore.
    Unopened,
    /// The repository is being opened.
    Opening,
    /// Files are coming back.
    Restoring(Arc<dyn Vault>, FileName),
    /// All of it is in place.
    Ready(Arc<dyn Vault>),
    /// It cannot be used.
    Failed(Problem),
}

/// The keeper of one workspace.
pub struct Keeper {
    opener: Arc<dyn Opener>,
    workspace: Workspace,
    shutdown: Shutdown,
    stage: watch::Sender<Stage>,
    told: watch::Sender<Told>,
    prompt_files: watch::Sender<Option<PromptFiles>>,
    saves: Saves,
    /// Set when the process must go: a restore is given up.
    cancelled: Arc<AtomicBool>,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("workspace", &self.workspace).finish_non_exhaustive()
    }
}

impl Keeper {
    /// A keeper that has not been told what to restore.
    pub fn new(opener: Arc<dyn Opener>, workspace: Workspace, shutdown: Shutdown) -> Arc<Self> {
        Arc::new(Self {
            opener,
            workspace,
            shutdown,
            stage: watch::Sender::new(Stage::Unopened),
            told: watch::Sender::default(),
            prompt_files: watch::Sender::new(None),
            saves: Saves::default(),
            cancelled: Arc::default(),
        })
    }

    /// Waits until the whole workspace is in place, so that it may be written.
    pub async fn whole(&self) -> Result<(), Problem> {
        self.vault().await.map(|_| ())
    }

    /// Waits until one file of the workspace is in place. It is fetched ahead of the others.
    pub async fn file(&self, path: PathBuf) -> Result<(), Problem> {
        let stage = self.opened().await?;
        match stage {
            Stage::Restoring(vault, snapshot) => {
                let fetch = move || vault.restore_file(&snapshot, &path);
                let fetched = self.checked(on_thread("restore-file", fetch).await)?;
                // Perhaps it is behind a link; what is there shows when all is.
                if fetched { Ok(()) } else { self.whole().await }
            }
            Stage::Failed(problem) => Err(problem),
            Stage::Ready(_) | Stage::Unopened | Stage::Opening => Ok(()),
        }
    }

    /// The repository, once the workspace is whole.
    async fn vault(&self) -> Result<Arc<dyn Vault>, Problem> {
        self.opened().await?;
        let mut stage = self.stage.subscribe();
        let settled = stage.wait_for(|stage| matches!(stage, Stage::Ready(_) | Stage::Failed(_)));
        match settled.await.map(|stage| stage.clone()) {
            Ok(Stage::Ready(vault)) => Ok(vault),
            Ok(Stage::Failed(problem)) => Err(problem),
            Ok(_) | Err(_) => Err(not_opened()),
        }
    }

    /// The stage, once the repository is open or cannot be opened.
    async fn opened(&self) -> Result<Stage, Problem> {
        let mut stage = self.stage.subscribe();
        let is_begun = |stage: &Stage| !matches!(stage, Stage::Unopened);
        match timeout(WORKSPACE_OPENING_TIMEOUT, stage.wait_for(is_begun)).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return Err(not_opened()),
        }
        let is_open = |stage: &Stage| !matches!(stage, Stage::Unopened | Stage::Opening);
        match stage.wait_for(is_open).await {
            Ok(stage) => Ok(stage.clone()),
            Err(_) => Err(not_opened()),
        }
    }

    /// The result, after its consequences: a life that is over must go.
    fn checked<T>(&self, result: Result<T, Problem>) -> Result<T, Problem> {
        if let Err(problem) = &result
            && problem.code == ProblemCode::StaleEpoch
        {
            self.shutdown.request(ExitReason::StaleEpoch);
        }
        result
    }
}

fn not_opened() -> Problem {
    let message = "The workspace was not opened, so no file can be read or written.";
    Problem::new(ProblemCode::ContainerFailed, message)
        .remedy("Send the message again; if it stays so, see the container's log.")
}

/// Runs blocking work on a thread of its own, which ends with it.
async fn on_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let run = move || {
        if sender.send(work()).is_err() {
            tracing::debug!("nobody waits for the result any more");
        }
    };
    let failed = |why: String| {
        Problem::new(ProblemCode::Internal, format!("The workspace could not be worked on: {why}."))
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|error| failed(error.to_string()))?;
    receiver.await.unwrap_or_else(|_| Err(failed("the work broke down".into())))
}
