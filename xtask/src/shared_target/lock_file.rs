//! What `Cargo.lock` says.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// `Cargo.lock` of a checkout.
pub(crate) fn read_lock_file(root: &Path) -> Result<String> {
    fs::read_to_string(root.join("Cargo.lock"))
        .context("reading Cargo.lock (`cargo generate-lockfile` makes a new one)")
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

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK_FILE: &str = r#"
version = 4

[[package]]
name = "ours"
version = "0.1.0"
dependencies = [
 "theirs",
]

[[package]]
name = "theirs"
version = "2.3.4"
source = "registry+https://example.org/index"
checksum = "00"
    "#;

    #[test]
    fn versions_come_from_the_lock_file() {
        assert_eq!(locked_version(LOCK_FILE, "theirs").as_deref(), Some("2.3.4"));
        assert_eq!(locked_version(LOCK_FILE, "their"), None);
        assert_eq!(locked_version("", "theirs"), None);
    }
}
