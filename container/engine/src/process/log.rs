//! Where the output of containers goes: a file each, or the engine's standard error with the
//! container's name in front.
//!
//! A file is handed to the process itself, so the engine copies nothing. With standard error the
//! engine reads pipes and prints whole lines, so that lines of two containers never mix.

use std::fs::{File, OpenOptions, create_dir_all, rename};
use std::io::{Error, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::containers::Name;
use crate::limits::{LOG_BYTES_MAX, LOG_LINE_BYTES_MAX};
use crate::terminal::report;

/// Where output goes.
#[derive(Debug, Clone)]
pub enum Logs {
    /// `<name>.log` in this folder.
    Folder(PathBuf),
    /// The engine's standard error.
    StandardError,
}

/// What failed with a log.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the log {path:?}; is --log-dir writable?")]
pub struct LogError {
    path: PathBuf,
    #[source]
    source: Error,
}

/// The two ends given to a process.
#[derive(Debug)]
pub struct Outputs {
    /// For its standard output.
    pub stdout: Stdio,
    /// For its standard error.
    pub stderr: Stdio,
}

impl Logs {
    /// Uses a folder, making it where needed, or standard error.
    pub fn open(folder: Option<&Path>) -> Result<Self, LogError> {
        let Some(folder) = folder else { return Ok(Self::StandardError) };
        match create_dir_all(folder) {
            Ok(()) => Ok(Self::Folder(folder.to_owned())),
            Err(source) => Err(LogError { path: folder.to_owned(), source }),
        }
    }

    /// Prepares the outputs of a container that starts now.
    pub fn outputs(&self, name: &Name) -> Result<Outputs, LogError> {
        let Self::Folder(folder) = self else {
            return Ok(Outputs { stdout: Stdio::piped(), stderr: Stdio::piped() });
        };
        let path = folder.join(format!("{name}.log"));
        let files = open_log(&path).and_then(|file| Ok((file.try_clone()?, file)));
        let (stdout, stderr) = files.map_err(|source| LogError { path, source })?;
        Ok(Outputs { stdout: stdout.into(), stderr: stderr.into() })
    }

    /// Notes an event of the container's life beside its output.
    pub fn note(&self, name: &Name, event: &str) {
        match self {
            Self::StandardError => report(&format!("{name}: {event}")),
            Self::Folder(folder) => {
                let path = folder.join(format!("{name}.log"));
                let line = format!("container-engine: {event}\n");
                let opened = OpenOptions::new().append(true).create(true).open(&path);
                if let Err(error) = opened.and_then(|mut file| file.write_all(line.as_bytes())) {
                    report(&format!("cannot note {event:?} in {}: {error}", path.display()));
                }
            }
        }
    }
}

fn open_log(path: &Path) -> Result<File, Error> {
    let open = || OpenOptions::new().append(true).create(true).open(path);
    let file = open()?;
    if file.metadata()?.len() <= LOG_BYTES_MAX {
        return Ok(file);
    }
    rename(path, path.with_extension("log.old"))?;
    open()
}

/// Prints what comes out of a pipe, line by line, until it ends.
pub async fn print_lines(name: Name, pipe: impl AsyncRead + Unpin) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    let mut terminal = tokio::io::stderr();
    loop {
        line.clear();
        line.extend_from_slice(name.as_str().as_bytes());
        line.extend_from_slice(b" | ");
        let prefix_bytes = line.len();
        let mut piece = (&mut reader).take(LOG_LINE_BYTES_MAX as u64);
        match piece.read_until(b'\n', &mut line).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => return report(&format!("cannot read the output of {name}: {error}")),
        }
        if line.last() != Some(&b'\n') && line.len() > prefix_bytes {
            line.push(b'\n');
        }
        // Nobody reads the terminal any more: keep draining, or the container would block.
        if terminal.write_all(&line).await.is_err() {
            line.clear();
        }
    }
}
