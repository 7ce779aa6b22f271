//! The `faults` program behind `cargo xtask faults`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that reports to a terminal"
)]

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use integration_tests::faults::{Options, keep_workerd, run};

const HELP: &str = include_str!("faults.txt");
const ROUNDS: u32 = 50;

fn main() -> ExitCode {
    if let Some(kept) = keep_workerd() {
        return match kept {
            Ok(code) => u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from),
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
    match work() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn work() -> Result<bool> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let (mut seed, mut rounds, mut json) = (now.as_secs(), ROUNDS, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} takes a number"));
        match argument.as_str() {
            "--seed" => seed = value()?.parse().context("--seed takes a number")?,
            "--rounds" => rounds = value()?.parse().context("--rounds takes a number")?,
            "--json" => json = true,
            "--help" | "-h" => {
                print!("{HELP}");
                return Ok(true);
            }
            other => bail!("unknown argument {other}; see --help"),
        }
    }
    let progress: fn(&str) = if json { |_| {} } else { |line| println!("{line}") };
    let keeper = std::env::current_exe().context("finding this program")?;
    let options = Options { seed, rounds, keeper, progress };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(run(&options))?;
    let figures = report.json();
    println!("{}", if json { figures.to_string() } else { format!("{figures:#}") });
    Ok(!report.is_bad())
}
