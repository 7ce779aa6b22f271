//! Cargo calls: which toolchain, which target folder, which environment.
//!
//! Invariant: a cargo call that builds for this checkout goes through [`command`], with the shared
//! target folder held, and sees the copy of the sources there.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::environment;
use crate::places::Places;
use crate::setup::WasmToolchain;
use crate::shared_target::SharedTarget;

/// A cargo call for native code.
pub(crate) fn command(places: &Places, target: &SharedTarget) -> Result<Command> {
    let mut command = Command::new("cargo");
    command
        .current_dir(target.sources())
        .env("CARGO_TARGET_DIR", target.artefacts())
        .env("ESBUILD_BIN", environment::esbuild(places)?)
        .env("CARGO_TERM_COLOR", "never");
    clean(&mut command);
    Ok(command)
}

/// A cargo call for wasm32.
pub(crate) fn wasm_command(
    places: &Places,
    target: &SharedTarget,
    toolchain: &WasmToolchain,
) -> Result<Command> {
    let mut command = command(places, target)?;
    for_wasm(&mut command, toolchain, &[])?;
    Ok(command)
}

/// Makes a command that calls cargo and rustc by name use the wasm32 toolchain, and find other
/// programs in `folders` first.
pub(crate) fn for_wasm(
    command: &mut Command,
    toolchain: &WasmToolchain,
    folders: &[PathBuf],
) -> Result<()> {
    // worker-build sets the variable for its own cargo call; a value that differs would make every
    // call rebuild.
    command.env("WASM_BINDGEN_USE_JS_SYS", "1");
    let mut folders = folders.to_vec();
    if let WasmToolchain::Debian { programs } = toolchain {
        command.env_remove("RUSTUP_TOOLCHAIN");
        folders.insert(0, programs.clone());
    }
    command.env("PATH", environment::path_with(&folders)?);
    Ok(())
}

/// Takes out what the `cargo run` around this program has put in and another toolchain would trip
/// over.
pub(crate) fn clean(command: &mut Command) {
    command.env_remove("CARGO").env_remove("LD_LIBRARY_PATH");
}
