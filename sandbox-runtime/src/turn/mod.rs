//! Turns: from a posted message to an end that is in the log.
//!
//! `state` folds the records, `step` decides, `drive` does it; `registry` knows all turns that run.
//!
//! Invariants: the decision what to do next is a pure function of the log; one turn of a session
//! runs at a time.

pub mod answer;
mod ask;
mod cache;
pub mod drive;
pub mod events;
pub mod failure;
pub mod files;
pub mod history;
mod log;
pub mod registry;
pub mod state;
pub mod steering;
pub mod step;
#[cfg(test)]
mod tests;

use crate::context::Prompt;
use crate::edge::Edge;
use crate::settings::ModelTimeouts;
use crate::tools::Gateway;

/// What every turn works with.
#[derive(Debug)]
pub struct Agent {
    edge: Edge,
    tools: Gateway,
    prompt: Prompt,
    timeouts: ModelTimeouts,
    cache: cache::SessionCache,
}

impl Agent {
    /// An agent that knows no session yet.
    pub fn new(edge: Edge, tools: Gateway, prompt: Prompt, timeouts: ModelTimeouts) -> Self {
        Self { edge, tools, prompt, timeouts, cache: cache::SessionCache::default() }
    }
}
