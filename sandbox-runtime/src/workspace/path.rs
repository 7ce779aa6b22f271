//! Where in the container the file tools may go.
//!
//! Invariant: a path that [`Workspace::resolve`] gives lies inside the workspace after all links
//! are followed. This guards the model against mistakes, not the container against the model: its
//! shell commands run with the same rights as this process.

use std::ffi::OsString;
use std::io;
use std::path::{Component, PathBuf};

use super::Workspace;

/// Why a path is not taken.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// It is empty, or holds a NUL.
    #[error("the path is empty or holds a NUL character")]
    Malformed,
    /// It leads out.
    #[error("{path} is outside the workspace {root}; only paths inside it can be used")]
    Outside {
        /// The path as it was given.
        path: String,
        /// The workspace.
        root: String,
    },
    /// It goes through a link to nowhere.
    #[error("{0} goes through a symbolic link that leads nowhere")]
    DanglingLink(String),
    /// A part of it could not be looked at.
    #[error("{path} could not be looked up")]
    Lookup {
        /// The path as it was given.
        path: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl Workspace {
    /// The real path of `path`, which may be relative to the workspace or absolute inside it. The
    /// last parts need not exist.
    pub fn resolve(&self, path: &str) -> Result<PathBuf, PathError> {
        if path.is_empty() || path.contains('\0') {
            return Err(PathError::Malformed);
        }
        let (existing, missing) = self.split(path)?;
        let mut real = existing
            .canonicalize()
            .map_err(|source| PathError::Lookup { path: path.to_owned(), source })?;
        // `..` behind a folder that does not exist would take its meaning from what is made later.
        if !real.starts_with(&self.root) || missing.iter().any(|part| part == "..") {
            return Err(self.outside(path));
        }
        real.extend(missing);
        Ok(real)
    }

    /// The path from the workspace's top, by its names alone; `None` when it leads out or up.
    pub fn relative(&self, path: &str) -> Option<PathBuf> {
        let joined = self.root.join(path);
        let below = joined.strip_prefix(&self.root).ok()?;
        let plain = below.components().all(|part| matches!(part, Component::Normal(_)));
        plain.then(|| below.to_owned())
    }

    /// The deepest part of the path that exists, and the names behind it.
    fn split(&self, path: &str) -> Result<(PathBuf, Vec<OsString>), PathError> {
        let mut existing = PathBuf::from("/");
        let joined = self.root.join(path);
        let mut parts = joined.components().filter(|part| *part != Component::CurDir);
        for part in parts.by_ref() {
            let next = existing.join(part);
            match next.symlink_metadata() {
                Ok(metadata) if metadata.is_symlink() && !next.exists() => {
                    return Err(PathError::DanglingLink(path.to_owned()));
                }
                Ok(_) => existing = next,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let missing = std::iter::once(part).chain(parts);
                    let names = missing.map(|part| part.as_os_str().to_owned()).collect();
                    return Ok((existing, names));
                }
                Err(source) => return Err(PathError::Lookup { path: path.to_owned(), source }),
            }
        }
        Ok((existing, Vec::new()))
    }

    fn outside(&self, path: &str) -> PathError {
        PathError::Outside { path: path.to_owned(), root: self.root.display().to_string() }
    }
}
