//! The workspace as a restic repository: the routes of restic's REST protocol, version 2, and what
//! the object and the runtime tell each other about restoring and saving.
//!
//! The routes are those of <https://restic.readthedocs.io/en/stable/100_references.html#rest-backend>
//! below a prefix: `/workspace` at the edge for the container, `/workspace/<agent>` for the owner.
//! A file's name is the SHA-256 of its content in lower-case hex, so a file is written once and a
//! second write of the same content changes nothing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use crate::route::{Method, segments};

/// The media type of a listing with sizes, version 2 of the protocol.
pub const LISTING_V2: &str = "application/vnd.x.restic.rest.v2";

/// The kinds of files that a repository has many of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// Packs of encrypted blobs.
    Data,
    /// Which blob is in which pack.
    Index,
    /// Key files: the master key under a password.
    Keys,
    /// Locks of stock clients.
    Locks,
    /// Snapshots.
    Snapshots,
}

impl FileKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Data, Self::Index, Self::Keys, Self::Locks, Self::Snapshots];

    /// The kind's folder.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Index => "index",
            Self::Keys => "keys",
            Self::Locks => "locks",
            Self::Snapshots => "snapshots",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of a file: the SHA-256 of its content, 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileName(String);

/// A text that is no [`FileName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a repository's file is named by 64 lower-case hex digits")]
pub struct FileNameError;

impl FileName {
    /// The 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for FileName {
    type Err = FileNameError;
    fn from_str(text: &str) -> Result<Self, FileNameError> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for FileName {
    type Error = FileNameError;
    fn try_from(text: String) -> Result<Self, FileNameError> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let good = text.len() == 64 && text.bytes().all(is_digit);
        if good { Ok(Self(text)) } else { Err(FileNameError) }
    }
}

impl From<FileName> for String {
    fn from(name: FileName) -> String {
        name.0
    }
}

/// What is done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileAction {
    /// Is it there, and how large?
    Head,
    /// Read it, or a range of it.
    Get,
    /// Write it.
    Post,
    /// Delete it.
    Delete,
}

/// One route of the repository, below its prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkspaceRoute {
    /// `POST /?create=true`: make a repository; nothing to do where folders are only names.
    Create,
    /// The repository's configuration, the one file without a hash for a name.
    Config(FileAction),
    /// `GET /<kind>/`: the files of a kind with their sizes.
    List(FileKind),
    /// A file.
    File(FileAction, FileKind, FileName),
}

impl FileAction {
    fn method(self) -> Method {
        match self {
            Self::Head => Method::Head,
            Self::Get => Method::Get,
            Self::Post => Method::Post,
            Self::Delete => Method::Delete,
        }
    }

    fn parse(method: &str) -> Option<Self> {
        let all = [Self::Head, Self::Get, Self::Post, Self::Delete];
        all.into_iter().find(|action| action.method().as_str() == method)
    }
}

impl WorkspaceRoute {
    /// The method of the route.
    pub fn method(&self) -> Method {
        match self {
            Self::Create => Method::Post,
            Self::Config(action) | Self::File(action, ..) => action.method(),
            Self::List(_) => Method::Get,
        }
    }

    /// Path and query below the prefix, with the leading slash.
    pub fn path(&self) -> String {
        match self {
            Self::Create => "/?create=true".into(),
            Self::Config(_) => "/config".into(),
            Self::List(kind) => format!("/{kind}/"),
            Self::File(_, kind, name) => format!("/{kind}/{name}"),
        }
    }

    /// The route that a method, a path below the prefix and a query name.
    pub fn parse(method: &str, path: &str, query: &str) -> Option<Self> {
        let route = match segments(path)?.as_slice() {
            [""] if query == "create=true" => Self::Create,
            ["config"] => Self::Config(FileAction::parse(method)?),
            [kind, ""] => Self::List(FileKind::parse(kind)?),
            [kind, name] => {
                Self::File(FileAction::parse(method)?, FileKind::parse(kind)?, name.parse().ok()?)
            }
            _ => return None,
        };
        (route.method().as_str() == method).then_some(route)
    }
}

/// One file of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedFile {
    /// Its name.
    pub name: FileName,
    /// Its bytes.
    pub size: u64,
}

/// `POST /workspace` of the runtime: what is to be restored, once per life of the container.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceOpening {
    /// Protocol version of the sender.
    pub protocol: u32,
    /// How the repository opens.
    pub key: RepositoryKey,
    /// What the object knows to be there.
    pub expected: Expected,
}

impl fmt::Debug for WorkspaceOpening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkspaceOpening").field("expected", &self.expected).finish_non_exhaustive()
    }
}

/// How a repository opens. Kept in the memory of both ends, never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RepositoryKey {
    /// The master key, as the JSON text that the runtime once reported: no derivation is needed.
    Master {
        /// The JSON text.
        json: String,
    },
    /// The password that stock clients use too: derives the master key, which takes a second and
    /// much memory.
    Password {
        /// The password.
        password: String,
    },
}

impl fmt::Debug for RepositoryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Master { .. } => "Master(…)",
            Self::Password { .. } => "Password(…)",
        })
    }
}

/// What the object knows of the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Expected {
    /// Nothing was ever saved: make a repository, or take over one that opens with the key.
    New,
    /// A repository is there, without a snapshot yet.
    Repository,
    /// This snapshot, or a later one, is there. Anything less is a failed restore.
    Snapshot {
        /// Its name.
        id: FileName,
    },
    /// The owner gave up what was saved: begin with an empty folder. Old snapshots stay.
    StartEmpty,
}

/// One line of the answer to `POST /workspace` and `POST /maintenance` (NDJSON).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum WorkspaceEvent {
    /// The repository is open. Carries the master key when it was opened or made with a password.
    Opened {
        /// The master key's JSON text, for the next opening.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        master_key: Option<String>,
    },
    /// How far it is.
    Progress {
        /// Files that are in place.
        files: u64,
        /// Files in all.
        files_total: u64,
        /// Bytes that are in place.
        bytes: u64,
        /// Bytes in all.
        bytes_total: u64,
    },
    /// All of it is in place; files may be written from now on. Nothing follows.
    Restored {
        /// The snapshot; `None` for a workspace that begins empty.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        snapshot: Option<FileName>,
        /// Its files.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// Old snapshots and what only they used are gone. Nothing follows.
    Maintained {
        /// Snapshots that were kept.
        kept: u64,
        /// Snapshots that were removed.
        removed: u64,
        /// Bytes that were freed.
        freed_bytes: u64,
    },
    /// It failed; nothing may be written to the workspace. Nothing follows.
    Failed {
        /// Why, and what to do.
        problem: Problem,
    },
}

impl fmt::Debug for WorkspaceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened { .. } => f.write_str("Opened"),
            Self::Progress { files, files_total, .. } => {
                write!(f, "Progress({files}/{files_total})")
            }
            Self::Restored { snapshot, files, .. } => write!(f, "Restored({snapshot:?}, {files})"),
            Self::Maintained { kept, removed, .. } => write!(f, "Maintained({kept}, {removed})"),
            Self::Failed { problem } => write!(f, "Failed({problem})"),
        }
    }
}

/// `POST /maintenance` of the runtime: forget what the retention lets go, and prune. Asked only in
/// a life of the container that runs no turns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    /// Protocol version of the sender.
    pub protocol: u32,
    /// How the repository opens.
    pub key: RepositoryKey,
    /// What is kept.
    pub retention: Retention,
}

/// Which snapshots are kept: the union of all rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// The newest, so many.
    pub last: u32,
    /// The newest of each of so many hours.
    pub hourly: u32,
    /// The newest of each of so many days.
    pub daily: u32,
    /// The newest of each of so many weeks.
    pub weekly: u32,
}
