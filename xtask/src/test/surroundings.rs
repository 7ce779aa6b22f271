//! What tests and the bench find in their environment.
//!
//! Invariant: nothing of the owner's own settings reaches them.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::build;
use crate::dev::settings;
use crate::environment::program_on_path;
use crate::places::Places;
use crate::setup::{CHROMIUM_PROGRAMS, Machine};

/// Sets the paths of everything built, and takes the owner's settings away.
pub(crate) fn set(command: &mut Command, places: &Places, machine: &Machine) -> Result<()> {
    for name in settings::names() {
        command.env_remove(name);
    }
    // A copy, because the original is replaced when somebody edits it meanwhile.
    let xtask = places.program("xtask");
    let this = env::current_exe().context("finding this program")?;
    build::copy(&this, &xtask).context("copying this program")?;
    let mut paths: Vec<(&str, PathBuf)> = vec![
        ("PAGURUS_ROOT", places.root().to_owned()),
        ("PAGURUS_XTASK", xtask),
        ("PAGURUS_RUNTIME", places.program("sandbox-runtime")),
        ("PAGURUS_ENGINE", places.program("container-engine")),
        ("PAGURUS_DOCKER_STAND_IN", places.program("docker-stand-in")),
        ("PAGURUS_DEMO_MODEL", places.program("demo-model")),
        ("PAGURUS_NODE_MODULES", places.node_modules()),
        ("PAGURUS_NODE", places.node_modules().join(".bin/node")),
    ];
    if let Some(folder) = machine.python.folder() {
        paths.push(("PAGURUS_VENV", folder));
    }
    if let Some(chromium) = CHROMIUM_PROGRAMS.iter().find_map(|name| program_on_path(name)) {
        paths.push(("PAGURUS_CHROMIUM", chromium));
    }
    command.envs(paths).env("PAGURUS_HERMETIC", "1");
    Ok(())
}
