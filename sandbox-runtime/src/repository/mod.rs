//! The workspace's repository, in restic's format, by `rustic_core`.
//!
//! `store` is where its files are, `backend` lets `rustic_core` use it (with `cache` and `uploads`
//! between, because it works file by file), `tree` reads what a snapshot
//! holds, `restore` brings it back, `save` takes the next one, `maintain` lets old ones go, and
//! `vault` is all of that as the keeper sees it.
//!
//! Invariants: every call blocks and belongs on a thread of its own; a file that is missing, cut or
//! of another repository is an error of its own and never an empty workspace; nothing that is there
//! is overwritten.

mod backend;
mod cache;
mod maintain;
mod restore;
mod save;
mod source;
pub mod store;
#[cfg(test)]
mod tests;
mod tree;
mod uploads;
pub mod vault;

use std::path::PathBuf;
use std::sync::Arc;

use protocol::workspace::{FileName, FileNameError};
use rustic_core::repofile::{MasterKey, SnapshotFile};
use rustic_core::{
    ConfigOptions, Credentials, IndexedFullStatus, IndexedIdsStatus, KeyOptions, OpenStatus,
    RepositoryBackends, RepositoryOptions, RusticError,
};

use backend::Backend;
use store::{Place, Store, StoreError};

use crate::limits::{DATA_PACK_BYTES, TREE_PACK_BYTES};

/// The name under which a workspace stands at the top of its snapshots, wherever it lies here.
const SAVED_AS: &str = "workspace";

type Rustic<S> = rustic_core::Repository<S>;
type Open = Rustic<OpenStatus>;
type IndexedFull = Rustic<IndexedFullStatus>;
type IndexedIds = Rustic<IndexedIdsStatus>;

/// What can go wrong with a repository.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// There is none.
    #[error("there is no repository")]
    Missing,
    /// The key does not open it.
    #[error(
        "the repository does not open with this key; it belongs to another agent, or its configuration is damaged"
    )]
    Foreign,
    /// A snapshot that must be there is not.
    #[error("snapshot {0} is not in the repository")]
    SnapshotMissing(FileName),
    /// A snapshot that is none of a workspace.
    #[error("snapshot {0} holds no workspace")]
    NotOurs(FileName),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// Something in it is not what it should be.
    #[error("{what} is damaged or missing in the repository")]
    Damaged {
        /// What.
        what: String,
        /// What the library says of it.
        #[source]
        source: Box<RusticError>,
    },
    /// A blob's content is not what its name says.
    #[error("the repository holds other content than {0} under that name")]
    WrongContent(String),
    /// A snapshot names a path that leads out of the workspace, or two things by one name.
    #[error("a snapshot holds the name {0:?}, which is no file name or is there twice")]
    UnsafeName(String),
    /// The workspace's disk failed.
    #[error("{} could not be {doing}", .path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What was done with it.
        doing: &'static str,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A restore ended and a file is not there.
    #[error("{} is not as the snapshot has it after the restore", .0.display())]
    Incomplete(PathBuf),
    /// It was given up because the process must go.
    #[error("it was given up")]
    Cancelled,
}

/// The result of a repository's operation.
pub type Result<T> = std::result::Result<T, RepositoryError>;

/// A repository that its key has opened.
#[derive(Debug)]
pub struct Repository {
    backend: Arc<Backend>,
    key: MasterKey,
}

impl Repository {
    /// Makes a new repository, with a key file for the password that stock clients use.
    pub fn initialise(store: Arc<dyn Store>, password: &str) -> Result<Self> {
        let backend = Arc::new(Backend::new(store));
        backend.discard_stray_keys()?;
        let fresh = raw(&backend)?;
        let opened = fresh
            .init(&Credentials::password(password), &KeyOptions::default(), &config())
            .map_err(|error| backend.blame("the new repository", error))?;
        let key = opened.key();
        Ok(Self { backend, key })
    }

    /// Opens a repository by its master key, which needs no derivation.
    pub fn open_with_key(store: Arc<dyn Store>, json: &str) -> Result<Self> {
        let key = serde_json::from_str(json).map_err(|error| {
            tracing::error!(%error, "the repository's key does not read");
            RepositoryError::Foreign
        })?;
        let repository = Self { backend: Arc::new(Backend::new(store)), key };
        repository.open()?;
        Ok(repository)
    }

    /// Opens a repository by its password: takes a second and 128 MB.
    pub fn open_with_password(store: Arc<dyn Store>, password: &str) -> Result<Self> {
        let backend = Arc::new(Backend::new(store));
        backend.require_config()?;
        let opened = raw(&backend)?
            .open(&Credentials::password(password))
            .map_err(|error| backend.blame_opening(error))?;
        let key = opened.key();
        Ok(Self { backend, key })
    }

    /// The master key as JSON, for [`Self::open_with_key`].
    pub fn master_key(&self) -> Result<String> {
        serde_json::to_string(&self.key).map_err(|error| {
            tracing::error!(%error, "the repository's key could not be written");
            RepositoryError::Foreign
        })
    }

    fn open(&self) -> Result<Open> {
        self.backend.require_config()?;
        raw(&self.backend)?
            .open(&Credentials::Masterkey(self.key.clone()))
            .map_err(|error| self.backend.blame_opening(error))
    }

    /// With all of the index: where every blob is.
    fn indexed(&self) -> Result<IndexedFull> {
        self.open()?.to_indexed().map_err(|error| self.backend.blame("the index", error))
    }

    /// With the index of what is there, which is enough to save.
    fn indexed_ids(&self) -> Result<IndexedIds> {
        self.backend.preload(&[Place::Config]);
        self.open()?.to_indexed_ids().map_err(|error| self.backend.blame("the index", error))
    }

    /// A snapshot by its name.
    fn snapshot<S: rustic_core::Open>(
        &self,
        open: &Rustic<S>,
        name: &FileName,
    ) -> Result<SnapshotFile> {
        let found = open.get_snapshots(&[name.as_str()]).map_err(|error| {
            match self.backend.blame(&format!("snapshot {name}"), error) {
                RepositoryError::Store(StoreError::NotFound) => {
                    RepositoryError::SnapshotMissing(name.clone())
                }
                other => other,
            }
        })?;
        found.into_iter().next().ok_or_else(|| RepositoryError::SnapshotMissing(name.clone()))
    }

    /// The newest snapshot of a host. Reads every snapshot, so it is for when nobody knows its name.
    pub fn newest(&self, host: &str) -> Result<Option<FileName>> {
        let open = self.open()?;
        let all = open
            .get_matching_snapshots(|snapshot| snapshot.hostname == host)
            .map_err(|error| self.backend.blame("a snapshot", error))?;
        all.into_iter().max().map(|snapshot| name_of(&snapshot)).transpose()
    }
}

/// How a new repository is laid out. One that a stock client made keeps its own layout.
fn config() -> ConfigOptions {
    ConfigOptions::default()
        .set_datapack_size(bytesize::ByteSize(DATA_PACK_BYTES))
        .set_datapack_growfactor(0_u32)
        .set_treepack_size(bytesize::ByteSize(TREE_PACK_BYTES))
        .set_treepack_growfactor(0_u32)
}

fn raw(backend: &Arc<Backend>) -> Result<Rustic<()>> {
    let options = RepositoryOptions::default().no_cache(true);
    let backends = RepositoryBackends::new(Arc::clone(backend) as Arc<_>, None);
    Rustic::new(&options, &backends).map_err(|error| backend.blame("the repository", error))
}

/// A snapshot's name.
fn name_of(snapshot: &SnapshotFile) -> Result<FileName> {
    let name = snapshot.id.to_hex();
    name.as_str()
        .parse()
        .map_err(|error: FileNameError| StoreError::Wrong(error.to_string()).into())
}
