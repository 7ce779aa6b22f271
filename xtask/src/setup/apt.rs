//! Programs that only tests use, from the system's packages.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::part::{Need, Part};
use crate::environment::on_path;
use crate::process::answer;

/// Names under which Chromium or its like is installed, the best first.
pub(crate) const CHROMIUM_PROGRAMS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

/// A program from a Debian package.
#[derive(Debug)]
pub(crate) struct AptPackage {
    package: &'static str,
    programs: &'static [&'static str],
    purpose: &'static str,
}

impl AptPackage {
    /// The browser of the browser tests.
    pub(crate) fn chromium() -> Self {
        Self { package: "chromium", programs: CHROMIUM_PROGRAMS, purpose: "the browser tests" }
    }

    /// The independent reader of workspace snapshots.
    pub(crate) fn restic() -> Self {
        Self { package: "restic", programs: &["restic"], purpose: "the snapshot tests" }
    }
}

impl Part for AptPackage {
    fn name(&self) -> String {
        format!("{} (for {})", self.package, self.purpose)
    }

    fn healthy(&self) -> bool {
        self.programs.iter().any(|program| on_path(program))
    }

    fn obtainable(&self) -> bool {
        privileged("apt-get").is_some()
    }

    fn install(&self) -> Result<()> {
        install(&[self.package])
    }

    fn remedy(&self) -> String {
        format!("get it with `sudo apt-get install {}` or your system's own means", self.package)
    }

    fn need(&self) -> Need {
        Need::SomeTests
    }
}

/// Installs Debian packages; the package lists are fetched only when the first attempt fails.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    if attempt(packages).is_ok() {
        return Ok(());
    }
    run(&["update"]).context("fetching the package lists")?;
    attempt(packages)
}

fn attempt(packages: &[&str]) -> Result<()> {
    let fixed: &[&str] = &["install", "--yes", "--no-install-recommends"];
    run(&[fixed, packages].concat())
}

fn run(arguments: &[&str]) -> Result<()> {
    let mut command = privileged("apt-get").context("apt-get cannot be run as root")?;
    let output = command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .context("starting apt-get")?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    bail!("apt-get {} failed: {}", arguments.join(" "), said.trim())
}

/// A command that runs as root, if that is possible without a question.
fn privileged(program: &str) -> Option<Command> {
    if !on_path(program) {
        return None;
    }
    if rustix::process::geteuid().is_root() {
        return Some(Command::new(program));
    }
    answer(Command::new("sudo").args(["-n", "true"]))?;
    let mut command = Command::new("sudo");
    command.args(["-n", "DEBIAN_FRONTEND=noninteractive", program]);
    Some(command)
}
