//! What the program says to whoever starts it by hand.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the program's own printer")]

use std::process::ExitCode;

use crate::EXIT_BOOT_FAILED;

const HELP: &str = include_str!("help.txt");

pub(crate) fn version() -> ExitCode {
    println!("sandbox-runtime {}", env!("CARGO_PKG_VERSION"));
    ExitCode::SUCCESS
}

pub(crate) fn help() -> ExitCode {
    print!("{HELP}");
    ExitCode::SUCCESS
}

pub(crate) fn usage() -> ExitCode {
    failed("it takes no arguments but --help and --version")
}

pub(crate) fn failed(why: &str) -> ExitCode {
    eprintln!("sandbox-runtime: {why}");
    ExitCode::from(EXIT_BOOT_FAILED)
}
