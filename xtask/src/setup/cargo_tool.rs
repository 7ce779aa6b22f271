//! Tools that cargo installs, one folder for each version.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::part::{Need, Part};
use crate::cargo;
use crate::places::Places;
use crate::process::{answer, run_logged};

/// The version of worker-build that fits the `worker` crate in use.
pub(super) const WORKER_BUILD: &str = "0.8.7";

/// A tool from a crate.
#[derive(Debug, Clone)]
pub(crate) struct CargoTool {
    places: Places,
    package: &'static str,
    program: &'static str,
    version: String,
}

impl CargoTool {
    pub(super) fn new(
        places: &Places,
        package: &'static str,
        program: &'static str,
        version: String,
    ) -> Self {
        Self { places: places.clone(), package, program, version }
    }

    /// Where the program is.
    pub(crate) fn path(&self) -> PathBuf {
        self.root().join("bin").join(self.program)
    }

    /// The version that is used.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    fn root(&self) -> PathBuf {
        self.places.tools().join(format!("{}-{}", self.package, self.version))
    }

    fn log(&self) -> PathBuf {
        self.places.cache().join("logs").join(format!("{}.log", self.package))
    }
}

impl Part for CargoTool {
    fn name(&self) -> String {
        format!("{} {}", self.package, self.version)
    }

    fn healthy(&self) -> bool {
        let said = answer(Command::new(self.path()).arg("--version"));
        said.is_some_and(|said| said.split_whitespace().any(|word| word == self.version))
    }

    fn install(&self) -> Result<()> {
        if self.root().exists() {
            // Broken. The program may be one file with its artefact, which would be taken again.
            remove_folder(&self.root())?;
            remove_folder(&artefacts(&self.places))?;
        }
        let mut command = Command::new("cargo");
        command
            .args(["install", self.package, "--version", &self.version, "--root"])
            .arg(self.root())
            .current_dir(self.places.cache())
            .env("CARGO_TARGET_DIR", artefacts(&self.places))
            .env("CARGO_TERM_COLOR", "never");
        // These tools run for a second or two, and only when the Worker has changed: it is their
        // building that somebody waits for.
        command
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "0");
        cargo::clean(&mut command);
        run_logged(&mut command, &self.log())
    }

    fn remedy(&self) -> String {
        format!(
            "get it with `cargo install {} --version {} --root {}`",
            self.package,
            self.version,
            self.root().display()
        )
    }

    fn need(&self) -> Need {
        Need::Everything
    }
}

/// The tools' artefacts while they are built: shared, since the tools have dependencies in common.
pub(super) fn artefacts(places: &Places) -> PathBuf {
    places.tools().join("target")
}

/// Removes a folder that may not be there.
pub(super) fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("removing {}", path.display())),
    }
}
