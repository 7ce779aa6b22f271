//! Waiting for a condition that has no event.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::limits::{CONDITION, POLL};

/// Waits until `look` gives `Some`, and says after [`CONDITION`] that `what` did not come.
pub async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + CONDITION;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("{what}: not within {CONDITION:?}");
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The same for a look that waits itself.
pub async fn until_async<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + CONDITION;
    loop {
        if let Some(found) = look().await {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("{what}: not within {CONDITION:?}");
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until `holds` is true.
pub async fn until_true(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    until(what, || holds().then_some(())).await
}
