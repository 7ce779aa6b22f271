//! The workspace as something to be saved.
//!
//! Invariants: only what a restore brings back is saved (content, names, permissions, times, links),
//! so that a restored folder is the same as the saved one and costs nothing to save again; what the
//! ignore file names is left out; what could not be read is counted and said.

use std::fs::File;
use std::io::{ErrorKind as IoErrorKind, Read, Take};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ignore::{Walk, WalkBuilder};
use rustic_core::jiff::Timestamp;
use rustic_core::repofile::{Metadata, Node, NodeType};
use rustic_core::{
    ErrorKind, ReadSource, ReadSourceEntry, ReadSourceOpen, RusticError, RusticResult,
};

use crate::limits::UNREADABLE_NAMED_MAX;

/// The file whose lines say what is not saved, in the syntax of `.gitignore`.
pub(super) const IGNORE_FILE: &str = ".pagurusignore";

/// The bits by which Go, and so the repository's format, marks folders and links in a mode.
const MODE_DIR: u32 = 1 << 31;
const MODE_SYMLINK: u32 = 1 << 27;

/// What could not be read.
#[derive(Debug, Clone, Default)]
pub(super) struct Unreadable(Arc<Mutex<Vec<String>>>);

impl Unreadable {
    fn note(&self, what: &dyn std::fmt::Display) {
        let mut named = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() < UNREADABLE_NAMED_MAX {
            named.push(what.to_string());
        }
    }

    /// The first of them.
    pub(super) fn named(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A folder to be saved.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    unreadable: Unreadable,
}

impl Folder {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), unreadable: Unreadable::default() }
    }

    /// What could not be read up to now.
    pub(super) fn unreadable(&self) -> Unreadable {
        self.unreadable.clone()
    }
}

impl ReadSource for Folder {
    type Open = Unopened;
    type Iter = Entries;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(None)
    }

    fn entries(&self) -> Entries {
        let walk = WalkBuilder::new(&self.root)
            .standard_filters(false)
            .follow_links(false)
            .add_custom_ignore_filename(IGNORE_FILE)
            .sort_by_file_path(Path::cmp)
            .build();
        Entries { walk, root: self.root.clone(), unreadable: self.unreadable.clone() }
    }
}

/// The entries of a folder, parents before children.
pub(super) struct Entries {
    walk: Walk,
    root: PathBuf,
    unreadable: Unreadable,
}

impl Iterator for Entries {
    type Item = RusticResult<ReadSourceEntry<Unopened>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let entry = match self.walk.next()? {
                Ok(entry) => entry,
                Err(error) => {
                    if error.io_error().is_none_or(|error| error.kind() != IoErrorKind::NotFound) {
                        self.unreadable.note(&error);
                    }
                    continue;
                }
            };
            let path = entry.into_path();
            if path == self.root {
                continue;
            }
            match node(&path) {
                Ok(Some(node)) => {
                    let open = node.is_file().then(|| Unopened {
                        path: path.clone(),
                        unreadable: self.unreadable.clone(),
                    });
                    return Some(Ok(ReadSourceEntry { path, node, open }));
                }
                // A socket or the like, or gone meanwhile.
                Ok(None) => {}
                Err(error) => self.unreadable.note(&format!("{}: {error}", path.display())),
            }
        }
    }
}

/// What is at a path, as a restore would make it; `None` for what is not saved.
fn node(path: &Path) -> std::io::Result<Option<Node>> {
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(name) = path.file_name() else { return Ok(None) };
    let permissions = metadata.permissions().mode() & 0o777;
    let mtime = metadata.modified().ok().and_then(|at| Timestamp::try_from(at).ok());
    let (node_type, mode, size) = if metadata.is_dir() {
        (NodeType::Dir, MODE_DIR | permissions, 0)
    } else if metadata.is_symlink() {
        (NodeType::from_link(&path.read_link()?), MODE_SYMLINK | 0o777, 0)
    } else if metadata.is_file() {
        (NodeType::File, permissions, metadata.len())
    } else {
        return Ok(None);
    };
    let meta = Metadata { mode: Some(mode), mtime, size, ..Metadata::default() };
    Ok(Some(Node::new_node(name, node_type, meta)))
}

/// A file that has not been opened.
#[derive(Debug)]
pub(super) struct Unopened {
    path: PathBuf,
    unreadable: Unreadable,
}

impl ReadSourceOpen for Unopened {
    type Reader = Opened;

    fn open(self) -> RusticResult<Opened> {
        let Self { path, unreadable } = self;
        // As long as it is now: one that grows as fast as it is read would never end.
        let opened = File::open(&path).and_then(|file| {
            let bytes = file.metadata()?.len();
            Ok(file.take(bytes))
        });
        match opened {
            Ok(file) => Ok(Opened { file, path, unreadable }),
            Err(error) => {
                if error.kind() != IoErrorKind::NotFound {
                    unreadable.note(&format!("{}: {error}", path.display()));
                }
                let doing = "A file could not be opened.";
                Err(RusticError::with_source(ErrorKind::InputOutput, doing, error))
            }
        }
    }
}

/// A file that is being read.
#[derive(Debug)]
pub(super) struct Opened {
    file: Take<File>,
    path: PathBuf,
    unreadable: Unreadable,
}

impl Read for Opened {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.file.read(buffer).inspect_err(|error| {
            if error.kind() != IoErrorKind::Interrupted {
                self.unreadable.note(&format!("{}: {error}", self.path.display()));
            }
        })
    }
}
