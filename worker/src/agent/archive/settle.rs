//! Session logs settle: what is whole and old goes to R2, and its rows are trimmed.
//!
//! Invariants: rows go only after R2 has said that it holds them, checked by their hash; an object
//! that is there already is used when it is the same and never replaced; one run at a time, and
//! never in a session whose turn runs.

use std::rc::Rc;

use protocol::{Problem, ProblemCode, SessionId};

use super::segment::{Cutter, Draft, Records, hex};
use super::{after_failure_ms, later_ms};
use crate::agent::core::{Core, books_failed};
use crate::agent::store::segments::{self, Segment};
use crate::agent::store::{chores, turns};
use crate::keys;
use crate::limits::{SEGMENT_BYTES, SEGMENT_BYTES_MAX, SEGMENT_RECORDS, SETTLE_SEGMENTS_MAX};
use crate::platform::bucket::{Put, Writing};
use crate::platform::clock::now_ms;
use crate::platform::log as console;
use crate::ports::{Sql, SqlError};

const CHORE: &str = "settling";

/// The next segment of a session's log, once it is complete; `kept` is how many records stay rows.
/// Pure but for the books.
pub(crate) fn next_draft(
    sql: &dyn Sql,
    session: &SessionId,
    kept: u64,
) -> Result<Option<Draft>, SqlError> {
    if turns::running_in(sql, session)?.is_some() {
        return Ok(None);
    }
    // Where less is kept, less makes a segment.
    let enough = usize::try_from(kept).unwrap_or(usize::MAX).clamp(1, SEGMENT_RECORDS);
    let (records, bytes) = segments::unsettled(sql, session)?;
    if records < enough as u64 && bytes < SEGMENT_BYTES as u64 / 2 {
        return Ok(None);
    }
    let mut next = segments::covered(sql, session)? + 1;
    let mut cutter = Cutter::new(next, enough);
    loop {
        let lines = segments::lines(sql, session, next)?;
        let Some(last) = lines.last().map(|line| line.sequence) else { return Ok(None) };
        if let Some(draft) = lines.iter().find_map(|line| cutter.push(line)) {
            return Ok(Some(draft));
        }
        next = last + 1;
    }
}

impl Core {
    /// When logs that did not settle are tried again.
    pub(in crate::agent) fn settling_due_ms(&self) -> Result<Option<u64>, Problem> {
        let chore = chores::load(&self.sql, CHORE).map_err(|error| books_failed(&error))?;
        let due_ms = (chore.failures > 0).then(|| after_failure_ms(chore));
        // Whoever is at it sets the alarm when it is done.
        Ok(due_ms.map(|due_ms| if self.archive.is_settling.get() { later_ms() } else { due_ms }))
    }

    /// Tries again what did not settle, when it is time.
    pub(in crate::agent) fn run_settling(self: &Rc<Self>) -> Result<(), Problem> {
        if self.settling_due_ms()?.is_some_and(|due_ms| due_ms <= now_ms()) {
            self.settle(segments::sessions(&self.sql).map_err(|error| books_failed(&error))?);
        }
        Ok(())
    }

    /// Lets the logs of these sessions settle, beside everything else.
    pub(in crate::agent) fn settle(self: &Rc<Self>, sessions: impl IntoIterator<Item = SessionId>) {
        self.archive.to_settle.borrow_mut().extend(sessions);
        if self.archive.is_settling.replace(true) {
            return;
        }
        let core = Rc::clone(self);
        self.spawn(async move {
            let result = core.settle_all().await;
            core.archive.is_settling.set(false);
            core.end_chore(CHORE, result);
            core.arm().await;
        });
    }

    /// Notes how a chore of the archive went.
    pub(super) fn end_chore(&self, chore: &'static str, result: Result<(), Problem>) {
        let noted = chores::load(&self.sql, chore).and_then(|before| match &result {
            Ok(()) if before.failures == 0 => Ok(()),
            done => chores::note(&self.sql, chore, done.is_ok(), now_ms()),
        });
        if let Err(error) = noted {
            console::trouble(format_args!("{chore}: {}", books_failed(&error)));
        }
        let mut problems = self.archive.problems.borrow_mut();
        match result {
            Ok(()) => drop(problems.remove(chore)),
            Err(problem) => {
                console::trouble(format_args!("{chore}: {problem}"));
                problems.insert(chore, problem);
            }
        }
    }

    async fn settle_all(&self) -> Result<(), Problem> {
        let mut left = SETTLE_SEGMENTS_MAX;
        let mut failed = None;
        while left > 0 {
            let Some(session) = self.archive.to_settle.borrow_mut().pop_first() else { break };
            // One log that does not settle is no reason for the others not to.
            match self.settle_log(&session, &mut left).await {
                Ok(()) => {}
                Err(problem) => failed = Some(problem),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn settle_log(&self, session: &SessionId, left: &mut usize) -> Result<(), Problem> {
        let failed = |error: SqlError| books_failed(&error);
        let kept = self.settings.log_records_kept;
        while *left > 0 {
            let Some(draft) = next_draft(&self.sql, session, kept).map_err(failed)? else { break };
            *left -= 1;
            let segment = self.store_segment(session, draft).await?;
            if !segments::settle(&self.sql, &segment, kept).map_err(failed)? {
                break;
            }
            let (first, last) = (segment.first, segment.last);
            console::note(format_args!("session {session}: records {first} to {last} settled"));
        }
        segments::trim(&self.sql, session, kept).map_err(failed)
    }

    /// Writes a segment, unless the same one is there already.
    async fn store_segment(&self, session: &SessionId, draft: Draft) -> Result<Segment, Problem> {
        let key = keys::segment(&self.agent()?, session, draft.first, draft.last);
        // What would not be read back is not written.
        Records::parse(&draft.content, draft.first, draft.last)
            .map_err(|broken| super::read::unreadable(session, &key, &broken))?;
        let segment = Segment {
            session: session.clone(),
            first: draft.first,
            last: draft.last,
            bytes: draft.content.len() as u64,
            sha256: hex(&draft.sha256),
        };
        let bucket = self.archive.bucket()?;
        let writing = Writing { sha256: Some(draft.sha256), replace: false };
        if bucket.write(&key, draft.content.clone(), writing).await? == Put::Written {
            return Ok(segment);
        }
        match bucket.read(&key, SEGMENT_BYTES_MAX as u64).await? {
            Some(there) if there == draft.content => Ok(segment),
            _ => Err(Problem::new(
                ProblemCode::UpstreamFailed,
                format!("The bucket has another {key} than the log of session {session} makes."),
            )
            .remedy(
                "Nothing was overwritten and the records stay in the agent's books. Two agents may \
                 share the bucket: give each its own, or move that object away.",
            )),
        }
    }
}
