//! Messages that arrive while a turn runs are offered to it, so that it takes them at its next
//! step.
//!
//! Invariant: an offer is a hint. A message leaves the inbox only in the append that writes it to
//! the log; one that the turn does not take begins the next turn.

use std::rc::Rc;

use protocol::runtime::{RuntimeRoute, Steer};
use protocol::version::PROTOCOL_VERSION;
use protocol::{Problem, ProblemCode, SessionId};

use super::core::{Core, books_failed};
use super::store::turns::Running;
use super::store::{inbox, turns};
use crate::limits::HEALTH_PROBE_MS_MAX;
use crate::platform::clock::within;
use crate::platform::log as console;
use crate::settings::MidTurn;

impl Core {
    /// Offers what waits in these sessions to their running turns, if the owner wants it so.
    pub(super) fn steer_all(self: &Rc<Self>, sessions: &[SessionId]) -> Result<(), Problem> {
        if self.settings.mid_turn != MidTurn::Steer {
            return Ok(());
        }
        for session in sessions {
            let failed = |error| books_failed(&error);
            let running = turns::running_in(&self.sql, session).map_err(failed)?;
            let Some(running) = running else { continue };
            if inbox::waiting(&self.sql, session).map_err(failed)?.is_empty() {
                continue;
            }
            let core = Rc::clone(self);
            self.spawn(async move { core.steer(&running).await });
        }
        Ok(())
    }

    /// Offers what waits in the turn's session to the turn. That it does not take it is no failure.
    pub(super) async fn steer(&self, running: &Running) {
        if self.settings.mid_turn != MidTurn::Steer {
            return;
        }
        if let Err(problem) = self.offer(running).await {
            let turn = &running.turn;
            console::note(format_args!("messages wait until {turn} is over: {problem}"));
        }
    }

    async fn offer(&self, running: &Running) -> Result<(), Problem> {
        let messages = inbox::waiting(&self.sql, &running.session).map_err(|e| books_failed(&e))?;
        if messages.is_empty() || !self.is_warm() {
            return Ok(());
        }
        let steer = Steer { protocol: PROTOCOL_VERSION, messages };
        let body = serde_json::to_string(&steer).map_err(|error| {
            Problem::new(ProblemCode::Internal, format!("Messages could not be written: {error}."))
        })?;
        let route = RuntimeRoute::Steer { turn: running.turn.clone() };
        let call = self.sandbox.container()?.call(&route, Some(body));
        let refused = |why: String| Problem::new(ProblemCode::ContainerFailed, why);
        match within(HEALTH_PROBE_MS_MAX, call).await {
            Some(Ok(response)) if response.status_code() == 202 => Ok(()),
            Some(Ok(response)) => {
                Err(refused(format!("the runtime answers {}.", response.status_code())))
            }
            Some(Err(error)) => Err(refused(format!("{error}."))),
            None => Err(refused("the runtime is silent.".into())),
        }
    }
}
