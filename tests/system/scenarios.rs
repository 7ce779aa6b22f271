//! Scenarios that share one stack: each is run and told by its name, and all failures are reported
//! together at the end.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use integration_tests::stack::Stack;

/// The longest scenario waits for the object's watchdog several times.
const SCENARIO_SECONDS_MAX: u64 = 120;

/// What has been run so far.
#[derive(Debug, Default)]
pub(crate) struct Scenarios {
    failures: Vec<String>,
}

impl Scenarios {
    /// Runs one scenario and goes on whatever becomes of it.
    pub(crate) async fn check(&mut self, name: &str, scenario: impl Future<Output = Result<()>>) {
        let began = Instant::now();
        let bound = Duration::from_secs(SCENARIO_SECONDS_MAX);
        let result = match tokio::time::timeout(bound, scenario).await {
            Ok(result) => result,
            Err(late) => Err(anyhow::Error::from(late).context(format!("not over in {bound:?}"))),
        };
        let took = began.elapsed().as_secs_f64();
        match result {
            Ok(()) => println!("  ok    {name} ({took:.1} s)"),
            Err(error) => {
                println!("  FAIL  {name} ({took:.1} s): {error:#}");
                self.failures.push(format!("{name}: {error:#}"));
            }
        }
    }

    /// Fails when any scenario has, with the ends of the stack's logs.
    pub(crate) fn end(self, stack: &Stack) -> Result<()> {
        if self.failures.is_empty() {
            return Ok(());
        }
        println!("{}", stack.tails());
        bail!("{} failed:\n{}", self.failures.len(), self.failures.join("\n"))
    }
}
