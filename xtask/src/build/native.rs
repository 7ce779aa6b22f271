//! The native programs.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::cargo;
use crate::console::{self, seconds};
use crate::environment::copy_program;
use crate::places::Places;
use crate::process::run_logged;
use crate::shared_target::SharedTarget;

/// Packages, and the programs that they make.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("sandbox-runtime", &["sandbox-runtime"]),
    ("container-engine", &["container-engine", "docker-stand-in"]),
    ("demo-model", &["demo-model"]),
];

/// Builds the programs in release mode and copies them to the checkout.
pub(super) fn build(places: &Places) -> Result<()> {
    let begun = Instant::now();
    let target = SharedTarget::acquire(places)?;
    let mut command = cargo::command(places, &target)?;
    command.args(["build", "--release", "--bins"]);
    for (package, _) in PROGRAMS {
        command.args(["--package", package]);
    }
    run_logged(&mut command, &places.logs().join("build-native.log"))?;
    let mut changed = false;
    for name in PROGRAMS.iter().flat_map(|(_, programs)| *programs) {
        changed |= copy(&target.artefacts().join("release").join(name), &places.program(name))?;
    }
    if changed {
        console::note(&format!("native programs built in {}", seconds(begun.elapsed())));
    }
    Ok(())
}

/// Copies a program unless the copy has the same bytes.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<bool> {
    let new = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(false);
    }
    copy_program(from, to)?;
    Ok(true)
}
