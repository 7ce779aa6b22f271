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
mod saving;
pub mod state;
pub mod steering;
pub mod step;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use protocol::{Problem, SessionId};

use crate::context::Prompt;
use crate::edge::Edge;
use crate::keeper::Keeper;
use crate::settings::ModelTimeouts;
use crate::tools::{Gateway, Needs, Prepared};

/// What every turn works with.
#[derive(Debug)]
pub struct Agent {
    edge: Edge,
    tools: Gateway,
    prompt: Prompt,
    timeouts: ModelTimeouts,
    cache: cache::SessionCache,
    keeper: Arc<Keeper>,
    /// The sessions that this process has taken up.
    known: Mutex<HashSet<SessionId>>,
}

impl Agent {
    /// An agent that knows no session yet.
    pub fn new(
        edge: Edge,
        tools: Gateway,
        prompt: Prompt,
        timeouts: ModelTimeouts,
        keeper: Arc<Keeper>,
    ) -> Self {
        let cache = cache::SessionCache::default();
        Self { edge, tools, prompt, timeouts, cache, keeper, known: Mutex::default() }
    }

    /// Waits until what a call needs is in place.
    async fn await_files(&self, prepared: &Prepared) -> Result<(), Problem> {
        match self.tools.needs(prepared) {
            Needs::File(path) => self.keeper.file(path).await,
            Needs::Workspace => self.keeper.whole().await,
            Needs::Nothing => Ok(()),
        }
    }

    /// Whether this process takes the session up for the first time; later calls say no.
    fn meets(&self, session: &SessionId) -> bool {
        // No code that can panic runs under this lock.
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(session.clone())
    }
}
