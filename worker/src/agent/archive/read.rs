//! Reads session logs wherever their records are: from rows, or from a segment in R2.
//!
//! Invariant: a reader gets the records that follow, without a gap, or a problem that names what is
//! broken.

use std::collections::VecDeque;
use std::rc::Rc;

use protocol::edge::Page;
use protocol::problem::chain;
use protocol::session::Sequence;
use protocol::{Problem, ProblemCode, SessionId};

use super::segment::{self, Broken, Records};
use crate::agent::core::{Core, books_failed};
use crate::agent::store::log;
use crate::agent::store::segments::{self, Segment};
use crate::keys;
use crate::limits::{REPLAY_BYTES_MAX, SEGMENT_BYTES_MAX};
use crate::platform::bucket::BucketError;
use crate::platform::log as console;
use crate::ports::SqlError;

/// A segment that cannot be used, as a problem.
pub(super) fn unreadable(session: &SessionId, key: &str, broken: &Broken) -> Problem {
    console::trouble(format_args!("{key}: {}", chain(broken)));
    Problem::new(
        ProblemCode::Internal,
        format!("Old records of session {session} cannot be read from {key}: {broken}."),
    )
    .remedy("Put that object back into the bucket as it was; nothing was overwritten.")
}

fn failed(error: &SqlError) -> Problem {
    match error {
        SqlError::Gap { session, sequence } => {
            console::trouble(format_args!("{error}"));
            Problem::new(
                ProblemCode::Internal,
                format!("The log of session {session} lacks record {sequence}."),
            )
            .remedy("Go on in another session; what is left of this one is in its export.")
        }
        other => books_failed(other),
    }
}

/// The settled part of a log, for a page.
pub(in crate::agent) struct Settled {
    /// Its newest pages, in order, with the bytes of each.
    pub(in crate::agent) pages: VecDeque<(Page, usize)>,
    /// The record behind them: a row, if there is one.
    pub(in crate::agent) next: Sequence,
    /// Why older ones are not among them.
    pub(in crate::agent) problem: Option<Problem>,
}

impl Core {
    /// Records from `from` on, as many as fit a page.
    pub(in crate::agent) async fn read_log(
        &self,
        session: &SessionId,
        from: Sequence,
    ) -> Result<Page, Problem> {
        let from = from.max(1);
        let segment = segments::holding(&self.sql, session, from).map_err(|e| failed(&e))?;
        let Some(segment) = segment else {
            return log::read(&self.sql, session, from).map_err(|e| failed(&e));
        };
        let records = self.read_segment(&segment).await?;
        let head = log::head(&self.sql, session).map_err(|e| failed(&e))?;
        Ok(records.page(from, head).0)
    }

    /// What of a session's log from `from` on lies in segments: the newest of it, as a page shows
    /// it, without a gap.
    pub(in crate::agent) async fn read_settled(
        &self,
        session: &SessionId,
        from: Sequence,
    ) -> Result<Settled, Problem> {
        let mut settled = Settled { pages: VecDeque::new(), next: from.max(1), problem: None };
        let mut bytes = 0;
        loop {
            let next = settled.next;
            let segment = segments::holding(&self.sql, session, next).map_err(|e| failed(&e))?;
            let Some(segment) = segment else { return Ok(settled) };
            match self.read_segment(&segment).await {
                Ok(records) => {
                    let head = log::head(&self.sql, session).map_err(|e| failed(&e))?;
                    let (page, size) = records.page(next, head);
                    settled.next =
                        page.records.last().map_or(segment.last, |last| last.sequence) + 1;
                    bytes += size;
                    settled.pages.push_back((page, size));
                    while bytes > REPLAY_BYTES_MAX
                        && let Some((_, size)) = settled.pages.pop_front()
                    {
                        bytes -= size;
                    }
                }
                // What comes behind it can be shown.
                Err(problem) => {
                    settled.pages.clear();
                    bytes = 0;
                    settled.next = segment.last + 1;
                    settled.problem.get_or_insert(problem);
                }
            }
        }
    }

    async fn read_segment(&self, segment: &Segment) -> Result<Rc<Records>, Problem> {
        let Segment { session, first, last, .. } = segment;
        let key = keys::segment(&self.agent()?, session, *first, *last);
        if let Some((name, records)) = self.archive.last_read.borrow().as_ref()
            && *name == key
        {
            return Ok(Rc::clone(records));
        }
        let found = self.archive.bucket()?.read(&key, SEGMENT_BYTES_MAX as u64).await;
        let content = match found {
            Err(BucketError::TooLarge(_)) => Err(Broken::Changed { bytes: SEGMENT_BYTES_MAX + 1 }),
            found => found?.ok_or(Broken::Missing),
        };
        let records = content.and_then(|content| {
            segment::check(&content, segment.bytes, &segment.sha256)?;
            Records::parse(&content, *first, *last)
        });
        let records = Rc::new(records.map_err(|broken| unreadable(session, &key, &broken))?);
        *self.archive.last_read.borrow_mut() = Some((key, Rc::clone(&records)));
        Ok(records)
    }
}
