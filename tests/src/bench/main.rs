//! `cargo xtask bench`: what the product costs in time, memory and size, and where the time goes.
//!
//! Every figure is the median of repeated runs with its minimum and maximum; targets stand beside
//! the figures that have one, so that a miss is seen. Nothing here is asserted: a machine's noise
//! must not fail a build.

mod edge;
mod memory;
mod report;
mod sizes;
mod start;
mod statistics;
mod turns;
mod workspace;

use anyhow::Result;

use crate::report::Report;

/// The parts, in the order in which they are measured.
const PARTS: [&str; 5] = ["start", "turns", "edge", "workspace", "sizes"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut as_json = false;
    let mut parts: Vec<String> = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--json" => as_json = true,
            "--help" | "-h" => return report::print(&report::help()),
            part if PARTS.contains(&part) => parts.push(argument),
            other => anyhow::bail!("unknown argument {other}; see --help"),
        }
    }
    let mut report = Report::default();
    for part in PARTS {
        if !parts.is_empty() && !parts.iter().any(|wanted| wanted == part) {
            continue;
        }
        match part {
            "start" => start::measure(&mut report).await?,
            "turns" => turns::measure(&mut report).await?,
            "edge" => edge::measure(&mut report).await?,
            "workspace" => workspace::measure(&mut report).await?,
            _ => sizes::measure(&mut report)?,
        }
    }
    report::print(&if as_json { report.json()? } else { report.table() })
}
