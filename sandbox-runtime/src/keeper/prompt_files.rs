//! The files of the workspace that the model is shown at each turn.
//!
//! Invariant: they are bounded, and what could not be read is said, not left out in silence.

use std::io::{ErrorKind, Read};
use std::path::Path;

use super::{Keeper, Stage};
use crate::limits::{PROMPT_FILE_BYTES_MAX, PROMPT_FILES_TIMEOUT};

/// Their names, at the top of the workspace, in the order in which the model reads them.
pub(super) const NAMES: [&str; 2] = ["AGENTS.md", "MEMORY.md"];

/// What the model is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PromptFiles {
    /// Name and text of those that exist.
    pub files: Vec<(String, String)>,
    /// Whether they could not be read now.
    pub unreadable: bool,
}

impl PromptFiles {
    pub(super) fn of(contents: Vec<(String, Vec<u8>)>) -> Self {
        let bounded = |(name, mut bytes): (String, Vec<u8>)| {
            bytes.truncate(PROMPT_FILE_BYTES_MAX);
            (name, String::from_utf8_lossy(&bytes).into_owned())
        };
        Self { files: contents.into_iter().map(bounded).collect(), unreadable: false }
    }

    pub(super) fn unreadable() -> Self {
        Self { files: Vec::new(), unreadable: true }
    }
}

impl Keeper {
    /// The files as they are now: from the folder once it is whole, else from the snapshot.
    pub async fn prompt_files(&self) -> PromptFiles {
        match tokio::time::timeout(PROMPT_FILES_TIMEOUT, self.current_prompt_files()).await {
            Ok(files) => files,
            Err(_elapsed) => {
                tracing::warn!("the files for the prompt did not come in time");
                PromptFiles::unreadable()
            }
        }
    }

    async fn current_prompt_files(&self) -> PromptFiles {
        match self.opened().await {
            Ok(Stage::Ready(_)) => {
                let root = self.workspace.root().to_owned();
                match tokio::task::spawn_blocking(move || read(&root)).await {
                    Ok(files) => files,
                    Err(error) => {
                        tracing::error!(%error, "the files for the prompt could not be read");
                        PromptFiles::unreadable()
                    }
                }
            }
            Ok(Stage::Restoring(..)) => {
                let mut files = self.prompt_files.subscribe();
                match files.wait_for(Option::is_some).await.map(|files| files.clone()) {
                    Ok(Some(files)) => files,
                    Ok(None) | Err(_) => PromptFiles::unreadable(),
                }
            }
            Ok(_) | Err(_) => PromptFiles::unreadable(),
        }
    }
}

fn read(root: &Path) -> PromptFiles {
    let mut found = Vec::new();
    for name in NAMES {
        match read_bounded(&root.join(name)) {
            Ok(bytes) => found.push((name.to_owned(), bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(%error, name, "a file for the prompt could not be read");
                return PromptFiles::unreadable();
            }
        }
    }
    PromptFiles::of(found)
}

fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(PROMPT_FILE_BYTES_MAX as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}
