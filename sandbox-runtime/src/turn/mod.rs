//! Turns: from a posted message to an end that is in the log.
//!
//! `state` folds the records, `step` decides, `drive` does it; `consult` puts a question to the turn's
//! models until one has answered; `registry` knows all turns that run.
//!
//! Invariants: the decision what to do next is a pure function of the log; one turn of a session
//! runs at a time.

pub mod answer;
mod ask;
mod cache;
mod consult;
pub mod drive;
pub mod events;
pub mod failure;
pub mod fault;
pub mod files;
pub mod history;
mod log;
pub mod models;
pub mod registry;
pub mod retry;
mod saving;
pub mod state;
pub mod steering;
pub mod step;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::{Problem, SessionId};
use tokio::time::Instant;

use self::models::RestingModels;
use self::retry::Rest;
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
    resting: Mutex<RestingModels>,
    /// Chance, from 0 up to but without 1.
    dice: fn() -> f64,
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
        Self {
            edge,
            tools,
            prompt,
            timeouts,
            cache: cache::SessionCache::default(),
            keeper,
            known: Mutex::default(),
            resting: Mutex::default(),
            dice: fastrand::f64,
        }
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

    fn models_to_ask(&self, models: &[String]) -> Vec<usize> {
        self.resting().to_ask(models, Instant::now())
    }

    fn rest(&self, model: &str, rest: Rest, asked: Option<Duration>) {
        self.resting().rest(model, rest, asked, Instant::now());
    }

    fn wake(&self, model: &str) {
        self.resting().wake(model);
    }

    fn resting(&self) -> MutexGuard<'_, RestingModels> {
        // No code that can panic runs under this lock.
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
