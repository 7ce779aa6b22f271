//! The programs of the test crate that run the whole product: `bench` measures it, `faults` breaks
//! it on purpose. Builds everything, then hands over.

use std::ffi::OsString;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result};

use crate::args::BuildOptions;
use crate::places::Places;
use crate::process::run_logged;
use crate::shared_target::SharedTarget;
use crate::test::surroundings;
use crate::{build, cargo, setup};

/// Builds everything in release mode and runs the program of that name with these arguments.
///
/// # Errors
///
/// When something could not be set up, built or started; what the program finds is its exit code.
pub(crate) fn run(places: &Places, name: &str, arguments: &[OsString]) -> Result<ExitCode> {
    let machine = setup::ensure(places)?;
    build::run(places, BuildOptions::All)?;
    let program = places.program(name);
    {
        let target = SharedTarget::acquire(places)?;
        let mut build = cargo::command(places, &target)?;
        build.args(["build", "--release", "--package", "integration-tests", "--bin", name]);
        run_logged(&mut build, &places.logs().join(format!("build-{name}.log")))?;
        build::copy(&target.artefacts().join("release").join(name), &program)?;
    }
    // Released before: a run takes minutes, and others may build, at the cost of its quiet.
    let mut command = Command::new(&program);
    command.args(arguments).current_dir(places.root()).stdin(Stdio::null()).env(build::BUILT, "1");
    surroundings::set(&mut command, places, &machine)?;
    let status = command.status().with_context(|| format!("starting the {name} program"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
