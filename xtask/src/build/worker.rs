//! The Worker: compiled to wasm, bound to JavaScript, optimised and bundled into `build/`.
//!
//! Invariant: `build/` is made from the wasm that cargo calls fresh. Everything behind the compiler
//! depends on that wasm and the tools' versions alone, so its result is kept in the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, Result, bail};

use super::fingerprint;
use crate::cargo;
use crate::console::{self, seconds};
use crate::environment;
use crate::limits::WORKER_CACHE_ENTRIES_MAX;
use crate::places::Places;
use crate::process::run_logged;
use crate::setup::Machine;
use crate::shared_target::SharedTarget;

/// The cargo profile of the Worker, in the workspace's `Cargo.toml`.
const PROFILE: &str = "worker";

/// The files that `wrangler` needs of the build.
const PRODUCTS: &[&str] = &["index.js", "index_bg.wasm"];

/// What is done to the module after worker-build.
const STRIP: &[&str] = &["--all-features", "--strip-debug", "--strip-producers"];

/// Written into `build/` and named as its origin.
const STAMP: &str = "fingerprint";

/// Builds the Worker.
pub(super) fn build(places: &Places, machine: &Machine) -> Result<()> {
    let begun = Instant::now();
    let target = SharedTarget::acquire(places)?;
    let wasm = compile(places, machine, &target)?;
    let name = fingerprint_of(places, machine, &wasm)?;
    let build = places.worker_build();
    if complete(&build) && fs::read_to_string(build.join(STAMP)).is_ok_and(|stamp| stamp == name) {
        return Ok(());
    }
    let kept = places.cache().join("worker").join(&name);
    if complete(&kept) {
        copy_products(&kept, &build)?;
    } else {
        bundle(places, machine, &target)?;
        keep(&build, &kept)?;
    }
    fs::write(build.join(STAMP), &name).context("stamping the Worker's build")?;
    console::note(&format!("the Worker built in {}", seconds(begun.elapsed())));
    Ok(())
}

/// Compiles, and returns the path of the module.
fn compile(places: &Places, machine: &Machine, target: &SharedTarget) -> Result<PathBuf> {
    let mut command = cargo::wasm_command(places, target, &machine.wasm)?;
    command
        .args(["build", "--lib", "--profile", PROFILE, "--target", "wasm32-unknown-unknown"])
        .current_dir(target.sources().join("worker"));
    run_logged(&mut command, &places.logs().join("build-worker.log"))?;
    let folder = target.artefacts().join("wasm32-unknown-unknown").join(PROFILE);
    Ok(folder.join("edge_worker.wasm"))
}

fn fingerprint_of(places: &Places, machine: &Machine, wasm: &Path) -> Result<String> {
    let module = fs::read(wasm).with_context(|| format!("reading {}", wasm.display()))?;
    let packages = places.root().join("package-lock.json");
    let packages =
        fs::read(&packages).with_context(|| format!("reading {}", packages.display()))?;
    let worker_build = machine.worker_build.version().as_bytes();
    let wasm_bindgen = machine.wasm_bindgen.version().as_bytes();
    let strip = STRIP.join(" ");
    Ok(fingerprint(&[&module, &packages, worker_build, wasm_bindgen, strip.as_bytes()]))
}

/// Everything behind the compiler, by worker-build. Its own cargo call finds all fresh.
fn bundle(places: &Places, machine: &Machine, target: &SharedTarget) -> Result<()> {
    let scripts = places.node_modules().join(".bin");
    let mut command = Command::new(machine.worker_build.path());
    command
        .args(["--profile", PROFILE, "--out-dir"])
        .arg(places.worker_build())
        .current_dir(target.sources().join("worker"))
        .env("CARGO_TARGET_DIR", target.artefacts())
        .env("CARGO_TERM_COLOR", "never")
        .env("WASM_BINDGEN_BIN", machine.wasm_bindgen.path())
        .env("WASM_OPT_BIN", scripts.join("wasm-opt"))
        .env("ESBUILD_BIN", environment::esbuild(places)?);
    cargo::clean(&mut command);
    cargo::for_wasm(&mut command, &machine.wasm, std::slice::from_ref(&scripts))?;
    run_logged(&mut command, &places.logs().join("worker-build.log"))?;
    strip(places, &scripts.join("wasm-opt"))?;
    if !complete(&places.worker_build()) {
        bail!("worker-build left no module in {}", places.worker_build().display());
    }
    Ok(())
}

/// Takes the names of functions out of the module, a tenth of what is uploaded and compiled at each
/// start. A panic says its file and line without them.
fn strip(places: &Places, wasm_opt: &Path) -> Result<()> {
    let module = places.worker_build().join("index_bg.wasm");
    let mut command = Command::new(wasm_opt);
    command.args(STRIP).arg(&module).arg("-o").arg(&module);
    run_logged(&mut command, &places.logs().join("wasm-opt.log"))
}

/// Whether a folder holds a whole build: the module is there and is one.
fn complete(folder: &Path) -> bool {
    let wasm = fs::read(folder.join("index_bg.wasm")).unwrap_or_default();
    let script = fs::metadata(folder.join("index.js")).is_ok_and(|file| file.len() > 0);
    wasm.starts_with(b"\0asm") && script
}

fn copy_products(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("creating {}", to.display()))?;
    for name in PRODUCTS {
        fs::copy(from.join(name), to.join(name)).with_context(|| format!("copying {name}"))?;
    }
    Ok(())
}

/// Keeps a build in the cache; it appears there whole or not at all.
fn keep(build: &Path, kept: &Path) -> Result<()> {
    let folder = kept.parent().context("a kept build has a folder")?;
    let fresh = kept.with_extension("new");
    copy_products(build, &fresh)?;
    if kept.exists() {
        fs::remove_dir_all(kept).context("removing a broken build from the cache")?;
    }
    fs::rename(&fresh, kept).context("keeping the build")?;
    drop_oldest(folder)
}

fn drop_oldest(folder: &Path) -> Result<()> {
    let mut builds: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder).context("listing kept builds")? {
        let entry = entry.context("listing kept builds")?;
        let modified = entry.metadata().and_then(|file| file.modified());
        builds.push((modified.context("asking for a build's age")?, entry.path()));
    }
    builds.sort();
    let surplus = builds.len().saturating_sub(WORKER_CACHE_ENTRIES_MAX);
    for (_, path) in builds.iter().take(surplus) {
        fs::remove_dir_all(path).context("removing an old build")?;
    }
    Ok(())
}
