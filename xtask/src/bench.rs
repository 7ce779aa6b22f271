//! `cargo xtask bench`: builds, then runs the bench program.

use std::ffi::OsString;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result};

use crate::args::BuildOptions;
use crate::places::Places;
use crate::process::run_logged;
use crate::shared_target::SharedTarget;
use crate::test::surroundings;
use crate::{build, cargo, setup};

/// Builds everything in release mode and runs the bench program with these arguments.
pub(crate) fn run(places: &Places, arguments: &[OsString]) -> Result<ExitCode> {
    let machine = setup::ensure(places)?;
    build::run(places, BuildOptions::All)?;
    let program = places.program("bench");
    {
        let target = SharedTarget::acquire(places)?;
        let mut build = cargo::command(places, &target)?;
        build.args(["build", "--release", "--package", "integration-tests", "--bin", "bench"]);
        run_logged(&mut build, &places.logs().join("build-bench.log"))?;
        build::copy(&target.artefacts().join("release/bench"), &program)?;
    }
    // Released before: a measurement takes minutes, and others may build, at the cost of its quiet.
    let mut bench = Command::new(&program);
    bench.args(arguments).current_dir(places.root()).stdin(Stdio::null()).env(build::BUILT, "1");
    surroundings::set(&mut bench, places, &machine)?;
    let status = bench.status().context("starting the bench program")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
