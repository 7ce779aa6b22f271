//! The checks themselves.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::tally::{Counts, Outcome};
use super::{Session, output, surroundings};
use crate::environment::{self, on_path};
use crate::process::run_logged;
use crate::setup::WasmToolchain;
use crate::shared_target::SharedTarget;
use crate::{build as builds, cargo};

/// Packages that are compiled for wasm32.
const WASM_PACKAGES: &[&str] = &["edge-worker", "protocol", "dialects"];

/// The package and the target of the system tests.
const SYSTEM: (&str, &str) = ("integration-tests", "system");

impl Session<'_> {
    /// Where the output of a check goes.
    fn log(&self, name: &str) -> PathBuf {
        self.places.logs().join(format!("test-{name}.log"))
    }

    /// Runs a command that passes or fails.
    fn passes(&self, command: &mut Command, name: &str) -> Result<Outcome> {
        run_logged(command, &self.log(name))?;
        Ok(Outcome::passed())
    }

    /// Runs a command that runs tests and reads what it says about them.
    fn counts(
        &self,
        command: &mut Command,
        name: &str,
        read: fn(&str) -> Counts,
    ) -> Result<Outcome> {
        let log = self.log(name);
        let failure = run_logged(command, &log).err();
        let said = fs::read(&log).with_context(|| format!("reading {}", log.display()))?;
        Ok(Outcome::counted(read(&String::from_utf8_lossy(&said)), failure))
    }
}

/// `cargo fmt`.
pub(super) fn format(session: &Session<'_>) -> Result<Outcome> {
    let mut command = Command::new("cargo");
    command
        .args(["fmt", "--all", "--check", "--", "--color", "never"])
        .current_dir(session.places.root());
    cargo::clean(&mut command);
    session.passes(&mut command, "format")
}

/// Clippy on everything that runs natively, tests included.
pub(super) fn clippy_native(session: &Session<'_>) -> Result<Outcome> {
    let target = SharedTarget::acquire(session.places)?;
    let mut command = cargo::command(session.places, &target)?;
    command.args(["clippy", "--workspace", "--all-targets", "--locked", "--quiet"]);
    command.args(["--", "--deny", "warnings"]);
    session.passes(&mut command, "clippy-native")
}

/// Clippy on what the Worker is made of, as it is compiled for it.
pub(super) fn clippy_wasm(session: &Session<'_>) -> Result<Outcome> {
    let target = SharedTarget::acquire(session.places)?;
    let toolchain = &session.machine.wasm;
    let mut command = cargo::wasm_command(session.places, &target, toolchain)?;
    let has_clippy = *toolchain == WasmToolchain::Same;
    command.args([if has_clippy { "clippy" } else { "check" }, "--locked", "--quiet"]);
    command.args(["--target", "wasm32-unknown-unknown"]);
    for package in WASM_PACKAGES {
        command.args(["--package", package]);
    }
    if has_clippy {
        command.args(["--", "--deny", "warnings"]);
    }
    let outcome = session.passes(&mut command, "clippy-wasm")?;
    if has_clippy {
        return Ok(outcome);
    }
    Ok(outcome.remark("compiled only, since Debian's Rust is used, without clippy".to_owned()))
}

/// Licences, bans and sources of all dependencies; advisories as far as they are on this machine.
pub(super) fn deny(session: &Session<'_>) -> Result<Outcome> {
    if !on_path("cargo-deny") {
        return Ok(Outcome::left_out("cargo-deny is not installed (`cargo install cargo-deny`)"));
    }
    let mut command = Command::new("cargo");
    command.args(["deny", "--offline", "check", "licenses", "bans", "sources"]);
    command.current_dir(session.places.root());
    cargo::clean(&mut command);
    session.passes(&mut command, "deny")
}

/// Every test but the system tests.
pub(super) fn hermetic(session: &Session<'_>) -> Result<Outcome> {
    let target = SharedTarget::acquire(session.places)?;
    let mut command = cargo::command(session.places, &target)?;
    surroundings::set(&mut command, session.places, session.machine)?;
    if !on_path("cargo-nextest") {
        // cargo itself cannot leave out one target of one package.
        command.args(["test", "--workspace", "--exclude", SYSTEM.0, "--locked", "--no-fail-fast"]);
        command.args(session.options.filter.iter()).args(["--", "--show-output"]);
        return session.counts(&mut command, "hermetic", output::cargo_test);
    }
    nextest(&mut command);
    let all_but_system = format!("not (package({}) & binary({}))", SYSTEM.0, SYSTEM.1);
    command.args(["--workspace", "--filterset", &all_but_system]);
    command.args(session.options.filter.iter());
    session.counts(&mut command, "hermetic", output::nextest)
}

/// The tests of the chat page's logic.
pub(super) fn page(session: &Session<'_>) -> Result<Outcome> {
    let mut command = environment::node_tool(session.places, "node")?;
    command.arg("--test");
    if let Some(filter) = &session.options.filter {
        command.arg("--test-name-pattern").arg(filter);
    }
    command.arg("worker/web/tests/*.test.mjs");
    session.counts(&mut command, "page", output::node)
}

/// What the checks after this one need.
pub(super) fn build(session: &Session<'_>) -> Result<Outcome> {
    builds::all(session.places, session.machine)?;
    Ok(Outcome::passed())
}

/// A deployment up to the point where it would be sent.
pub(super) fn dry_run(session: &Session<'_>) -> Result<Outcome> {
    let log = session.log("dry-run");
    let mut command = environment::wrangler(session.places)?;
    command
        .args(["deploy", "--dry-run", "--outdir"])
        .arg(session.places.root().join("target/dry-run"))
        .env("WRANGLER_LOG_PATH", session.places.logs().join("wrangler-debug"))
        .env("WRANGLER_DOCKER_BIN", session.places.program("docker-stand-in"))
        .env(builds::BUILT, "1");
    run_logged(&mut command, &log)?;
    let said = fs::read_to_string(&log).with_context(|| format!("reading {}", log.display()))?;
    let size = output::upload_size(&said).unwrap_or_else(|| "no size was told".to_owned());
    Ok(Outcome::passed().remark(size))
}

/// The real Worker in workerd with the real runtime.
pub(super) fn system(session: &Session<'_>) -> Result<Outcome> {
    let target = SharedTarget::acquire(session.places)?;
    let mut command = cargo::command(session.places, &target)?;
    surroundings::set(&mut command, session.places, session.machine)?;
    command.env("SYSTEM", "1");
    // Each of these tests starts processes enough for the whole machine.
    if !on_path("cargo-nextest") {
        command.args(["test", "--package", SYSTEM.0, "--test", SYSTEM.1, "--locked"]);
        command.args(session.options.filter.iter());
        command.args(["--", "--show-output", "--test-threads", "1"]);
        return session.counts(&mut command, "system", output::cargo_test);
    }
    nextest(&mut command);
    command.args(["--package", SYSTEM.0, "--test", SYSTEM.1, "--test-threads", "1"]);
    command.args(session.options.filter.iter());
    session.counts(&mut command, "system", output::nextest)
}

/// A nextest run that tells what passing tests print, since they print why they were skipped, and
/// shows failures at the end, where the log is looked at.
fn nextest(command: &mut Command) {
    command
        .args(["nextest", "run", "--locked", "--no-fail-fast", "--no-tests", "pass"])
        .args(["--success-output", "immediate", "--failure-output", "final"])
        .args(["--hide-progress-bar", "--color", "never"]);
}
