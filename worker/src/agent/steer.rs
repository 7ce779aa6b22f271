//! Messages that arrive while a turn runs are offered to it, so that it takes them at its next
//! step.
//!
//! Invariant: an offer is a hint. A message leaves the inbox only in the append that writes it to
//! the log; one that the turn does not take begins the next turn.

use std::rc::Rc;

use protocol::runtime::{RuntimeRoute, Steer};
use protocol::session::UserMessage;
use protocol::version::PROTOCOL_VERSION;
use protocol::{Problem, ProblemCode, SessionId};

use super::core::{Core, books_failed};
use super::store::turns::Running;
use super::store::{inbox, turns};
use crate::limits::{HEALTH_PROBE_MS_MAX, STEER_TEXT_BYTES_MAX};
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

    /// Offers what waits in the turn's session to the turn, in order, each message once to each life
    /// of the container. That the turn does not take it is no failure.
    pub(super) async fn steer(&self, running: &Running) {
        let session = &running.session;
        let is_wanted = self.settings.mid_turn == MidTurn::Steer;
        // Whoever offers already sees what has come meanwhile.
        if !is_wanted || !self.steering.borrow_mut().insert(session.clone()) {
            return;
        }
        if let Err(problem) = self.offer(running).await {
            let turn = &running.turn;
            console::note(format_args!("messages wait until {turn} is over: {problem}"));
        }
        self.steering.borrow_mut().remove(session);
    }

    async fn offer(&self, running: &Running) -> Result<(), Problem> {
        let failed = |error| books_failed(&error);
        let mut offered = 0;
        loop {
            let waiting = inbox::waiting_after(&self.sql, &running.session, offered);
            let (messages, last) = bounded(waiting.map_err(failed)?);
            if messages.is_empty() || !self.is_warm() {
                return Ok(());
            }
            self.post_steer(running, messages).await?;
            offered = last;
        }
    }

    async fn post_steer(
        &self,
        running: &Running,
        messages: Vec<UserMessage>,
    ) -> Result<(), Problem> {
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

/// As many of the messages as one offer takes, and the number of the last of them. Pure.
fn bounded(waiting: Vec<(u64, UserMessage)>) -> (Vec<UserMessage>, u64) {
    let mut bytes = 0;
    let mut last = 0;
    let fitting = waiting.into_iter().take_while(|(_, message)| {
        let is_first = bytes == 0;
        bytes += message.text.len();
        is_first || bytes <= STEER_TEXT_BYTES_MAX
    });
    let messages = fitting.map(|(id, message)| {
        last = id;
        message
    });
    (messages.collect(), last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_bounded_and_takes_one_message_at_least() {
        let message = |bytes| UserMessage {
            channel: "web".into(),
            event: "e".into(),
            text: "x".repeat(bytes),
        };
        let half = STEER_TEXT_BYTES_MAX / 2;
        let (messages, last) =
            bounded(vec![(4, message(half)), (5, message(half)), (9, message(1))]);
        assert_eq!((messages.len(), last), (2, 5));
        let (messages, last) = bounded(vec![(4, message(2 * STEER_TEXT_BYTES_MAX))]);
        assert_eq!((messages.len(), last), (1, 4));
        assert_eq!(bounded(vec![]), (vec![], 0));
    }
}
