//! The folder in which a local agent lives.
//!
//! Invariant: at most one stack uses a state folder at a time.

use std::env;
use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};

use crate::args::DevOptions;
use crate::console;
use crate::limits::SOCKET_PATH_BYTES_MAX;
use crate::places::Places;

/// An opened state folder.
#[derive(Debug)]
pub(super) struct State {
    folder: PathBuf,
    /// Removed at the end.
    temporary: Vec<PathBuf>,
    socket: PathBuf,
    _lock: File,
}

impl State {
    /// The folder of the options: a temporary one for `--say`, otherwise the checkout's.
    pub(super) fn open(places: &Places, options: &DevOptions) -> Result<Self> {
        let mut temporary = Vec::new();
        let folder = match &options.state {
            Some(folder) => folder.clone(),
            None if options.say.is_empty() => places.root().join("state"),
            None => {
                let folder = private_folder("pagurus-say")?;
                temporary.push(folder.clone());
                folder
            }
        };
        for name in ["run", "logs", "work", "wrangler"] {
            // Conversations lie here: for the owner alone.
            let folder = folder.join(name);
            let created = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
            created.with_context(|| format!("creating {}", folder.display()))?;
        }
        let folder = folder.canonicalize().context("resolving the state folder's path")?;
        let lock = lock(&folder)?;
        let mut socket = folder.join("run/engine.sock");
        if socket.as_os_str().as_bytes().len() > SOCKET_PATH_BYTES_MAX {
            let short = private_folder("pagurus")?;
            socket = short.join("engine.sock");
            temporary.push(short);
        }
        Ok(Self { folder, temporary, socket, _lock: lock })
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The container engine's socket.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The processes' output.
    pub(super) fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// The file of the token for programs of the owner.
    pub(super) fn token(&self) -> PathBuf {
        self.folder.join("api-token")
    }

    /// The file of the Worker's settings, keys among them.
    pub(super) fn settings(&self) -> PathBuf {
        self.folder.join("dev.env")
    }

    /// Removes the settings and what is temporary; after a failure the logs are worth more than the
    /// space.
    pub(super) fn close(&self, failed: bool) {
        match fs::remove_file(self.settings()) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                let settings = self.settings();
                console::note(&format!("{} cannot be removed: {error}", settings.display()));
            }
            _ => {}
        }
        for folder in &self.temporary {
            if failed && *folder == self.folder {
                console::note(&format!("the logs are in {}", self.logs().display()));
            } else if let Err(error) = fs::remove_dir_all(folder) {
                console::note(&format!("{} cannot be removed: {error}", folder.display()));
            }
        }
    }
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    if file.try_lock().is_err() {
        bail!("another `cargo xtask dev` uses {}; choose another with --state", folder.display());
    }
    Ok(file)
}

fn private_folder(name: &str) -> Result<PathBuf> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let folder = env::temp_dir().join(format!("{name}-{}-{}", process::id(), now.subsec_nanos()));
    let created = DirBuilder::new().mode(0o700).create(&folder);
    created.with_context(|| format!("creating {}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(state: Option<PathBuf>, say: bool) -> DevOptions {
        let say = if say { vec!["hi".to_owned()] } else { Vec::new() };
        DevOptions { state, say, ..DevOptions::default() }
    }

    #[test]
    fn a_state_folder_has_one_user() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::of(root.path().into(), root.path().join("cache"));
        let first = State::open(&places, &options(None, false)).unwrap();
        let second = State::open(&places, &options(None, false)).unwrap_err();
        assert!(format!("{second:#}").contains("--state"));
        drop(first);
        State::open(&places, &options(None, false)).unwrap();
    }

    #[test]
    fn a_temporary_state_goes_and_a_given_one_stays() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::of(root.path().into(), root.path().join("cache"));
        let temporary = State::open(&places, &options(None, true)).unwrap();
        let folder = temporary.folder().to_owned();
        temporary.close(false);
        assert!(!folder.exists());
        let given = State::open(&places, &options(Some(root.path().join("mine")), true)).unwrap();
        fs::write(given.settings(), "KEY=secret").unwrap();
        given.close(true);
        assert!(given.folder().exists() && !given.settings().exists());
    }

    #[test]
    fn the_socket_path_fits_the_system() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::of(root.path().into(), root.path().join("cache"));
        let long = root.path().join("x".repeat(SOCKET_PATH_BYTES_MAX));
        let state = State::open(&places, &options(Some(long), false)).unwrap();
        assert!(state.socket().as_os_str().len() <= SOCKET_PATH_BYTES_MAX);
        state.close(false);
        assert!(!state.socket().parent().unwrap().exists());
    }
}
