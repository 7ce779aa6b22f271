//! The repository as the keeper uses it: errors become problems that say what to do.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use protocol::workspace::{Expected, FileName, RepositoryKey, Retention, WorkspaceEvent};
use protocol::{AgentId, Problem, ProblemCode};

use super::restore::Restored;
use super::store::{Store, StoreError};
use super::{Repository, RepositoryError};
use crate::keeper::{Opened, Opener, Vault};

/// The text of the ignore file that a new workspace gets.
const IGNORE_FILE_TEXT: &str = include_str!("ignore.txt");

/// Opens the repository of one agent's workspace.
pub struct RepositoryOpener {
    store: Arc<dyn Store>,
    agent: AgentId,
    folder: PathBuf,
}

impl fmt::Debug for RepositoryOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RepositoryOpener").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl RepositoryOpener {
    /// The repository in `store`, of the workspace in `folder`.
    pub fn new(store: Arc<dyn Store>, agent: AgentId, folder: PathBuf) -> Self {
        Self { store, agent, folder }
    }

    /// The repository, and whether its key was derived or made just now.
    fn repository(
        &self,
        key: &RepositoryKey,
        expected: &Expected,
    ) -> Result<(Repository, bool), RepositoryError> {
        let store = Arc::clone(&self.store);
        let opened = match key {
            RepositoryKey::Master { json } => {
                Repository::open_with_key(store, json).map(|opened| (opened, false))
            }
            RepositoryKey::Password { password } => {
                Repository::open_with_password(store, password).map(|opened| (opened, true))
            }
        };
        match (opened, expected, key) {
            (
                Err(RepositoryError::Missing),
                Expected::New | Expected::StartEmpty,
                RepositoryKey::Password { password },
            ) => {
                let made = Repository::initialise(Arc::clone(&self.store), password)?;
                Ok((made, true))
            }
            (opened, ..) => opened,
        }
    }

    fn first_files(&self) -> Result<(), RepositoryError> {
        let path = self.folder.join(super::source::IGNORE_FILE);
        if path.exists() {
            return Ok(());
        }
        let written = std::fs::write(&path, IGNORE_FILE_TEXT);
        written.map_err(|source| RepositoryError::Disk { path, doing: "written", source })
    }
}

impl Opener for RepositoryOpener {
    fn open(&self, key: &RepositoryKey, expected: &Expected) -> Result<Opened, Problem> {
        let (repository, is_new_key) =
            self.repository(key, expected).map_err(|error| problem(&error))?;
        let master_key = if is_new_key {
            Some(repository.master_key().map_err(|error| problem(&error))?)
        } else {
            None
        };
        let snapshot = match expected {
            Expected::Snapshot { id } => Some(id.clone()),
            // Taken over with its key, and nobody knows how far it was.
            Expected::New => {
                repository.newest(self.agent.as_str()).map_err(|error| problem(&error))?
            }
            Expected::Repository | Expected::StartEmpty => None,
        };
        if snapshot.is_none() {
            self.first_files().map_err(|error| problem(&error))?;
        }
        let vault = RepositoryVault {
            repository,
            host: self.agent.to_string(),
            folder: self.folder.clone(),
            last: Mutex::new(snapshot.clone()),
        };
        Ok(Opened { vault: Arc::new(vault), master_key, snapshot })
    }
}

/// An open repository of a workspace.
struct RepositoryVault {
    repository: Repository,
    host: String,
    folder: PathBuf,
    /// The snapshot that the folder was last the same as.
    last: Mutex<Option<FileName>>,
}

impl Vault for RepositoryVault {
    fn read_files(
        &self,
        snapshot: &FileName,
        names: &[&str],
    ) -> Result<Vec<(String, Vec<u8>)>, Problem> {
        self.repository.read_files(snapshot, names).map_err(|error| problem(&error))
    }

    fn restore_file(&self, snapshot: &FileName, path: &Path) -> Result<bool, Problem> {
        self.repository.restore_file(snapshot, path, &self.folder).map_err(|error| problem(&error))
    }

    fn restore_all(
        &self,
        snapshot: &FileName,
        progress: &(dyn Fn(WorkspaceEvent) + Sync),
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Result<(u64, u64), Problem> {
        let tell = |Restored { files, files_total, bytes, bytes_total }: Restored| {
            progress(WorkspaceEvent::Progress { files, files_total, bytes, bytes_total });
        };
        let restored = self.repository.restore_all(snapshot, &self.folder, &tell, cancelled);
        let restored = restored.map_err(|error| problem(&error))?;
        Ok((restored.files, restored.bytes))
    }

    fn save(&self, tags: &[String]) -> Result<Option<FileName>, Problem> {
        // Held to the end: the next save builds on this one.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let saved = self.repository.save(&self.folder, &self.host, last.as_ref(), tags);
        let saved = saved.map_err(|error| problem(&error))?;
        tracing::debug!(files = saved.files, bytes = saved.added_bytes, "saved");
        if !saved.unreadable.is_empty() {
            tracing::warn!(files = ?saved.unreadable, "files could not be read and are not saved");
        }
        if let Some(snapshot) = &saved.snapshot {
            *last = Some(snapshot.clone());
        }
        Ok(saved.snapshot)
    }

    fn maintain(&self, retention: &Retention) -> Result<WorkspaceEvent, Problem> {
        let done =
            self.repository.maintain(&self.host, retention).map_err(|error| problem(&error))?;
        let (kept, removed, freed_bytes) = (done.kept, done.removed, done.freed_bytes);
        Ok(WorkspaceEvent::Maintained { kept, removed, freed_bytes })
    }
}

const REMEDY_BUCKET: &str = "Check that the bucket is the right one and whole; to give up what was saved, say /workspace start-empty.";

/// What a person is told.
fn problem(error: &RepositoryError) -> Problem {
    tracing::error!(error = %crate::chain(error), "the workspace's repository");
    let upstream = |message: String| Problem::new(ProblemCode::UpstreamFailed, message);
    match error {
        RepositoryError::Store(StoreError::StaleEpoch) => {
            Problem::new(ProblemCode::StaleEpoch, "Another life of the container has taken over.")
        }
        RepositoryError::Store(StoreError::Refused(problem)) => problem.clone(),
        RepositoryError::Store(StoreError::Silent(_)) => {
            upstream("The store of the workspace does not answer.".into())
                .remedy("It is tried again; if it stays so, look at R2's status.")
        }
        RepositoryError::Store(_)
        | RepositoryError::Missing
        | RepositoryError::Foreign
        | RepositoryError::SnapshotMissing(_)
        | RepositoryError::NotOurs(_)
        | RepositoryError::Damaged { .. }
        | RepositoryError::WrongContent(_)
        | RepositoryError::UnsafeName(_) => {
            upstream(format!("The saved workspace cannot be used: {error}.")).remedy(REMEDY_BUCKET)
        }
        RepositoryError::Disk { .. } | RepositoryError::Incomplete(_) => {
            let message = format!("The container's disk failed the workspace: {error}.");
            Problem::new(ProblemCode::ContainerFailed, message)
                .remedy("Free space, or give the container a larger disk.")
        }
        RepositoryError::Cancelled => {
            Problem::new(ProblemCode::Draining, "The work on the workspace was given up.")
        }
    }
}
