//! Fills an empty object from what the bucket holds.
//!
//! Invariants: an object that holds anything is left as it is; what is used was read whole and
//! checked; what could not be used is said.

use std::collections::BTreeSet;
use std::rc::Rc;

use protocol::object::Restored;
use protocol::problem::chain;
use protocol::session::Sequence;
use protocol::{AgentId, Problem, ProblemCode, SessionId};
use serde_json::{Map, Value};

use super::adoption::{self, Ends, Listed};
use super::control::{Control, TableRow};
use crate::agent::core::{Core, books_failed};
use crate::agent::store::control::{self as book, Adopted, FillError, Filling};
use crate::agent::store::segments::{self, Segment};
use crate::agent::store::{inbox, log};
use crate::keys;
use crate::limits::{ADOPTED_SEGMENTS_MAX, CONTROL_BYTES_MAX, LISTED_MAX, SEGMENT_BYTES_MAX};
use crate::platform::bucket::{Bucket, BucketError};
use crate::platform::clock::now_ms;
use crate::platform::log as console;
use crate::ports::SqlError;

/// A control export that is whole.
struct Chosen {
    key: String,
    file: Vec<u8>,
}

impl Core {
    /// Fills the books from the bucket.
    pub(in crate::agent) async fn rebuild(self: &Rc<Self>) -> Result<Restored, Problem> {
        if !book::is_empty(&self.sql).map_err(|error| books_failed(&error))? {
            return Err(not_empty());
        }
        let agent = self.agent()?;
        let bucket = self.archive.bucket()?;
        let mut warnings = Vec::new();
        let chosen = newest(bucket, &agent, &mut warnings).await?;
        let control = Control::open(&chosen.file, &agent)
            .map_err(|error| internal(&format!("{}: {error}.", chosen.key)))?;
        let (ends, booked) = ends_of(&control);
        let listed = listed(bucket, &agent).await?;
        for lost in adoption::missing(&booked, &listed) {
            let Listed { session, first, last, .. } = &lost;
            let key = keys::segment(&agent, session, *first, *last);
            warnings.push(format!("{key} is missing or has another size: its records are lost."));
        }
        let wanted = adoption::continuing(&listed, &ends);
        let adopted = adopt(bucket, &agent, &wanted, &ends, &mut warnings).await?;
        let filling = Filling {
            agent: &agent,
            // Every row was read when the file was checked.
            rows: &|| Box::new(control.rows().filter_map(Result::ok)),
            adopted: &adopted,
            now_ms: now_ms(),
        };
        let left_out = book::fill(&self.sql, &filling).map_err(fill_failed)?;
        for Segment { session, first, last, .. } in &left_out {
            let key = keys::segment(&agent, session, *first, *last);
            warnings.push(format!("{key} does not continue the log and was left out."));
        }
        let restored = Restored {
            at_ms: control.header.at_ms,
            adopted: (adopted.len() - left_out.len()) as u64,
            jobs: control.header.rows.get("jobs").copied().unwrap_or(0),
            control: chosen.key,
            ..self.counted(warnings)?
        };
        console::note(format_args!("restored from {}: {restored:?}", restored.control));
        // What waits and what ran goes on.
        self.worked_at_ms.set(now_ms());
        self.pump()?;
        self.arm().await;
        Ok(restored)
    }

    /// What the books hold now.
    fn counted(&self, warnings: Vec<String>) -> Result<Restored, Problem> {
        let failed = |error: SqlError| books_failed(&error);
        let mut restored = Restored { warnings, ..Restored::default() };
        for session in segments::sessions(&self.sql).map_err(failed)? {
            restored.sessions += 1;
            restored.records += log::head(&self.sql, &session).map_err(failed)?;
        }
        restored.waiting = inbox::waiting_everywhere(&self.sql).map_err(failed)?;
        Ok(restored)
    }
}

fn internal(message: &str) -> Problem {
    Problem::new(ProblemCode::Internal, message)
}

fn not_empty() -> Problem {
    Problem::new(
        ProblemCode::Forbidden,
        "This agent's books are not empty, so they are not restored over.",
    )
    .remedy("Restore into a new deployment, or one whose object never had a message.")
}

fn fill_failed(error: FillError) -> Problem {
    match error {
        FillError::NotEmpty => not_empty(),
        FillError::Sql(error) => books_failed(&error),
        other => {
            Problem::new(ProblemCode::UpstreamFailed, format!("Nothing was restored: {other}."))
                .remedy("Deploy the version that wrote the export, or a later one, and try again.")
        }
    }
}

/// The newest control export that is whole; the others are warned of.
async fn newest(
    bucket: &Bucket,
    agent: &AgentId,
    warnings: &mut Vec<String>,
) -> Result<Chosen, Problem> {
    let folder = keys::control_folder(agent);
    let mut files = bucket.list_all(&folder, LISTED_MAX).await?;
    files.sort_by(|a, b| b.key.cmp(&a.key));
    for listed in files {
        let why = match bucket.read(&listed.key, CONTROL_BYTES_MAX as u64 * 2).await {
            Ok(Some(file)) => match Control::open(&file, agent) {
                Ok(_) => return Ok(Chosen { key: listed.key, file }),
                Err(error) => chain(&error),
            },
            Ok(None) => "it is gone".into(),
            Err(error @ BucketError::TooLarge(_)) => error.to_string(),
            Err(error) => return Err(error.into()),
        };
        warnings.push(format!("{} cannot be used: {why}.", listed.key));
    }
    if warnings.is_empty() {
        let message = format!("The bucket holds no control export of the agent {agent}.");
        return Err(Problem::new(ProblemCode::NotFound, message)
            .remedy(format!("There should be one at {folder}; is it the right bucket?")));
    }
    let message = format!("No control export can be used. {}", warnings.join(" "));
    Err(Problem::new(ProblemCode::UpstreamFailed, message)
        .remedy("Put one back into the bucket as it was written; nothing was changed."))
}

/// Where the logs of an export end, and its segments.
fn ends_of(control: &Control<'_>) -> (Ends, Vec<Listed>) {
    let mut ends = Ends::default();
    let mut booked = Vec::new();
    for TableRow { table, row } in control.rows().filter_map(Result::ok) {
        let session = || row.get("session").and_then(Value::as_str)?.parse::<SessionId>().ok();
        match (table.as_str(), session()) {
            ("log", Some(session)) => raise(&mut ends.heads, session, number(&row, "sequence")),
            ("segments", Some(session)) => {
                let last = number(&row, "last");
                raise(&mut ends.covered, session.clone(), last);
                raise(&mut ends.heads, session.clone(), last);
                let (first, bytes) = (number(&row, "first"), number(&row, "bytes"));
                booked.push(Listed { session, first, last, bytes });
            }
            _ => {}
        }
    }
    (ends, booked)
}

fn number(row: &Map<String, Value>, name: &str) -> u64 {
    row.get(name).and_then(Value::as_u64).unwrap_or(0)
}

fn raise(
    all: &mut std::collections::BTreeMap<SessionId, Sequence>,
    session: SessionId,
    to: Sequence,
) {
    let end = all.entry(session).or_default();
    *end = to.max(*end);
}

/// The segments in the bucket.
async fn listed(bucket: &Bucket, agent: &AgentId) -> Result<Vec<Listed>, Problem> {
    let files = bucket.list_all(&keys::sessions_folder(agent), LISTED_MAX).await?;
    let listed = files.into_iter().filter_map(|file| {
        let (session, first, last) = keys::parse_segment(agent, &file.key)?;
        Some(Listed { session, first, last, bytes: file.size })
    });
    Ok(listed.collect())
}

/// Reads the segments that are to be taken in. One that cannot be used ends its session's log.
async fn adopt(
    bucket: &Bucket,
    agent: &AgentId,
    wanted: &[Listed],
    ends: &Ends,
    warnings: &mut Vec<String>,
) -> Result<Vec<Adopted>, Problem> {
    let mut adopted = Vec::new();
    let mut ended = BTreeSet::new();
    for segment in wanted {
        if ended.contains(&segment.session) {
            continue;
        }
        let key = keys::segment(agent, &segment.session, segment.first, segment.last);
        let why = if adopted.len() < ADOPTED_SEGMENTS_MAX {
            let head = ends.heads.get(&segment.session).copied().unwrap_or(0);
            match bucket.read(&key, SEGMENT_BYTES_MAX as u64).await {
                Ok(Some(content)) => match adoption::examine(segment, &content, head) {
                    Ok(taken) => {
                        adopted.push(taken);
                        continue;
                    }
                    Err(broken) => chain(&broken),
                },
                Ok(None) => "it is gone".into(),
                Err(error @ BucketError::TooLarge(_)) => error.to_string(),
                Err(error) => return Err(error.into()),
            }
        } else {
            format!("more than {ADOPTED_SEGMENTS_MAX} segments are newer than the control export")
        };
        warnings.push(format!("{key} was left out: {why}."));
        ended.insert(segment.session.clone());
    }
    Ok(adopted)
}
