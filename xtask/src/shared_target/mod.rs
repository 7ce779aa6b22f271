//! One folder of cargo artefacts for all checkouts.
//!
//! Cargo tells whether a workspace member is fresh from file times alone, by paths relative to the
//! workspace: with two checkouts in one target folder it would hand one the other's programs, and
//! build all members anew in a fresh clone that differs in nothing. So cargo never sees the
//! checkouts: it builds a copy of the sources at one place in the cache, in which a file is written
//! only when its content changes.
//!
//! Invariants: while a [`SharedTarget`] is held, the copy is what the checkout held when it was
//! acquired, and nobody else builds. Nothing is changed in the checkout.

mod lock_file;
mod mirror;
#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::console;
use crate::places::Places;
pub(crate) use lock_file::{locked_version, read_lock_file};

/// The right to build in the shared folder; ends when dropped.
#[derive(Debug)]
pub(crate) struct SharedTarget {
    folder: PathBuf,
    _lock: File,
}

impl SharedTarget {
    /// Waits for the folder and brings the copy of the sources up to date.
    pub(crate) fn acquire(places: &Places) -> Result<Self> {
        let folder = places.shared();
        // Sources may be private.
        let created = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        created.with_context(|| format!("creating {}", folder.display()))?;
        let lock = lock(&folder.join("lock"))?;
        let target = Self { folder, _lock: lock };
        mirror::bring_up_to_date(places.root(), &target.sources())?;
        point(&target.sources().join("node_modules"), &places.node_modules())?;
        Ok(target)
    }

    /// The copy of the workspace, where cargo is run.
    pub(crate) fn sources(&self) -> PathBuf {
        self.folder.join("sources")
    }

    /// Cargo's target folder.
    pub(crate) fn artefacts(&self) -> PathBuf {
        self.folder.join("target")
    }
}

/// An exclusive lock on a file, held as long as the file is open.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("opening {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {
            console::note(&format!("waiting for another `cargo xtask` ({})", path.display()));
        }
        Err(TryLockError::Error(error)) => return Err(error).context("locking the cache"),
    }
    file.lock().context("locking the cache")?;
    Ok(file)
}

/// Makes a link point somewhere.
fn point(link: &Path, to: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|old| old == to) {
        return Ok(());
    }
    mirror::remove(link)?;
    symlink(to, link).with_context(|| format!("linking {}", link.display()))
}
