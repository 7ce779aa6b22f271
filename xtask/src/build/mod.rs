//! Builds: the Worker's module and the native programs.
//!
//! Invariant: when this returns, `build/` and `target/bin/` hold what the checkout's sources say.

mod native;
mod worker;

use std::env;

use anyhow::Result;
pub(crate) use native::copy;
use sha2::{Digest as _, Sha256};

use crate::args::BuildOptions;
use crate::places::Places;
use crate::setup::{self, Machine};

/// Set by whoever has built already and starts a tool that would build again.
pub(crate) const BUILT: &str = "PAGURUS_BUILT";

/// `cargo xtask build`.
pub(crate) fn run(places: &Places, options: BuildOptions) -> Result<()> {
    if is_done_already() {
        return Ok(());
    }
    let machine = setup::ensure(places)?;
    match options {
        BuildOptions::Worker => worker::build(places, &machine),
        BuildOptions::All => all(places, &machine),
    }
}

/// Whether the caller has built already.
pub(crate) fn is_done_already() -> bool {
    env::var_os(BUILT).is_some_and(|value| value == "1")
}

/// Builds everything that runs.
pub(crate) fn all(places: &Places, machine: &Machine) -> Result<()> {
    worker::build(places, machine)?;
    native::build(places)
}

/// A name for these bytes, the same on every machine.
pub(crate) fn fingerprint(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        // The length keeps ("a", "bc") and ("ab", "c") apart.
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    // Half of the digest: enough that no two builds of a machine meet.
    let half = digest.finalize().first_chunk().copied().unwrap_or_default();
    format!("{:032x}", u128::from_be_bytes(half))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_sees_where_parts_end() {
        assert_eq!(fingerprint(&[b"a", b"b"]), fingerprint(&[b"a", b"b"]));
        assert_ne!(fingerprint(&[b"a", b"bc"]), fingerprint(&[b"ab", b"c"]));
        assert_eq!(fingerprint(&[]).len(), 32);
    }
}
