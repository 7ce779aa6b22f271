//! The web chat at the object: what a page says, and what it is told first.
//!
//! Invariant: `Accepted` is sent only when the message and the alarm that will see to it are
//! written; the platform holds the frame back until both are durable.

use std::rc::Rc;

use protocol::chat::{ClientFrame, Queued, ServerFrame};
use protocol::limits::{CHAT_FRAME_BYTES_MAX, ID_BYTES_MAX, MESSAGE_TEXT_BYTES_MAX};
use protocol::session::UserMessage;
use protocol::{CallId, Problem, ProblemCode, SessionId};

use super::core::{Core, books_failed};
use super::store::inbox::{self, Origin};
use super::store::turns::Running;
use super::store::{log, outbox, turns};
use crate::limits::REPLAY_RECORDS_MAX;
use crate::platform::sockets::{self, CLOSE_UNINTELLIGIBLE, Socket};

/// The channel's name in the books.
const CHANNEL: &str = "web";

impl Core {
    /// Acts on one frame of a page; `None` for one that is not text.
    pub(super) async fn on_frame(self: &Rc<Self>, socket: &Socket, message: Option<String>) {
        let frame = match message {
            Some(text) if text.len() <= CHAT_FRAME_BYTES_MAX => {
                serde_json::from_str::<ClientFrame>(&text).map_err(|error| error.to_string())
            }
            Some(_) => Err("it is too large".into()),
            None => Err("it is not text".into()),
        };
        let frame = match frame {
            Ok(frame) => frame,
            Err(why) => {
                let problem = bad_request(format!("The frame was not understood: {why}."));
                sockets::send(socket, &ServerFrame::Rejected { id: String::new(), problem });
                sockets::close(socket, CLOSE_UNINTELLIGIBLE, "the frame was not understood");
                return;
            }
        };
        let (id, result) = match frame {
            ClientFrame::Hello { session, after } => {
                (String::new(), self.hello(socket, &session, after))
            }
            ClientFrame::Send { id, text } => {
                let result = self.accept(socket, &id, text).await;
                (id, result)
            }
            ClientFrame::Stop => (String::new(), self.stop(socket).await),
            ClientFrame::Received { key } => (String::new(), self.received(&key)),
        };
        if let Err(problem) = result {
            sockets::send(socket, &ServerFrame::Rejected { id, problem });
        }
    }

    fn hello(
        self: &Rc<Self>,
        socket: &Socket,
        session: &SessionId,
        after: u64,
    ) -> Result<(), Problem> {
        let failed = |error| books_failed(&error);
        sockets::follow(socket, session)?;
        let waiting = inbox::waiting(&self.sql, session).map_err(failed)?;
        let head = log::head(&self.sql, session).map_err(failed)?;
        let after = after.max(head.saturating_sub(REPLAY_RECORDS_MAX));
        let mut page = log::read(&self.sql, session, after + 1).map_err(failed)?;
        let welcome = ServerFrame::Welcome {
            head: page.head,
            model: self.model_name(),
            queued: waiting
                .into_iter()
                .filter(|message| message.channel == CHANNEL)
                .map(|message| Queued { id: message.event, text: message.text })
                .collect(),
            turn: self.live.borrow().get(session).map(super::live::Live::snapshot),
            problems: self.problems(),
        };
        sockets::send(socket, &welcome);
        while let Some(last) = page.records.last().map(|record| record.sequence) {
            for record in page.records {
                sockets::send(socket, &ServerFrame::Record { record });
            }
            page = log::read(&self.sql, session, last + 1).map_err(failed)?;
        }
        self.offer_answers(session)?;
        self.pump()
    }

    /// What is wrong right now, settings first.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let workspace = self.sandbox.workspace.borrow().problem.clone();
        let parked = outbox::parked(&self.sql).unwrap_or_default();
        let parked = (parked > 0).then(|| {
            let message = format!("{parked} answers could not be delivered to another channel.");
            Problem::new(ProblemCode::UpstreamFailed, message)
                .remedy("They are in the log; see the Worker's log for the reasons.")
        });
        self.settings.problems.iter().cloned().chain(workspace).chain(parked).collect()
    }

    fn model_name(&self) -> String {
        match &self.settings.model {
            Ok(model) => format!("{}/{}", model.provider, model.model),
            Err(_) => String::new(),
        }
    }

    async fn accept(
        self: &Rc<Self>,
        socket: &Socket,
        id: &str,
        text: String,
    ) -> Result<(), Problem> {
        let session = followed(socket)?;
        check_message(id, &text)?;
        let message = UserMessage { channel: CHANNEL.to_owned(), event: id.to_owned(), text };
        if self.command(socket, &session, &message).await? {
            return Ok(());
        }
        self.take(&session, &message, Origin::default()).await?;
        sockets::send(socket, &ServerFrame::Accepted { id: id.to_owned() });
        Ok(())
    }

    async fn stop(self: &Rc<Self>, socket: &Socket) -> Result<(), Problem> {
        let session = followed(socket)?;
        let running = turns::running_in(&self.sql, &session).map_err(|e| books_failed(&e))?;
        match running {
            Some(running) => self.stop_turn(&running).await,
            None => Ok(()),
        }
    }

    /// Stops a turn, now or as soon as a life of the container is asked to go on with it.
    pub(super) async fn stop_turn(&self, running: &Running) -> Result<(), Problem> {
        turns::ask_stop(&self.sql, &running.turn).map_err(|e| books_failed(&e))?;
        self.cancel(running).await;
        Ok(())
    }
}

fn followed(socket: &Socket) -> Result<SessionId, Problem> {
    sockets::followed(socket)
        .ok_or_else(|| bad_request("Say hello with a session first.".to_owned()))
}

fn bad_request(message: String) -> Problem {
    Problem::new(ProblemCode::BadRequest, message)
}

/// Bounds what a page may say. Pure.
fn check_message(id: &str, text: &str) -> Result<(), Problem> {
    // The id ends up beside others in the books; it has the same form as they have.
    if id.parse::<CallId>().is_err() {
        return Err(bad_request(format!(
            "A message's id has 1 to {ID_BYTES_MAX} plain characters."
        )));
    }
    if text.trim().is_empty() {
        return Err(bad_request("The message is empty.".to_owned()));
    }
    if text.len() > MESSAGE_TEXT_BYTES_MAX {
        let problem = Problem::new(
            ProblemCode::TooLarge,
            format!("The message has {} bytes; the most is {MESSAGE_TEXT_BYTES_MAX}.", text.len()),
        );
        return Err(problem.remedy("Send it in parts."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_bounded() {
        assert!(check_message("a-1", "hi").is_ok());
        let code = |id: &str, text: &str| check_message(id, text).map_err(|problem| problem.code);
        assert_eq!(code("", "hi"), Err(ProblemCode::BadRequest));
        assert_eq!(code("a b", "hi"), Err(ProblemCode::BadRequest));
        assert_eq!(code("a", " \n"), Err(ProblemCode::BadRequest));
        assert_eq!(code("a", &"x".repeat(MESSAGE_TEXT_BYTES_MAX + 1)), Err(ProblemCode::TooLarge));
    }
}
