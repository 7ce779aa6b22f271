//! npm's packages in the checkout.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::part::{Need, Part};
use crate::places::Places;
use crate::process::{answer, run_logged};

/// A copy of the lock file that the folder was made from, inside it, so that both vanish together.
const STAMP: &str = ".pagurus-package-lock.json";

/// `node_modules`.
#[derive(Debug)]
pub(crate) struct NodePackages {
    places: Places,
}

impl NodePackages {
    pub(super) fn new(places: &Places) -> Self {
        Self { places: places.clone() }
    }

    fn stamp(&self) -> PathBuf {
        self.places.node_modules().join(STAMP)
    }

    fn lock_file(&self) -> PathBuf {
        self.places.root().join("package-lock.json")
    }

    /// Whether each package of the lock file that this platform needs has its folder.
    fn complete(&self, lock_file: &str) -> bool {
        let Ok(lock) = serde_json::from_str::<Value>(lock_file) else { return false };
        let Some(packages) = lock.get("packages").and_then(Value::as_object) else { return false };
        packages
            .iter()
            .filter(|(path, package)| !path.is_empty() && package.get("optional").is_none())
            .all(|(path, _)| self.places.root().join(path).join("package.json").is_file())
    }
}

impl Part for NodePackages {
    fn name(&self) -> String {
        "npm packages".to_owned()
    }

    fn healthy(&self) -> bool {
        match (fs::read_to_string(self.stamp()), fs::read_to_string(self.lock_file())) {
            (Ok(stamp), Ok(lock_file)) => stamp == lock_file && self.complete(&lock_file),
            _ => false,
        }
    }

    fn install(&self) -> Result<()> {
        if answer(Command::new("npm").arg("--version")).is_none() {
            bail!("npm is not installed (Debian and Ubuntu: `apt-get install npm`)");
        }
        let mut command = Command::new("npm");
        command.args(["ci", "--prefer-offline"]).current_dir(self.places.root());
        run_logged(&mut command, &self.places.logs().join("npm.log"))?;
        fs::copy(self.lock_file(), self.stamp()).context("stamping node_modules")?;
        Ok(())
    }

    fn remedy(&self) -> String {
        format!("get them with `npm ci` in {}", self.places.root().display())
    }

    fn need(&self) -> Need {
        Need::Everything
    }
}
