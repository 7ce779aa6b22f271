//! Copies the control tables to R2: when the container has gone to sleep, and daily while things
//! change.
//!
//! Invariants: an export shows one instant; the file of a day is replaced by a newer one only, in
//! one write; exports of other days go only when there are enough newer ones.

use std::rc::Rc;

use protocol::{Problem, ProblemCode};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::control::{self, Rows};
use super::{after_failure_ms, later_ms};
use crate::agent::core::{Core, books_failed};
use crate::agent::lifecycle::Lifecycle;
use crate::agent::store::chores::{self, Chore};
use crate::agent::store::{control as book, schema};
use crate::keys;
use crate::limits::{
    CONTROL_BYTES_MAX, CONTROL_EVERY_MS, CONTROL_FILES_KEPT, CONTROL_HEADER_BYTES_MAX,
    CONTROL_PAUSE_MS, DEDUPE_KEPT_MS, LISTED_MAX,
};
use crate::platform::bucket::{Bucket, Writing};
use crate::platform::clock::{day, now_ms};
use crate::platform::log as console;
use crate::ports::SqlError;

const CHORE: &str = "control export";

/// What became of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::agent) struct Exported {
    /// The object, or the one that says the same already.
    file: String,
    /// Its bytes; 0 when nothing had changed.
    bytes: usize,
}

/// When the tables of an agent that was born then are to be exported next. Pure.
fn due_ms(chore: Chore, born_ms: u64, changed_at_ms: Option<u64>, is_cold: bool) -> Option<u64> {
    if chore.failures > 0 {
        return Some(after_failure_ms(chore));
    }
    // An agent that never did anything has nothing to lose.
    let changed_at_ms = changed_at_ms?;
    if is_cold && changed_at_ms > chore.at_ms {
        return Some(changed_at_ms + CONTROL_PAUSE_MS);
    }
    Some(chore.at_ms.max(born_ms) + CONTROL_EVERY_MS)
}

impl Core {
    /// When the control tables are to be exported next.
    pub(in crate::agent) fn control_due_ms(&self) -> Result<Option<u64>, Problem> {
        if self.archive.is_exporting.get() {
            return Ok(Some(later_ms()));
        }
        let failed = |error: SqlError| books_failed(&error);
        let chore = chores::load(&self.sql, CHORE).map_err(failed)?;
        let born_ms = schema::born_ms(&self.sql).map_err(failed)?;
        let changed_at_ms = book::last_change_ms(&self.sql).map_err(failed)?;
        let is_cold = self.lifecycle()?.1 == Lifecycle::Cold;
        Ok(due_ms(chore, born_ms, changed_at_ms, is_cold))
    }

    /// Exports the control tables when it is time.
    pub(in crate::agent) fn run_control_export(self: &Rc<Self>) -> Result<(), Problem> {
        if self.control_due_ms()?.is_none_or(|due_ms| due_ms > now_ms()) {
            return Ok(());
        }
        if self.archive.is_exporting.replace(true) {
            return Ok(());
        }
        let core = Rc::clone(self);
        self.spawn(async move {
            let result = core.export_control_now().await;
            core.archive.is_exporting.set(false);
            core.end_chore(CHORE, result.map(|_| ()));
            core.arm().await;
        });
        Ok(())
    }

    /// Exports the control tables now, unless nothing has changed.
    pub(in crate::agent) async fn export_control(&self) -> Result<Exported, Problem> {
        if self.archive.is_exporting.replace(true) {
            let problem = Problem::new(ProblemCode::Busy, "An export is under way already.");
            return Err(problem.remedy("Try again in a moment."));
        }
        let result = self.export_control_now().await;
        self.archive.is_exporting.set(false);
        result
    }

    async fn export_control_now(&self) -> Result<Exported, Problem> {
        let failed = |error: SqlError| books_failed(&error);
        let (agent, now_ms) = (self.agent()?, now_ms());
        let rows = self.collect(now_ms)?;
        let note = chores::own_note(&self.sql, CHORE).map_err(failed)?;
        let before = Before::parse(&note);
        let fingerprint = rows.fingerprint();
        if before.fingerprint == fingerprint {
            chores::note_done(&self.sql, CHORE, &note, now_ms).map_err(failed)?;
            return Ok(Exported { file: before.file, bytes: 0 });
        }
        // Later than the one before even when the clock was set back since.
        let at_ms = now_ms.max(before.at_ms + 1);
        let file = rows.seal(&agent, at_ms).map_err(|error| {
            Problem::new(ProblemCode::Internal, format!("The export was not written: {error}."))
        })?;
        let (key, bytes) = (keys::control(&agent, &day(now_ms)), file.len());
        let bucket = self.archive.bucket()?;
        refuse_older(bucket, &key, at_ms).await?;
        let sha256 = Some(Sha256::digest(&file).into());
        bucket.write(&key, file, Writing { sha256, replace: true }).await?;
        let before = Before { fingerprint, at_ms, file: key.clone() };
        chores::note_done(&self.sql, CHORE, &before.to_string(), now_ms).map_err(failed)?;
        console::note(format_args!("control tables exported to {key}: {bytes} bytes"));
        forget_old(bucket, &keys::control_folder(&agent)).await?;
        Ok(Exported { file: key, bytes })
    }

    /// The rows of one instant.
    fn collect(&self, at_ms: u64) -> Result<Rows, Problem> {
        let failed = |error: SqlError| books_failed(&error);
        if book::log_bytes(&self.sql).map_err(failed)? > CONTROL_BYTES_MAX as u64 {
            return Err(too_large());
        }
        let mut rows = Rows::default();
        let mut is_too_large = false;
        let forgotten_ms = at_ms.saturating_sub(DEDUPE_KEPT_MS);
        let dumped = book::dump(&self.sql, forgotten_ms, &mut |row, counts| {
            rows.add(row, counts)
                .map_err(|source| SqlError::Stored { what: "row of an export", source })?;
            is_too_large = rows.bytes() > CONTROL_BYTES_MAX;
            if is_too_large { Err(SqlError::Refused) } else { Ok(()) }
        });
        match dumped {
            Err(SqlError::Refused) if is_too_large => Err(too_large()),
            dumped => dumped.map(|()| rows).map_err(failed),
        }
    }
}

/// What the books remember of the export before, as the chore's note.
#[derive(Debug, Default, PartialEq, Eq)]
struct Before {
    fingerprint: String,
    at_ms: u64,
    file: String,
}

impl Before {
    /// Nothing for a note that does not read: then the export is made.
    fn parse(note: &str) -> Self {
        let mut parts = note.splitn(3, ' ');
        let mut part = || parts.next().unwrap_or_default().to_owned();
        let (fingerprint, at_ms, file) = (part(), part(), part());
        Self { fingerprint, at_ms: at_ms.parse().unwrap_or(0), file }
    }
}

impl std::fmt::Display for Before {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.fingerprint, self.at_ms, self.file)
    }
}

fn too_large() -> Problem {
    Problem::new(
        ProblemCode::TooLarge,
        format!(
            "The agent's control tables have more than {CONTROL_BYTES_MAX} bytes, so they are \
            no longer exported to the bucket."
        ),
    )
    .remedy("Use fewer sessions at a time; old exports stay where they are.")
}

/// Refuses to replace a file that says it was written later: by a clock that was wrong, or by
/// another deployment on the same bucket.
async fn refuse_older(bucket: &Bucket, key: &str, at_ms: u64) -> Result<(), Problem> {
    let beginning = bucket.read_beginning(key, CONTROL_HEADER_BYTES_MAX).await?;
    let written = beginning.as_deref().and_then(control::written_at_ms);
    match written {
        Some(written_at_ms) if written_at_ms > at_ms => Err(Problem::new(
            ProblemCode::UpstreamFailed,
            format!("The bucket has a {key} that is newer than this agent's books."),
        )
        .remedy(
            "Nothing was overwritten. If another deployment uses the bucket, give this one its own; \
             if a clock was wrong, move that object away.",
        )),
        _ => Ok(()),
    }
}

/// Deletes all exports but the newest.
async fn forget_old(bucket: &Bucket, folder: &str) -> Result<(), Problem> {
    let mut files = bucket.list_all(folder, LISTED_MAX).await?;
    files.sort_by(|a, b| b.key.cmp(&a.key));
    for file in files.iter().skip(CONTROL_FILES_KEPT) {
        bucket.delete(&file.key).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exported_after_going_to_sleep_and_daily() {
        let never = Chore::default();
        assert_eq!(due_ms(never, 5, None, true), None);
        assert_eq!(due_ms(never, 5, Some(7), true), Some(7 + CONTROL_PAUSE_MS));
        assert_eq!(due_ms(never, 5, Some(7), false), Some(5 + CONTROL_EVERY_MS));
        let done = Chore { at_ms: 10, failures: 0 };
        assert_eq!(due_ms(done, 5, Some(11), true), Some(11 + CONTROL_PAUSE_MS));
        assert_eq!(due_ms(done, 5, Some(11), false), Some(10 + CONTROL_EVERY_MS));
        assert_eq!(due_ms(done, 5, Some(9), true), Some(10 + CONTROL_EVERY_MS));
    }

    #[test]
    fn what_was_exported_before_is_remembered() {
        let before = Before { fingerprint: "ab".into(), at_ms: 7, file: "a/b c.jsonl".into() };
        assert_eq!(Before::parse(&before.to_string()), before);
        assert_eq!(Before::parse(""), Before::default());
    }

    #[test]
    fn a_failed_export_is_tried_later_even_by_a_cold_agent() {
        let failed = Chore { at_ms: 10, failures: 1 };
        assert_eq!(due_ms(failed, 5, Some(20), true), Some(after_failure_ms(failed)));
    }
}
