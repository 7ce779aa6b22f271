//! `cargo xtask test`: every check, in an order that finds cheap mistakes first.
//!
//! Invariants: a failure does not stop the checks after it, unless they need what failed; what was
//! not checked is said, with the reason.

mod checks;
mod output;
pub(crate) mod surroundings;
mod tally;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::args::TestOptions;
use crate::console::{self, seconds};
use crate::places::Places;
use crate::setup::{self, Machine};
use tally::{Outcome, Tally};

/// A check's name and what it does.
type Check = (&'static str, fn(&Session<'_>) -> Result<Outcome>);

/// What a check works with.
#[derive(Debug)]
struct Session<'a> {
    places: &'a Places,
    machine: &'a Machine,
    options: &'a TestOptions,
}

const STYLE: &[Check] = &[
    ("format", checks::format),
    ("clippy, native", checks::clippy_native),
    ("clippy, wasm32", checks::clippy_wasm),
    ("licences and advisories", checks::deny),
];

const TESTS: &[Check] =
    &[("unit and hermetic tests", checks::hermetic), ("tests of the chat page", checks::page)];

const BUILD: Check = ("build", checks::build);

/// These need the build.
const BUILT_STYLE: &[Check] = &[("dry run of a deployment", checks::dry_run)];
const BUILT_TESTS: &[Check] = &[("system tests", checks::system)];

/// Runs the checks.
pub(crate) fn run(places: &Places, options: &TestOptions) -> Result<ExitCode> {
    let begun = Instant::now();
    let machine = setup::ensure(places)?;
    let session = Session { places, machine: &machine, options };
    let all = options.filter.is_none();
    let mut tally = Tally::default();
    if all {
        session.run_all(STYLE, &mut tally);
    }
    session.run_all(TESTS, &mut tally);
    if options.fast {
        tally.skip("dry run and system tests", "--fast");
    } else if session.run(BUILD, &mut tally) {
        if all {
            session.run_all(BUILT_STYLE, &mut tally);
        }
        session.run_all(BUILT_TESTS, &mut tally);
    } else {
        tally.skip("dry run and system tests", "the build failed");
    }
    for line in tally.skipped() {
        console::print(&format!("skipped: {line}"));
    }
    for line in &machine.missing {
        console::print(&format!("note: {line}"));
    }
    console::print(&format!("{} in {}", tally.summary(), seconds(begun.elapsed())));
    Ok(if tally.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Session<'_> {
    fn run_all(&self, checks: &[Check], tally: &mut Tally) {
        for check in checks {
            self.run(*check, tally);
        }
    }

    /// Runs a check and says how it went; whether it passed.
    fn run(&self, (name, check): Check, tally: &mut Tally) -> bool {
        console::print(&format!("{name} …"));
        let begun = Instant::now();
        let outcome = check(self).unwrap_or_else(|error| Outcome::broken(&error));
        let took = seconds(begun.elapsed());
        console::print(&format!("  {} ({took})", outcome.line()));
        if let Some(detail) = outcome.detail() {
            console::print(detail);
        }
        let passed = outcome.is_good();
        tally.add(name, outcome);
        passed
    }
}
