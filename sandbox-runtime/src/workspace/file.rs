//! Text files of the workspace: bounded reads, atomic writes.
//!
//! Invariant: after a crash at any instant a written file holds its old text or its new text, whole.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

use super::Workspace;
use super::path::PathError;
use crate::limits::FILE_BYTES_MAX;

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The path is not taken.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Nothing there.
    #[error("{0} does not exist")]
    Missing(String),
    /// A folder, a device or the like.
    #[error("{0} is not a file")]
    NotAFile(String),
    /// Too large.
    #[error(
        "{path} has {bytes} bytes, more than {FILE_BYTES_MAX}; use bash to look at parts of it"
    )]
    TooLarge {
        /// The path as it was given.
        path: String,
        /// Its size.
        bytes: u64,
    },
    /// Not text.
    #[error("{0} is not a text file in UTF-8; use bash to look at it")]
    Binary(String),
    /// The system said no.
    #[error("{action} {path} failed")]
    System {
        /// What was tried.
        action: &'static str,
        /// The path as it was given.
        path: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl Workspace {
    /// The whole text of a file.
    pub fn read_text(&self, path: &str) -> Result<String, FileError> {
        self.text(path, self.read_bytes(path)?)
    }

    /// All bytes of a file.
    pub fn read_bytes(&self, path: &str) -> Result<Vec<u8>, FileError> {
        let real = self.resolve(path)?;
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => FileError::Missing(path.to_owned()),
            _ => FileError::System { action: "reading", path: path.to_owned(), source },
        };
        let metadata = fs::metadata(&real).map_err(failed)?;
        if !metadata.is_file() {
            return Err(FileError::NotAFile(path.to_owned()));
        }
        let mut bytes = Vec::new();
        // One byte more than the bound tells a file that is too large or still grows.
        let file = File::open(&real).map_err(failed)?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(FileError::TooLarge { path: path.to_owned(), bytes: metadata.len() });
        }
        Ok(bytes)
    }

    /// The text that a file's bytes are.
    pub fn text(&self, path: &str, bytes: Vec<u8>) -> Result<String, FileError> {
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Ok(text),
            Ok(_) | Err(_) => Err(FileError::Binary(path.to_owned())),
        }
    }

    /// Puts `text` in place of what the file held, and makes the folders that it needs.
    pub fn write_text(&self, path: &str, text: &str) -> Result<(), FileError> {
        let real = self.resolve(path)?;
        if real.is_dir() {
            return Err(FileError::NotAFile(path.to_owned()));
        }
        replace(&real, text).map_err(|source| FileError::System {
            action: "writing",
            path: path.to_owned(),
            source,
        })
    }
}

fn replace(real: &Path, text: &str) -> io::Result<()> {
    let folder = real.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    let mut temporary = NamedTempFile::with_prefix_in(".pagurus-", folder)?;
    temporary.write_all(text.as_bytes())?;
    let permissions = match fs::metadata(real) {
        Ok(metadata) => metadata.permissions(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => new_file_permissions(),
        Err(error) => return Err(error),
    };
    temporary.as_file().set_permissions(permissions)?;
    temporary.as_file().sync_data()?;
    temporary.persist(real).map_err(|error| error.error)?;
    Ok(())
}

/// A new file is readable by all and writable by its owner; the temporary file is more private.
fn new_file_permissions() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    fs::Permissions::from_mode(0o644)
}
