//! The turns of this process: those that run and the last that ended.
//!
//! Invariants: one turn of a session runs at a time, and at most [`RUNNING_TURNS_MAX`] in all; a
//! turn runs on whether anyone follows it or not; posting a turn again attaches to it; once
//! draining has begun no turn begins.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::session::UserMessage;
use protocol::turn::TurnRequest;
use protocol::{Problem, ProblemCode, SessionId, TurnId};
use tokio::sync::watch;

use crate::limits::{FINISHED_TURNS_MAX, RUNNING_TURNS_MAX};
use crate::shutdown::{ExitReason, Shutdown};
use crate::turn::Agent;
use crate::turn::drive::{DriveEnd, Driver, StopRequest};
use crate::turn::events::Events;
use crate::turn::failure;
use crate::turn::steering::Steering;

/// One turn, as its followers see it.
#[derive(Debug)]
struct Turn {
    id: TurnId,
    session: SessionId,
    events: Events,
    stop: watch::Sender<Option<StopRequest>>,
    steering: Steering,
}

#[derive(Debug, Default)]
struct Turns {
    running: Vec<Arc<Turn>>,
    /// Oldest first; only turns whose end is in the log, so that another can be taken up again.
    finished: VecDeque<Arc<Turn>>,
    draining: bool,
}

impl Turn {
    /// The first request counts: a turn that the user has stopped ends as stopped, also when the
    /// process must go.
    fn ask_to_stop(&self, request: StopRequest) {
        self.stop.send_if_modified(|stop| {
            let is_first = stop.is_none();
            stop.get_or_insert(request);
            is_first
        });
    }
}

/// All turns of this process.
#[derive(Debug)]
pub struct Registry {
    agent: Agent,
    shutdown: Shutdown,
    turns: Mutex<Turns>,
    running_count: watch::Sender<usize>,
}

impl Registry {
    /// No turns yet.
    pub fn new(agent: Agent, shutdown: Shutdown) -> Arc<Self> {
        Arc::new(Self {
            agent,
            shutdown,
            turns: Mutex::default(),
            running_count: watch::Sender::new(0),
        })
    }

    /// Begins a turn, or attaches to it.
    pub fn post(self: &Arc<Self>, request: TurnRequest) -> Result<Events, Problem> {
        let mut turns = self.lock();
        if let Some(turn) = turns.find(&request.turn) {
            return Ok(turn.events.clone());
        }
        turns.admit(&request.session)?;
        let (stop, stop_receiver) = watch::channel(None);
        let events = Events::new();
        let turn = Arc::new(Turn {
            id: request.turn.clone(),
            session: request.session.clone(),
            events: events.clone(),
            stop,
            steering: Steering::default(),
        });
        turns.running.push(Arc::clone(&turn));
        self.running_count.send_replace(turns.running.len());
        drop(turns);
        tokio::spawn(Arc::clone(self).supervise(turn, request, stop_receiver));
        Ok(events)
    }

    /// The events of a turn that runs or has just ended.
    pub fn events(&self, turn: &TurnId) -> Result<Events, Problem> {
        self.lock().find(turn).map(|turn| turn.events.clone()).ok_or_else(|| unknown(turn))
    }

    /// Stops a turn; nothing happens to one that has ended.
    pub fn cancel(&self, turn: &TurnId) -> Result<(), Problem> {
        let turn = self.lock().find(turn).map(Arc::clone).ok_or_else(|| unknown(turn))?;
        turn.ask_to_stop(StopRequest::Cancel);
        Ok(())
    }

    /// Adds messages to a turn that runs.
    pub fn steer(&self, turn: &TurnId, messages: Vec<UserMessage>) -> Result<(), Problem> {
        let running = self.lock().running.iter().find(|running| running.id == *turn).cloned();
        running.ok_or_else(|| unknown(turn))?.steering.push(messages)
    }

    /// Takes no more turns and cuts those that run.
    pub fn drain(&self) {
        let mut turns = self.lock();
        turns.draining = true;
        for turn in &turns.running {
            turn.ask_to_stop(StopRequest::Cut);
        }
    }

    /// Waits until no turn runs.
    pub async fn idle(&self) {
        let mut count = self.running_count.subscribe();
        // It fails when the sender is gone, which lives in `self`.
        if let Err(error) = count.wait_for(|count| *count == 0).await {
            tracing::error!(%error, "the number of running turns cannot be watched");
        }
    }

    /// Drives a turn in a task of its own, so that a panic there ends that turn and no other.
    async fn supervise(
        self: Arc<Self>,
        turn: Arc<Turn>,
        request: TurnRequest,
        stop: watch::Receiver<Option<StopRequest>>,
    ) {
        let driving = tokio::spawn({
            let registry = Arc::clone(&self);
            let (events, steering) = (turn.events.clone(), turn.steering.clone());
            async move { Driver::new(&registry.agent, request, events, stop, steering).run().await }
        });
        let end = driving.await.unwrap_or_else(|error| {
            tracing::error!(%error, turn = %turn.id, "a turn broke down");
            DriveEnd::Lost(failure::internal())
        });
        tracing::info!(turn = %turn.id, session = %turn.session, ?end, "a turn is over");
        self.forget(&turn, matches!(end, DriveEnd::Ended(_)));
        turn.events.close();
        if end == DriveEnd::StaleEpoch {
            self.shutdown.request(ExitReason::StaleEpoch);
        }
    }

    fn forget(&self, turn: &Arc<Turn>, keep_for_followers: bool) {
        let mut turns = self.lock();
        turns.running.retain(|running| running.id != turn.id);
        if keep_for_followers {
            turns.finished.push_back(Arc::clone(turn));
            if turns.finished.len() > FINISHED_TURNS_MAX {
                turns.finished.pop_front();
            }
        }
        self.running_count.send_replace(turns.running.len());
    }

    /// No code that can panic runs under this lock, so a poisoned one holds whole lists.
    fn lock(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns {
    fn find(&self, id: &TurnId) -> Option<&Arc<Turn>> {
        self.running.iter().chain(&self.finished).find(|turn| turn.id == *id)
    }

    fn admit(&self, session: &SessionId) -> Result<(), Problem> {
        if self.draining {
            return Err(Problem::new(ProblemCode::Draining, "The runtime is shutting down.")
                .remedy("Post the turn to the next life of the container."));
        }
        if let Some(turn) = self.running.iter().find(|turn| turn.session == *session) {
            let message = format!("Turn {} of session {session} still runs.", turn.id);
            return Err(
                Problem::new(ProblemCode::Busy, message).remedy("Wait for its end, or cancel it.")
            );
        }
        if self.running.len() >= RUNNING_TURNS_MAX {
            let message = format!("{RUNNING_TURNS_MAX} turns run, the most at once.");
            return Err(Problem::new(ProblemCode::Busy, message).remedy("Wait for one to end."));
        }
        Ok(())
    }
}

fn unknown(turn: &TurnId) -> Problem {
    Problem::new(ProblemCode::NotFound, format!("There is no turn {turn} here."))
        .remedy("Post the turn again; the log knows how far it came.")
}
