//! Test doubles written in Python, in a virtual environment in the cache.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::cargo_tool::remove_folder;
use super::part::{Need, Part};
use crate::build::fingerprint;
use crate::places::Places;
use crate::process::{answer, run_logged};

/// Written when the environment is complete.
const STAMP: &str = "complete";

/// The packages of `xtask/requirements.txt`.
#[derive(Debug, Clone)]
pub(crate) struct PythonPackages {
    requirements: PathBuf,
    folder: PathBuf,
    log: PathBuf,
}

impl PythonPackages {
    pub(super) fn new(places: &Places) -> Result<Self> {
        let requirements = places.root().join("xtask/requirements.txt");
        let list = fs::read(&requirements)
            .with_context(|| format!("reading {}", requirements.display()))?;
        let folder = places.cache().join(format!("python-{}", fingerprint(&[&list])));
        Ok(Self { requirements, folder, log: places.cache().join("logs/python.log") })
    }

    /// The virtual environment, when it is there.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        // The interpreter is a link to the system's, which may have gone since.
        let whole = self.folder.join(STAMP).is_file() && self.folder.join("bin/python3").is_file();
        whole.then(|| self.folder.clone())
    }
}

impl Part for PythonPackages {
    fn name(&self) -> String {
        "Python packages (for test doubles)".to_owned()
    }

    fn healthy(&self) -> bool {
        self.folder().is_some()
    }

    fn obtainable(&self) -> bool {
        answer(Command::new("python3").args(["-c", "import venv, ensurepip"])).is_some()
    }

    fn install(&self) -> Result<()> {
        remove_folder(&self.folder)?;
        let mut create = Command::new("python3");
        create.args(["-m", "venv"]).arg(&self.folder);
        run_logged(&mut create, &self.log)?;
        let mut install = Command::new(self.folder.join("bin/python3"));
        install
            .args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-r"])
            .arg(&self.requirements);
        run_logged(&mut install, &self.log)?;
        fs::write(self.folder.join(STAMP), "").context("stamping the Python environment")?;
        if !self.healthy() {
            bail!("{} has no interpreter", self.folder.display());
        }
        Ok(())
    }

    fn remedy(&self) -> String {
        "install Python 3 with its venv module (Debian and Ubuntu: `sudo apt-get install \
         python3-venv`) and run `cargo xtask setup` again"
            .to_owned()
    }

    fn need(&self) -> Need {
        Need::SomeTests
    }
}
