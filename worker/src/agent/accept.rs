//! Takes a message in, whichever channel brought it.
//!
//! Invariant: a message is said to be accepted only when it and the alarm that will see to it are
//! written; the platform holds the answer back until both are durable.

use std::rc::Rc;

use futures_util::future::join;
use protocol::object::{Accepted, Envelope};
use protocol::session::UserMessage;
use protocol::{Problem, ProblemCode, SessionId};

use super::core::{Core, books_failed};
use super::store::inbox::{self, Origin};
use crate::limits::{ENVELOPE_BYTES_MAX, WAITING_MESSAGES_MAX};
use crate::platform::clock::now_ms;
use crate::platform::http::{self, Request, Response};

impl Core {
    /// Accepts a message and begins to see to it; whether it was accepted before.
    pub(super) async fn take(
        self: &Rc<Self>,
        session: &SessionId,
        message: &UserMessage,
        origin: Origin<'_>,
    ) -> Result<bool, Problem> {
        let accepted = inbox::accept(&self.sql, session, message, origin, now_ms())
            .map_err(|error| books_failed(&error))?;
        if accepted == inbox::Accepted::Full {
            return Err(Problem::new(
                ProblemCode::Busy,
                format!("{WAITING_MESSAGES_MAX} messages wait in this conversation already."),
            )
            .remedy("Wait until the agent has caught up, or stop it."));
        }
        self.worked_at_ms.set(now_ms());
        // Begun in the same instant as accepted, the turn costs no commit of its own.
        let (pumped, ()) = join(async { self.pump() }, self.arm()).await;
        // The message is safe; what could not be begun is begun by the alarm.
        if let Err(problem) = pumped {
            crate::platform::log::trouble(format_args!("nothing could be begun: {problem}"));
        }
        Ok(accepted == inbox::Accepted::Before)
    }

    /// Accepts a message of a channel.
    pub(super) async fn accept_envelope(
        self: &Rc<Self>,
        request: &mut Request,
    ) -> Result<Response, Problem> {
        let envelope: Envelope = http::read_json(request, ENVELOPE_BYTES_MAX).await?;
        let Envelope { channel, event, chat, session, sender, text } = envelope;
        // A channel that cannot answer is heard all the same.
        let mute =
            channel == crate::channels::hook::CHANNEL && self.settings.webhook_reply_url.is_none();
        let reply = mute.then_some((inbox::NOWHERE, ""));
        let message = UserMessage { channel, event, text };
        let origin = Origin { chat: &chat, sender: &sender, reply };
        let before = self.take(&session, &message, origin).await?;
        Ok(http::json(200, &Accepted { before }))
    }
}
