//! How much memory a process holds.

use anyhow::{Context, Result};

/// The proportional set size of a process, in MB (10^6 bytes).
pub(crate) fn pss_mb(pid: i32) -> Result<f64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix("kB")?.trim().parse().ok())
        .with_context(|| format!("{path} says no Pss"))?;
    let kib: f64 = kib;
    Ok(kib * 1024.0 / 1e6)
}
