//! The environment of the tools: which Node, which esbuild, which wasm-bindgen.
//!
//! Invariant: every cargo call of this program sees the same values, so that a build script that
//! watches one of them is not run again for nothing.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::places::Places;

/// `PATH` with these folders in front.
pub(crate) fn path_with(folders: &[PathBuf]) -> Result<OsString> {
    let old = env::var_os("PATH").unwrap_or_default();
    let folders = folders.iter().cloned().chain(env::split_paths(&old));
    env::join_paths(folders).context("a folder's name cannot stand in PATH")
}

/// A command from npm's packages, run by the Node that is pinned there.
pub(crate) fn node_tool(places: &Places, name: &str) -> Result<Command> {
    let folder = places.node_modules().join(".bin");
    let mut command = Command::new(folder.join(name));
    command.env("PATH", path_with(&[folder])?).current_dir(places.root());
    Ok(command)
}

/// `wrangler`, kept from calling home and from asking questions. Started without the script that
/// npm puts in front, which would be one more process between a signal and its receiver.
pub(crate) fn wrangler(places: &Places) -> Result<Command> {
    let mut command = node_tool(places, "node")?;
    command
        .arg("--no-warnings")
        .arg(places.node_modules().join("wrangler/wrangler-dist/cli.js"))
        .env("WRANGLER_SEND_METRICS", "false")
        .env("WRANGLER_SEND_ERROR_REPORTS", "false")
        .env("WRANGLER_HIDE_BANNER", "true")
        .env("DO_NOT_TRACK", "1")
        .env("CI", "1")
        .env("NO_COLOR", "1");
    Ok(command)
}

/// Makes a program end when this one does, even when this one is killed: where the system has a
/// tool for that. It tells the program to end; see [`crate::process::Crew`] for the usual way.
pub(crate) fn not_outliving_us(command: &Command) -> Command {
    if !on_path("setpriv") {
        return copy_of(command, Command::new(command.get_program()));
    }
    let mut wrapped = Command::new("setpriv");
    wrapped.args(["--pdeathsig", "TERM", "--"]).arg(command.get_program());
    copy_of(command, wrapped)
}

/// `to` with the arguments, environment and folder of `command` added.
fn copy_of(command: &Command, mut to: Command) -> Command {
    to.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => to.env(name, value),
            None => to.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        to.current_dir(folder);
    }
    to
}

/// Whether a program can be found.
pub(crate) fn on_path(program: &str) -> bool {
    program_on_path(program).is_some()
}

/// Where a program is.
pub(crate) fn program_on_path(program: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// The esbuild program itself, without the script around it. In the cache, so that every checkout
/// names the same path: cargo runs a build script again when a variable that it reads changes.
pub(crate) fn esbuild(places: &Places) -> Result<PathBuf> {
    let packages = places.node_modules();
    let about = packages.join("esbuild/package.json");
    let about = fs::read(&about).with_context(|| format!("reading {}", about.display()))?;
    let about: Value = serde_json::from_slice(&about).context("reading esbuild's package.json")?;
    let version = about.get("version").and_then(Value::as_str).context("esbuild has no version")?;
    let kept = places.tools().join(format!("esbuild-{version}")).join("esbuild");
    let from = packages.join("@esbuild").join(npm_platform()).join("bin/esbuild");
    let bytes = |path: &Path| fs::metadata(path).map(|file| file.len()).ok();
    if bytes(&kept).is_none() || bytes(&kept) != bytes(&from) {
        copy_program(&from, &kept)?;
    }
    Ok(kept)
}

/// Copies a program. By a new name first, since the old copy may be running.
pub(crate) fn copy_program(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().context("a program's path has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let fresh = to.with_extension(format!("new-{}", process::id()));
    fs::copy(from, &fresh).with_context(|| format!("copying {}", from.display()))?;
    fs::rename(&fresh, to).with_context(|| format!("replacing {}", to.display()))
}

/// npm's name of this platform.
fn npm_platform() -> String {
    let system = match env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let processor = match env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{system}-{processor}")
}
