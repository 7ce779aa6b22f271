//! One folder of cargo artefacts for all checkouts.
//!
//! Cargo tells whether a workspace member is fresh from file times alone, by paths relative to the
//! workspace: with two checkouts in one target folder it would hand one the other's programs.
//!
//! Invariant: while a [`SharedTarget`] is held, no other checkout builds here, and every artefact
//! of a workspace member is this checkout's own. Dependencies are shared.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::console;
use crate::places::Places;

#[cfg(test)]
mod tests;

const LOCK: &str = "xtask.lock";
const MARKER: &str = "xtask-checkout";

/// The right to build in the shared folder; ends when dropped.
#[derive(Debug)]
pub(crate) struct SharedTarget {
    folder: PathBuf,
    _lock: File,
}

impl SharedTarget {
    /// Waits for the folder and makes it this checkout's.
    pub(crate) fn acquire(places: &Places) -> Result<Self> {
        let folder = places.target();
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        let lock = lock(&folder.join(LOCK))?;
        let marker = folder.join(MARKER);
        let checkout = places.root().to_string_lossy();
        // No marker yet: whoever built here is unknown.
        if fs::read_to_string(&marker).ok().as_deref() != Some(&*checkout) {
            let names = member_names(&read_lock_file(places.root())?);
            forget(&folder, &names)?;
            fs::write(&marker, &*checkout).context("marking the target folder")?;
        }
        Ok(Self { folder, _lock: lock })
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
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

/// `Cargo.lock` of a checkout.
pub(crate) fn read_lock_file(root: &Path) -> Result<String> {
    fs::read_to_string(root.join("Cargo.lock"))
        .context("reading Cargo.lock (`cargo generate-lockfile` makes a new one)")
}

/// The workspace members of a `Cargo.lock`: packages that come from nowhere else.
fn member_names(lock_file: &str) -> BTreeSet<String> {
    let of_package = |package: &str| {
        let name = quoted(package, "name")?;
        quoted(package, "source").is_none().then_some(name)
    };
    lock_file.split("[[package]]").skip(1).filter_map(of_package).collect()
}

/// The version of a package in `Cargo.lock`; `None` when it is absent.
pub(crate) fn locked_version(lock_file: &str, name: &str) -> Option<String> {
    lock_file
        .split("[[package]]")
        .skip(1)
        .find(|package| quoted(package, "name").as_deref() == Some(name))
        .and_then(|package| quoted(package, "version"))
}

fn quoted(package: &str, key: &str) -> Option<String> {
    let line = package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""))?;
    line.strip_suffix('"').map(str::to_owned)
}

/// Removes what tells cargo that these packages are fresh, for every profile and target.
fn forget(folder: &Path, names: &BTreeSet<String>) -> Result<()> {
    // `debug/.fingerprint` of native builds, `wasm32-unknown-unknown/worker/.fingerprint` of others.
    for first in folders_in(folder)? {
        forget_in(&first, names)?;
        for second in folders_in(&first)? {
            forget_in(&second, names)?;
        }
    }
    Ok(())
}

fn forget_in(profile: &Path, names: &BTreeSet<String>) -> Result<()> {
    let prints = profile.join(".fingerprint");
    if !prints.is_dir() {
        return Ok(());
    }
    for print in folders_in(&prints)? {
        if package_of(&print).is_some_and(|package| names.contains(package)) {
            fs::remove_dir_all(&print).with_context(|| format!("removing {}", print.display()))?;
        }
    }
    Ok(())
}

/// `name-0123456789abcdef` → `name`.
fn package_of(print: &Path) -> Option<&str> {
    let (name, _hash) = print.file_name()?.to_str()?.rsplit_once('-')?;
    Some(name)
}

fn folders_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("listing {}", folder.display()))?;
        if entry.file_type().context("asking for a file's type")?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}
