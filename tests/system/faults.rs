//! A short run of the fault harness; `cargo xtask faults` makes long ones.

use anyhow::{Result, ensure};
use integration_tests::faults::{Options, run};

use crate::gate::{self, system};

/// Chosen once, so that a failure can be looked into.
const SEED: u64 = 20;
/// As many as fit into half a minute.
const ROUNDS: u32 = 8;

#[test]
fn faults() -> gate::Outcome {
    system("faults", async {
        let keeper = env!("CARGO_BIN_EXE_faults").into();
        let progress: fn(&str) = |line| println!("{line}");
        let options = Options { seed: SEED, rounds: ROUNDS, keeper, progress };
        looked_at(&options).await
    })
}

async fn looked_at(options: &Options) -> Result<()> {
    let report = run(options).await?;
    println!("{:#}", report.json());
    ensure!(!report.is_bad(), "something was lost, doubled or broken");
    Ok(())
}
