//! The private folders that stand for containers' disks.
//!
//! *Invariant:* after `fresh` the folder is empty, whatever was there before; only folders below
//! the root whose names are container names or begin with [`DISCARDED`] are ever deleted. Of folders
//! that are there from the beginning, only those with names that workerd gives.
//!
//! Old folders are renamed away, which takes microseconds, and deleted by a thread of their own:
//! a large tree must not hold up the one thread that carries every model token. A deletion that no
//! thread has begun would be dropped with the runtime, so `settle` waits for all before the end.

use std::fs::{DirBuilder, create_dir_all, read_dir, remove_dir_all, rename};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::{JoinError, JoinSet};

use crate::containers::Name;
use crate::terminal::report;

/// Container names begin with a letter or digit, so this can be none.
const DISCARDED: &str = ".discarded-";

/// How the names begin that workerd gives to containers.
const OF_WORKERD: &str = "workerd-";

/// The root folder of all disks.
#[derive(Debug)]
pub struct Disks {
    root: PathBuf,
    discarded: AtomicU64,
    deletions: Mutex<JoinSet<()>>,
}

/// Which step on a disk failed.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The root cannot be made or read.
    #[error("cannot use {root:?} for the containers' folders; give another with --work-dir")]
    Root {
        /// The root folder.
        root: PathBuf,
        /// Why.
        #[source]
        source: Error,
    },
    /// A container's folder cannot be made.
    #[error("cannot make the container's folder {folder:?}")]
    Make {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: Error,
    },
    /// A container's old folder cannot be moved away.
    #[error("cannot move the old folder {folder:?} away")]
    Discard {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: Error,
    },
}

impl Disks {
    /// Makes the root and deletes what an earlier engine had discarded but not yet deleted, and what
    /// it left behind when it was killed: its containers are gone with it.
    pub fn open(root: &Path) -> Result<Self, DiskError> {
        let failed = |source| DiskError::Root { root: root.to_owned(), source };
        create_dir_all(root).map_err(failed)?;
        // Absolute, since it becomes the working directory and HOME of other processes.
        let root = root.canonicalize().map_err(failed)?;
        let disks = Self { root, discarded: AtomicU64::new(0), deletions: Mutex::default() };
        for entry in read_dir(&disks.root).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(DISCARDED) {
                disks.delete(entry.path());
            } else if name.starts_with(OF_WORKERD) {
                disks.set_aside(&entry.path())?;
            }
        }
        Ok(disks)
    }

    /// The folder of a container.
    pub fn folder(&self, name: &Name) -> PathBuf {
        self.root.join(name.as_str())
    }

    /// Makes the container's folder, empty.
    pub fn fresh(&self, name: &Name) -> Result<(), DiskError> {
        self.discard(name)?;
        let folder = self.folder(name);
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|source| DiskError::Make { folder, source })
    }

    /// Takes the container's folder away, if there is one.
    pub fn discard(&self, name: &Name) -> Result<(), DiskError> {
        self.set_aside(&self.folder(name))
    }

    fn set_aside(&self, folder: &Path) -> Result<(), DiskError> {
        let number = self.discarded.fetch_add(1, Ordering::Relaxed);
        let aside = format!("{DISCARDED}{}-{number}", std::process::id());
        let aside = self.root.join(aside);
        match rename(folder, &aside) {
            Ok(()) => {
                self.delete(aside);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(source) => Err(DiskError::Discard { folder: folder.to_owned(), source }),
        }
    }

    /// Waits until every folder that was discarded is deleted.
    pub async fn settle(&self) {
        let mut deletions = std::mem::take(&mut *self.lock());
        while let Some(done) = deletions.join_next().await {
            report_failure(done);
        }
    }

    fn delete(&self, folder: PathBuf) {
        let mut deletions = self.lock();
        // Those that are done are let go here, so the set holds only what is under way.
        while let Some(done) = deletions.try_join_next() {
            report_failure(done);
        }
        deletions.spawn_blocking(move || {
            if let Err(error) = remove_dir_all(&folder) {
                report(&format!("cannot delete {}: {error}", folder.display()));
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.deletions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn report_failure(done: Result<(), JoinError>) {
    if let Err(error) = done {
        report(&format!("a deletion ended badly: {error}"));
    }
}
