//! Sends what is in the outbox.
//!
//! Invariants: per chat one row at a time, in order; a row is marked before it is sent, so that a
//! try that is cut off is known as one; a page takes its rows itself.

use std::rc::Rc;

use protocol::chat::ServerFrame;
use protocol::{Problem, ProblemCode, SessionId};

use super::core::{Core, books_failed};
use super::outbox::{self, Tried};
use super::store::outbox::{self as book, Outgoing};
use crate::channels::hook;
use crate::limits::{OUTBOX_AGE_MS_MAX, OUTBOX_CHATS_MAX, OUTBOX_KEPT_MS, OUTBOX_TRY_MS_MAX};
use crate::platform::clock::{now_ms, unique, within};
use crate::platform::http::{self, Body};
use crate::platform::log as console;

/// The channel whose rows wait for a page.
const PAGES: &str = "web";

impl Core {
    /// When the alarm is to look at the outbox next. While every place is taken that is when a try
    /// must be over: a row that waits for a place gets it from the try that ends, and an alarm for
    /// it would ring without a pause and find no place.
    pub(super) fn outbox_due_ms(&self) -> Result<Option<u64>, Problem> {
        let due = if self.delivering.borrow().len() < OUTBOX_CHATS_MAX {
            book::next_due_ms(&self.sql, PAGES, now_ms())
        } else {
            book::try_over_ms(&self.sql)
        };
        due.map_err(|error| books_failed(&error))
    }

    /// Sends what is due, each chat beside the others.
    pub(super) fn run_outbox(self: &Rc<Self>) -> Result<(), Problem> {
        let due = book::due(&self.sql, PAGES, now_ms()).map_err(|error| books_failed(&error))?;
        for row in due {
            let chat = (row.channel.clone(), row.chat.clone());
            let mut delivering = self.delivering.borrow_mut();
            if delivering.len() >= OUTBOX_CHATS_MAX || !delivering.insert(chat.clone()) {
                continue;
            }
            let core = Rc::clone(self);
            self.spawn(async move {
                let result = core.deliver(&row).await;
                core.delivering.borrow_mut().remove(&chat);
                // The next of this chat; after a failure of the books only the alarm tries again.
                if let Err(problem) = result.and_then(|()| core.run_outbox()) {
                    console::trouble(format_args!("the outbox stands still: {problem}"));
                }
                core.arm().await;
            });
        }
        Ok(())
    }

    async fn deliver(&self, row: &Outgoing) -> Result<(), Problem> {
        let failed = |error| books_failed(&error);
        book::begin(&self.sql, row.id, now_ms() + 2 * OUTBOX_TRY_MS_MAX).map_err(failed)?;
        self.arm().await;
        let tried = match row.channel.as_str() {
            hook::CHANNEL => self.send_to_hook(row).await,
            other => Tried::Refused { why: format!("there is no channel {other}") },
        };
        let jitter = unique().get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let now_ms = now_ms();
        let next = outbox::after(
            tried,
            row.attempts + 1,
            row.created_at_ms,
            now_ms,
            jitter.unwrap_or(u8::MAX),
        );
        if next != outbox::Next::Sent {
            console::note(format_args!("{}: {next:?}", row.key));
        }
        book::settle(&self.sql, row.id, &next, now_ms).map_err(failed)
    }

    async fn send_to_hook(&self, row: &Outgoing) -> Tried {
        let (Some(secret), Some(url)) =
            (&self.settings.webhook_secret, &self.settings.webhook_reply_url)
        else {
            return Tried::Refused { why: "WEBHOOK_SECRET or WEBHOOK_REPLY_URL is not set".into() };
        };
        let (key, chat, possible_duplicate) = (&row.key, &row.chat, row.uncertain);
        let text = labelled(&row.text, possible_duplicate);
        let outgoing = hook::Outgoing { key, chat, text: &text, possible_duplicate };
        let body = match serde_json::to_string(&outgoing) {
            Ok(body) => body,
            Err(error) => return Tried::Refused { why: error.to_string() },
        };
        // Of the true time: the receiver checks it.
        let timestamp = (now_ms() / 1000).to_string();
        let signature = secret.sign(key, &timestamp, body.as_bytes());
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", key.as_str()),
            (hook::ID_HEADER, key.as_str()),
            (hook::TIMESTAMP_HEADER, timestamp.as_str()),
            (hook::SIGNATURE_HEADER, signature.as_str()),
        ];
        let request = match http::outgoing("POST", url, &headers, Body::Text(body)) {
            Ok(request) => request,
            Err(error) => return Tried::Refused { why: error.to_string() },
        };
        match within(OUTBOX_TRY_MS_MAX, http::send(request)).await {
            None => Tried::Unknown { why: "the receiver did not answer in time".into() },
            Some(Err(error)) => Tried::Unknown { why: error.to_string() },
            Some(Ok(response)) => {
                let retry_after = http::response_header(&response, "retry-after");
                outbox::of_status(response.status_code(), retry_after.as_deref())
            }
        }
    }

    /// Tells the pages of a session what they have not said to have. Pages show answers from the
    /// log; this is for knowing which ones nobody has seen.
    pub(super) fn offer_answers(&self, session: &SessionId) -> Result<(), Problem> {
        let open = book::open(&self.sql, PAGES, session).map_err(|error| books_failed(&error))?;
        for row in open {
            let turn = row.turn.parse().map_err(|error| {
                Problem::new(ProblemCode::Internal, format!("A stored turn: {error}."))
            })?;
            let frame =
                ServerFrame::Answer { key: row.key, turn, possible_duplicate: row.uncertain };
            self.tell(session, &frame);
        }
        Ok(())
    }

    /// A page has an answer.
    pub(super) fn received(&self, key: &str) -> Result<(), Problem> {
        let now_ms = now_ms();
        let forgotten = now_ms.saturating_sub(OUTBOX_KEPT_MS.max(OUTBOX_AGE_MS_MAX));
        book::received(&self.sql, key, now_ms)
            .and_then(|()| book::forget(&self.sql, PAGES, forgotten))
            .map_err(|error| books_failed(&error))
    }
}

/// The text, with a label where it may have arrived before.
fn labelled(text: &str, possible_duplicate: bool) -> String {
    if possible_duplicate {
        format!("(This may be a repetition: nobody knows whether it arrived before.)\n\n{text}")
    } else {
        text.to_owned()
    }
}
