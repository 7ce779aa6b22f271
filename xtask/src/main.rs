//! `cargo xtask`: sets the checkout up, builds, runs, tests and measures it.
//!
//! Invariant: the exit code is 0 exactly when the command did what it was asked.

mod args;
mod build;
mod cargo;
mod console;
mod dev;
mod doctor;
mod environment;
mod limits;
mod places;
mod process;
mod programs;
mod setup;
mod shared_target;
mod steps;
mod test;

use std::process::ExitCode;

use anyhow::Result;

use crate::args::Command;
use crate::places::Places;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            console::note(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let command = args::parse(lexopt::Parser::from_env())?;
    if let Command::Help(text) = command {
        console::print(text);
        return Ok(ExitCode::SUCCESS);
    }
    let places = Places::find()?;
    match command {
        Command::Help(_) => Ok(ExitCode::SUCCESS),
        Command::Setup => setup::ensure(&places).map(|_| ExitCode::SUCCESS),
        Command::Build(options) => build::run(&places, options).map(|()| ExitCode::SUCCESS),
        Command::Dev(options) => dev::run(&places, &options),
        Command::Test(options) => test::run(&places, &options),
        Command::Bench(arguments) => programs::run(&places, "bench", &arguments),
        Command::Faults(arguments) => programs::run(&places, "faults", &arguments),
        Command::Doctor => doctor::run(&places),
    }
}
