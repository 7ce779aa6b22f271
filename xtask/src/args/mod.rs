//! The command line.
//!
//! Invariant: what is not understood is refused with the command's help named; nothing is guessed.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use lexopt::Arg::{Long, Short, Value};
use lexopt::ValueExt as _;

#[cfg(test)]
mod tests;

const HELP: &str = include_str!("../help/xtask.txt");
const HELP_SETUP: &str = include_str!("../help/setup.txt");
const HELP_BUILD: &str = include_str!("../help/build.txt");
const HELP_DEV: &str = include_str!("../help/dev.txt");
const HELP_TEST: &str = include_str!("../help/test.txt");
const HELP_BENCH: &str = include_str!("../help/bench.txt");
const HELP_FAULTS: &str = include_str!("../../../tests/src/bin/faults.txt");
const HELP_DOCTOR: &str = include_str!("../help/doctor.txt");

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Print this text.
    Help(&'static str),
    /// Get what building and testing need.
    Setup,
    /// Build.
    Build(BuildOptions),
    /// Run locally.
    Dev(DevOptions),
    /// Test.
    Test(TestOptions),
    /// Measure; the arguments are the bench program's.
    Bench(Vec<OsString>),
    /// Break it on purpose; the arguments are the fault program's.
    Faults(Vec<OsString>),
    /// Look at the machine.
    Doctor,
}

/// What `build` builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BuildOptions {
    /// The Worker and the native programs.
    All,
    /// The Worker alone, as `wrangler` asks for it.
    Worker,
}

/// How `dev` runs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct DevOptions {
    /// The port asked for.
    pub(crate) port: Option<u16>,
    /// Where the state lies.
    pub(crate) state: Option<PathBuf>,
    /// Messages to send in order; then it ends.
    pub(crate) say: Vec<String>,
    /// JSON lines alone on stdout.
    pub(crate) json: bool,
    /// A real container engine instead of the stand-in.
    pub(crate) docker: bool,
}

/// What `test` runs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TestOptions {
    /// Leave out what needs the built Worker.
    pub(crate) fast: bool,
    /// Only tests whose name contains this.
    pub(crate) filter: Option<String>,
}

/// Reads the command line.
pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Command> {
    let name = match parser.next()? {
        None | Some(Short('h') | Long("help")) => return Ok(Command::Help(HELP)),
        Some(Value(name)) => name.string()?,
        Some(other) => return Err(other.unexpected()).context("see `cargo xtask --help`"),
    };
    match name.as_str() {
        "help" => Ok(Command::Help(HELP)),
        "setup" => bare(parser, HELP_SETUP, Command::Setup),
        "build" => build(parser),
        "dev" => dev(parser).context("see `cargo xtask dev --help`"),
        "test" => test(parser).context("see `cargo xtask test --help`"),
        "bench" => program(parser, HELP_BENCH, Command::Bench),
        "faults" => program(parser, HELP_FAULTS, Command::Faults),
        "doctor" => bare(parser, HELP_DOCTOR, Command::Doctor),
        other => bail!("there is no command {other:?}; see `cargo xtask --help`"),
    }
}

fn bare(mut parser: lexopt::Parser, help: &'static str, command: Command) -> Result<Command> {
    match parser.next()? {
        None => Ok(command),
        Some(Short('h') | Long("help")) => Ok(Command::Help(help)),
        Some(other) => Err(other.unexpected()).context("this command takes nothing but --help"),
    }
}

fn build(mut parser: lexopt::Parser) -> Result<Command> {
    let mut options = BuildOptions::All;
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help(HELP_BUILD)),
            Long("worker") => options = BuildOptions::Worker,
            other => return Err(other.unexpected()).context("see `cargo xtask build --help`"),
        }
    }
    Ok(Command::Build(options))
}

fn dev(mut parser: lexopt::Parser) -> Result<Command> {
    let mut options = DevOptions::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help(HELP_DEV)),
            Short('p') | Long("port") => options.port = Some(parser.value()?.parse()?),
            Long("state") => options.state = Some(PathBuf::from(parser.value()?)),
            Long("say") => options.say.push(parser.value()?.string()?),
            Long("json") => options.json = true,
            Long("docker") => options.docker = true,
            other => return Err(other.unexpected().into()),
        }
    }
    if options.say.iter().any(|text| text.trim().is_empty()) {
        bail!("--say wants a text");
    }
    Ok(Command::Dev(options))
}

fn test(mut parser: lexopt::Parser) -> Result<Command> {
    let mut options = TestOptions::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help(HELP_TEST)),
            Long("fast") => options.fast = true,
            Value(filter) if options.filter.is_none() => options.filter = Some(filter.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Test(options))
}

/// Everything after the name belongs to the program, which has its own help.
fn program(
    mut parser: lexopt::Parser,
    help: &'static str,
    command: fn(Vec<OsString>) -> Command,
) -> Result<Command> {
    let rest: Vec<OsString> = parser.raw_args()?.collect();
    match rest.as_slice() {
        [only] if only == "--help" || only == "-h" => Ok(Command::Help(help)),
        _ => Ok(command(rest)),
    }
}
