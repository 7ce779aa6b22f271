//! The folder that the agent works in: confined paths and its text files.
//!
//! Invariant: what goes through here stays inside the folder.

mod file;
mod path;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

pub use file::FileError;
pub use path::PathError;

/// The folder that the agent works in.
#[derive(Debug, Clone)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The workspace at `root`, which is made when it is not there.
    pub fn open(root: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(root)?;
        Ok(Self { root: root.canonicalize()? })
    }

    /// Its folder, absolute and without links.
    pub fn root(&self) -> &Path {
        &self.root
    }
}
