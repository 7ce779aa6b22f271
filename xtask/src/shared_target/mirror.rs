//! A copy of a folder in which a file is written only when its content changes.
//!
//! Invariant: a file of the copy is never older than the moment at which it got its content, so
//! that what was built before that moment counts as stale.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry, Metadata};
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::limits::SOURCE_BYTES_MAX;

/// Entries at the top of a checkout that are no sources.
const NOT_SOURCES: &[&str] =
    &[".git", ".venv", ".wrangler", "build", "node_modules", "state", "target"];

/// Beginnings of names of files that may hold secrets, anywhere.
const SECRETS: &[&str] = &[".dev.vars", ".env"];

/// Makes `copy` hold the sources of `checkout` and nothing else.
pub(super) fn bring_up_to_date(checkout: &Path, copy: &Path) -> Result<()> {
    fs::create_dir_all(copy).with_context(|| format!("creating {}", copy.display()))?;
    folder(checkout, copy, NOT_SOURCES)
}

fn folder(from: &Path, to: &Path, leave_out: &[&str]) -> Result<()> {
    let mut kept: BTreeSet<OsString> = leave_out.iter().map(OsString::from).collect();
    for entry in fs::read_dir(from).with_context(|| format!("listing {}", from.display()))? {
        let entry = entry.with_context(|| format!("listing {}", from.display()))?;
        let name = entry.file_name();
        if kept.contains(&name) || is_secret(&name) {
            continue;
        }
        if bring(&entry, &to.join(&name))? {
            kept.insert(name);
        }
    }
    for entry in fs::read_dir(to).with_context(|| format!("listing {}", to.display()))? {
        let entry = entry.with_context(|| format!("listing {}", to.display()))?;
        if !kept.contains(&entry.file_name()) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn is_secret(name: &OsStr) -> bool {
    SECRETS.iter().any(|secret| name.to_string_lossy().starts_with(secret))
}

/// Copies an entry; whether it is one that is copied. Links and whatever is too large for a source
/// are not.
fn bring(entry: &DirEntry, to: &Path) -> Result<bool> {
    let from = entry.path();
    let metadata = match entry.metadata() {
        // An editor's passing file.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        other => other.with_context(|| format!("looking at {}", from.display()))?,
    };
    if metadata.is_dir() {
        if !to.is_dir() || to.is_symlink() {
            remove(to)?;
            fs::create_dir(to).with_context(|| format!("creating {}", to.display()))?;
        }
        folder(&from, to, &[])?;
        return Ok(true);
    }
    if !metadata.is_file() || metadata.len() > SOURCE_BYTES_MAX {
        return Ok(false);
    }
    file(&from, &metadata, to)?;
    Ok(true)
}

fn file(from: &Path, metadata: &Metadata, to: &Path) -> Result<()> {
    let content = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
    let is_file = fs::symlink_metadata(to).is_ok_and(|old| old.is_file());
    if !(is_file && fs::read(to).is_ok_and(|old| old == content)) {
        remove(to)?;
        fs::write(to, content).with_context(|| format!("writing {}", to.display()))?;
    }
    // Tests run scripts. This does not change the file's time.
    let set = fs::set_permissions(to, metadata.permissions());
    set.with_context(|| format!("setting the mode of {}", to.display()))
}

/// Removes whatever is there, if anything is.
pub(super) fn remove(path: &Path) -> Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(error).with_context(|| format!("looking at {}", path.display()));
        }
    };
    let removed = if metadata.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.with_context(|| format!("removing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::time::SystemTime;

    use super::*;

    fn time(path: &Path) -> SystemTime {
        fs::metadata(path).unwrap().modified().unwrap()
    }

    #[test]
    fn only_what_changes_is_written() {
        let base = tempfile::tempdir().unwrap();
        let (from, to) = (base.path().join("from"), base.path().join("to"));
        fs::create_dir_all(from.join("a/b")).unwrap();
        for name in ["a/b/same", "a/b/other", "a/gone"] {
            fs::write(from.join(name), name).unwrap();
        }
        bring_up_to_date(&from, &to).unwrap();
        let (same, other) = (time(&to.join("a/b/same")), time(&to.join("a/b/other")));
        let folder = time(&to.join("a/b"));

        for name in ["a/b/same", "a/b/other"] {
            fs::write(from.join(name), name).unwrap();
        }
        fs::write(from.join("a/b/other"), "news").unwrap();
        fs::remove_file(from.join("a/gone")).unwrap();
        bring_up_to_date(&from, &to).unwrap();
        assert_eq!(time(&to.join("a/b/same")), same);
        assert_eq!(fs::read_to_string(to.join("a/b/other")).unwrap(), "news");
        assert!(time(&to.join("a/b/other")) > other);
        assert!(!to.join("a/gone").exists());
        assert!(time(&to.join("a/b")) >= folder);
    }

    #[test]
    fn secrets_links_and_products_stay_where_they_are() {
        let base = tempfile::tempdir().unwrap();
        let (from, to) = (base.path().join("from"), base.path().join("to"));
        fs::create_dir_all(from.join("target")).unwrap();
        fs::create_dir_all(from.join("m/target")).unwrap();
        for name in [".dev.vars", ".dev.vars.local", "m/.env", "target/x", "m/target/x", "run"] {
            fs::write(from.join(name), name).unwrap();
        }
        fs::set_permissions(from.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("run", from.join("link")).unwrap();
        bring_up_to_date(&from, &to).unwrap();
        for name in [".dev.vars", ".dev.vars.local", "m/.env", "target", "link"] {
            assert!(!to.join(name).exists(), "{name} was copied");
        }
        assert!(to.join("m/target/x").exists());
        assert_eq!(fs::metadata(to.join("run")).unwrap().permissions().mode() & 0o777, 0o755);
    }

    #[test]
    fn a_file_may_become_a_folder_and_back() {
        let base = tempfile::tempdir().unwrap();
        let (from, to) = (base.path().join("from"), base.path().join("to"));
        fs::create_dir_all(&from).unwrap();
        fs::write(from.join("x"), "file").unwrap();
        bring_up_to_date(&from, &to).unwrap();
        fs::remove_file(from.join("x")).unwrap();
        fs::create_dir(from.join("x")).unwrap();
        fs::write(from.join("x/y"), "deeper").unwrap();
        bring_up_to_date(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("x/y")).unwrap(), "deeper");
        fs::remove_dir_all(from.join("x")).unwrap();
        fs::write(from.join("x"), "file").unwrap();
        bring_up_to_date(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("x")).unwrap(), "file");
    }
}
