//! Exports session logs as JSON lines: for each session a line that says what follows, then its
//! records; at last a line that says how many there were.
//!
//! Invariants: one page is held at a time; an export that lacks its last line is not whole.

use std::collections::VecDeque;
use std::rc::Rc;

use futures_util::stream::{self, Stream};
use protocol::session::Sequence;
use protocol::{Problem, ProblemCode, SessionId};
use serde::Serialize;
use serde_json::json;

use crate::agent::core::{Core, books_failed};
use crate::agent::store::{log, segments};
use crate::platform::http::{self, Response};
use crate::platform::log as console;

/// How far an export is.
struct Progress {
    core: Rc<Core>,
    rest: VecDeque<SessionId>,
    /// The session that is written: the next record and the last one.
    current: Option<(SessionId, Sequence, Sequence)>,
    sessions: u64,
    records: u64,
    is_over: bool,
}

impl Core {
    /// The log of one session or of all.
    pub(in crate::agent) fn export(
        self: &Rc<Self>,
        session: Option<SessionId>,
    ) -> Result<Response, Problem> {
        let all = segments::sessions(&self.sql).map_err(|error| books_failed(&error))?;
        let rest: VecDeque<SessionId> = match session {
            None => all.into(),
            Some(session) if all.contains(&session) => [session].into(),
            Some(session) => {
                let message = format!("There is no session {session}.");
                return Err(Problem::new(ProblemCode::NotFound, message)
                    .remedy("GET /api/export has all sessions."));
            }
        };
        http::stream("application/jsonl", pieces(Rc::clone(self), rest))
    }
}

fn pieces(
    core: Rc<Core>,
    rest: VecDeque<SessionId>,
) -> impl Stream<Item = Result<Vec<u8>, Problem>> + 'static {
    let progress = Progress { core, rest, current: None, sessions: 0, records: 0, is_over: false };
    stream::try_unfold(progress, async |mut progress| {
        let piece = progress.next_piece().await.inspect_err(|problem| {
            // The caller sees a body that breaks off.
            console::trouble(format_args!("an export broke off: {problem}"));
        })?;
        Ok(piece.map(|piece| (piece, progress)))
    })
}

impl Progress {
    async fn next_piece(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        let mut piece = Vec::new();
        if let Some((session, next, last)) = self.current.take() {
            let page = self.core.read_log(&session, next).await?;
            let records = page.records.iter().filter(|record| record.sequence <= last);
            let mut reached = last;
            for record in records {
                line(&mut piece, record)?;
                self.records += 1;
                reached = record.sequence;
            }
            self.current = (reached < last).then_some((session, reached + 1, last));
            return Ok(Some(piece));
        }
        if let Some(session) = self.rest.pop_front() {
            let last = log::head(&self.core.sql, &session).map_err(|e| books_failed(&e))?;
            line(&mut piece, &json!({ "session": session, "first": 1, "last": last }))?;
            self.sessions += 1;
            self.current = Some((session, 1, last));
            return Ok(Some(piece));
        }
        if std::mem::replace(&mut self.is_over, true) {
            return Ok(None);
        }
        let end = json!({ "end": { "sessions": self.sessions, "records": self.records } });
        line(&mut piece, &end)?;
        Ok(Some(piece))
    }
}

fn line<T: Serialize>(piece: &mut Vec<u8>, value: &T) -> Result<(), Problem> {
    serde_json::to_writer(&mut *piece, value).map_err(|error| {
        Problem::new(ProblemCode::Internal, format!("A record could not be written: {error}."))
    })?;
    piece.push(b'\n');
    Ok(())
}
