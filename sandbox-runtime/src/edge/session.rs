//! The session log at the edge: read, and append exactly once.
//!
//! Invariants: an append is on the log once or not at all, whatever happens to its answer: it says
//! where the log must end, so a second try of one that went through is refused, and then the log
//! itself tells whether it was ours. Nothing is written after an answer of `stale_epoch`.

use protocol::edge::{Append, EdgeRoute, Head, Page};
use protocol::limits::{APPEND_BODY_BYTES_MAX, APPEND_ITEMS_MAX};
use protocol::session::{Block, Item};
use protocol::version::PROTOCOL_VERSION;
use protocol::{ProblemCode, Record, Sequence, SessionId, TurnId};

use super::{Edge, EdgeError, retry_delay};
use crate::chain;
use crate::limits::SESSION_ATTEMPTS_MAX;
use crate::turn::history::json_bytes;

/// Why the log could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Another life of the container has begun; this one must go.
    #[error("another life of the container has taken over")]
    StaleEpoch,
    /// Somebody else wrote to the log.
    #[error("the log of session {session} does not end at {expected}")]
    Moved {
        /// The session.
        session: SessionId,
        /// Where it should have ended.
        expected: Sequence,
    },
    /// It could not be read.
    #[error("the log could not be read")]
    Read(#[source] EdgeError),
    /// It could not be written.
    #[error("the log could not be written")]
    Append(#[source] EdgeError),
}

impl Edge {
    /// The records from `from` on, as many as one page holds, but none behind `to`. At least one.
    pub async fn read_page(
        &self,
        session: &SessionId,
        from: Sequence,
        to: Sequence,
    ) -> Result<Vec<Record>, LogError> {
        let route = EdgeRoute::SessionRead { session: session.clone(), from };
        let mut page: Page = self.retried(&route, None).await.map_err(read_error)?;
        page.records.retain(|record| record.sequence <= to);
        let in_order = (from..).zip(&page.records).all(|(n, record)| record.sequence == n);
        if page.records.is_empty() || !in_order {
            let what = "a page does not go on where it was asked to";
            return Err(LogError::Read(EdgeError::Contradiction(what)));
        }
        Ok(page.records)
    }

    /// Adds `items` behind `expected` and gives the log's new head.
    pub async fn append(
        &self,
        session: &SessionId,
        turn: &TurnId,
        expected: Sequence,
        items: &[Item],
    ) -> Result<Sequence, LogError> {
        let mut head = expected;
        for part in parts(items) {
            head = self.append_part(session, turn, head, part).await?;
        }
        Ok(head)
    }

    async fn append_part(
        &self,
        session: &SessionId,
        turn: &TurnId,
        expected: Sequence,
        items: &[Item],
    ) -> Result<Sequence, LogError> {
        let route = EdgeRoute::SessionAppend { session: session.clone() };
        let append = Append {
            protocol: PROTOCOL_VERSION,
            turn: turn.clone(),
            expected,
            items: items.to_vec(),
        };
        let head = expected + items.len() as Sequence;
        match self.retried::<Head>(&route, Some(&append)).await {
            Ok(answer) if answer.head == head => Ok(head),
            Ok(_) => {
                let what = "the log does not end where the append ended";
                Err(LogError::Append(EdgeError::Contradiction(what)))
            }
            Err(error) if is(&error, ProblemCode::StaleEpoch) => Err(LogError::StaleEpoch),
            Err(error) if is(&error, ProblemCode::SequenceConflict) => {
                self.find_own(session, &append, head).await
            }
            Err(error) => Err(LogError::Append(error)),
        }
    }

    /// After a conflict: whether the items are on the log already, from a try whose answer was
    /// lost.
    async fn find_own(
        &self,
        session: &SessionId,
        append: &Append,
        head: Sequence,
    ) -> Result<Sequence, LogError> {
        let route = EdgeRoute::SessionHead { session: session.clone() };
        let found: Head = self.retried(&route, None).await.map_err(read_error)?;
        let moved = || LogError::Moved { session: session.clone(), expected: append.expected };
        if found.head < head {
            return Err(moved());
        }
        let mut rest = append.items.as_slice();
        while !rest.is_empty() {
            let from = head + 1 - rest.len() as Sequence;
            for record in self.read_page(session, from, head).await? {
                match rest.split_first() {
                    Some((item, others)) if is_own(&record, append, item) => rest = others,
                    _ => return Err(moved()),
                }
            }
        }
        Ok(head)
    }

    /// Calls a route of the session service, again when it may help.
    async fn retried<T: serde::de::DeserializeOwned>(
        &self,
        route: &EdgeRoute,
        body: Option<&Append>,
    ) -> Result<T, EdgeError> {
        let mut attempt = 1;
        loop {
            match self.http.call(route, body).await {
                Err(error) if error.is_transient() && attempt < SESSION_ATTEMPTS_MAX => {
                    let error = chain(&error);
                    tracing::warn!(attempt, path = route.path(), error, "the edge is asked again");
                    tokio::time::sleep(retry_delay(attempt)).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }
}

fn read_error(error: EdgeError) -> LogError {
    if is(&error, ProblemCode::StaleEpoch) { LogError::StaleEpoch } else { LogError::Read(error) }
}

fn is(error: &EdgeError, code: ProblemCode) -> bool {
    matches!(error, EdgeError::Refused { problem, .. } if problem.code == code)
}

fn is_own(record: &Record, append: &Append, item: &Item) -> bool {
    record.turn == append.turn && is_same(&record.item, item)
}

/// Whether an item of the log is the one that was sent. A number inside a call's arguments may have
/// been rounded on its way through other JSON readers, so calls are known by their names.
fn is_same(found: &Item, sent: &Item) -> bool {
    let (Item::Assistant(found), Item::Assistant(sent)) = (found, sent) else {
        return found == sent;
    };
    let same_block = |(found, sent): (&Block, &Block)| match (found, sent) {
        (Block::ToolCall { call: a, name: b, .. }, Block::ToolCall { call: c, name: d, .. }) => {
            (a, b) == (c, d)
        }
        _ => found == sent,
    };
    found.stop == sent.stop
        && found.usage == sent.usage
        && found.blocks.len() == sent.blocks.len()
        && found.blocks.iter().zip(&sent.blocks).all(same_block)
}

/// The items in parts that each fit one append.
fn parts(mut items: &[Item]) -> Vec<&[Item]> {
    let mut parts = Vec::new();
    while !items.is_empty() {
        let mut bytes = 0;
        let fitting = items
            .iter()
            .take(APPEND_ITEMS_MAX)
            .take_while(|item| {
                bytes += json_bytes(item) + 1;
                bytes <= APPEND_BODY_BYTES_MAX - ENVELOPE_BYTES
            })
            .count();
        // A single item that is too large goes alone, so that the edge says so.
        let (part, rest) = items.split_at(fitting.max(1));
        parts.push(part);
        items = rest;
    }
    parts
}

/// Room for an append's other fields: identifiers and numbers.
const ENVELOPE_BYTES: usize = 1024;
