//! A short run of the fault harness; `cargo xtask faults` runs longer ones.

use anyhow::{Result, ensure};
use integration_tests::faults::{Options, run};
use integration_tests::limits::FAULTS_ROUNDS_IN_TESTS;

use crate::gate::{self, system};

/// A fixed one makes a failure repeatable. This one has many kinds of faults in few rounds, and no
/// receiver that hangs, which the outbox's own test has: it would take half a minute.
const SEED: u64 = 20_261_211;

#[test]
fn faults() -> gate::Outcome {
    system("faults", async {
        let keeper = env!("CARGO_BIN_EXE_faults").into();
        let progress: fn(&str) = |line| println!("{line}");
        let options = Options { seed: SEED, rounds: FAULTS_ROUNDS_IN_TESTS, keeper, progress };
        let report = run(&options).await?;
        sound(report.is_bad(), &report.json())
    })
}

fn sound(is_bad: bool, figures: &serde_json::Value) -> Result<()> {
    println!("{figures:#}");
    ensure!(!is_bad, "see `cargo xtask faults --seed {SEED}`: {figures:#}");
    ensure!(figures["accepted"].as_u64() >= Some(u64::from(FAULTS_ROUNDS_IN_TESTS)), "{figures:#}");
    Ok(())
}
