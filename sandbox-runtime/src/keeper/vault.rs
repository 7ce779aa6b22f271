//! The workspace's repository as the keeper uses it. Every call blocks.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use protocol::Problem;
use protocol::workspace::{Expected, FileName, RepositoryKey, Retention, WorkspaceEvent};

/// Opens the repository.
pub trait Opener: Send + Sync {
    /// Opens it with `key`, or makes it where `expected` allows that. What `expected` says must be
    /// there.
    fn open(&self, key: &RepositoryKey, expected: &Expected) -> Result<Opened, Problem>;
}

/// What opening came to.
pub struct Opened {
    /// The repository.
    pub vault: Arc<dyn Vault>,
    /// Its master key, when it was opened or made with a password.
    pub master_key: Option<String>,
    /// What to restore; `None` for a workspace that begins empty.
    pub snapshot: Option<FileName>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("snapshot", &self.snapshot).finish_non_exhaustive()
    }
}

/// An open repository.
pub trait Vault: Send + Sync {
    /// Small files of a snapshot by their names at the top of the workspace; those that are not
    /// there are left out. A few requests, nothing else is read.
    fn read_files(
        &self,
        snapshot: &FileName,
        names: &[&str],
    ) -> Result<Vec<(String, Vec<u8>)>, Problem>;

    /// Restores one file, by its path in the workspace; false when the snapshot has no plain file
    /// there.
    fn restore_file(&self, snapshot: &FileName, path: &Path) -> Result<bool, Problem>;

    /// Restores all, telling how far it is; gives the count of files and bytes when every one of
    /// them is proven to be in place. Ends early with a problem once `cancelled` says so.
    fn restore_all(
        &self,
        snapshot: &FileName,
        progress: &(dyn Fn(WorkspaceEvent) + Sync),
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Result<(u64, u64), Problem>;

    /// Saves the workspace; `None` when nothing has changed since the last snapshot.
    fn save(&self, tags: &[String]) -> Result<Option<FileName>, Problem>;

    /// Forgets and prunes; the last event of its kind.
    fn maintain(&self, retention: &Retention) -> Result<WorkspaceEvent, Problem>;
}
