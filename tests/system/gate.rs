//! Whether a system test runs, and the saying so when it does not.

use std::fmt;
use std::future::Future;

use anyhow::{Context, Result};

/// Why a test failed, told as it is: the harness prints it with `Debug`, and a backtrace of the
/// test's own frames would bury it.
pub(crate) struct Failed(anyhow::Error);

impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

/// What a test gives back.
pub(crate) type Outcome = Result<(), Failed>;

/// Runs a system test, unless this run is without them.
pub(crate) fn system(name: &str, test: impl Future<Output = Result<()>>) -> Outcome {
    if std::env::var_os("SYSTEM").is_none_or(|value| value != "1") {
        skipped(name, "needs the built Worker; run it through `cargo xtask test`");
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("starting the async runtime").map_err(Failed)?;
    runtime.block_on(test).map_err(Failed)
}

/// Says that something was not tested, in the line that `cargo xtask test` collects.
pub(crate) fn skipped(name: &str, reason: &str) {
    println!("SKIPPED: system::{name}: {reason}");
}
