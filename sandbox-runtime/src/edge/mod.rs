//! Client of the edge services: the session log and the models.
//!
//! Invariant: all HTTP that this program asks of anyone goes through [`http`]; no request carries a
//! secret, an agent or an epoch, because the interception knows them.

pub mod http;
pub mod model;
mod retry_after;
pub mod session;

use std::time::Duration;

pub use http::{EdgeError, Http};
pub use model::{ModelAnswer, ModelBody};

/// The edge, as the turns use it.
#[derive(Debug, Clone)]
pub struct Edge {
    http: Http,
}

impl Edge {
    /// The edge behind this client.
    pub fn new(http: Http) -> Self {
        Self { http }
    }
}

/// The delay before try number `attempt` (from 1): doubled each time, bounded.
fn retry_delay(attempt: u32) -> Duration {
    let factor = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    crate::limits::SESSION_RETRY_DELAY_MIN
        .saturating_mul(factor)
        .min(crate::limits::SESSION_RETRY_DELAY_MAX)
}
