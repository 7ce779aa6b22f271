//! The schedule's jobs and their runs.
//!
//! Invariant: a run enters the inbox in the transaction that moves its job on, under an id that the
//! inbox takes once; so a run happens once, however often an alarm rings.

use protocol::session::UserMessage;
use protocol::{SessionId, TurnId};

use super::super::schedule::{Due, Missed, Schedule};
use super::inbox::{self, Origin};
use crate::limits::{JOB_FAILURES_MAX, JOB_INTERVAL_MS_MIN, JOB_RUNS_KEPT_MS};
use crate::ports::{Row, Sql, SqlError, Value, extreme, id, number, text};

/// The channel under which runs are in the inbox.
pub(crate) const CHANNEL: &str = "schedule";

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    /// Its name.
    pub(crate) id: String,
    /// When it runs.
    pub(crate) schedule: Schedule,
    /// What the agent is asked.
    pub(crate) prompt: String,
    /// In which conversation.
    pub(crate) session: SessionId,
    /// The channel that the answer goes to.
    pub(crate) channel: String,
    /// The conversation there.
    pub(crate) chat: String,
    /// What is done about missed runs.
    pub(crate) missed: Missed,
    /// Whether it runs.
    pub(crate) enabled: bool,
    /// When it is due next.
    pub(crate) next_ms: Option<u64>,
    /// Failed runs in a row.
    pub(crate) failures: u64,
}

const COLUMNS: &str =
    "id, schedule, prompt, session, channel, chat, missed, enabled, next_ms, failures";

fn job(row: &Row) -> Result<Job, SqlError> {
    let own = |column| text(row, column).map(str::to_owned);
    let schedule = serde_json::from_str(text(row, 1)?)
        .map_err(|source| SqlError::Stored { what: "schedule", source })?;
    Ok(Job {
        id: own(0)?,
        schedule,
        prompt: own(2)?,
        session: id(row, 3)?,
        channel: own(4)?,
        chat: own(5)?,
        missed: Missed::of(text(row, 6)?),
        enabled: number(row, 7)? == 1,
        next_ms: if row.get(8) == Some(&Value::Null) { None } else { Some(number(row, 8)?) },
        failures: number(row, 9)?,
    })
}

/// All jobs, oldest first.
pub(crate) fn all(sql: &dyn Sql) -> Result<Vec<Job>, SqlError> {
    let statement = format!("SELECT {COLUMNS} FROM jobs ORDER BY created_at_ms, id");
    sql.run(&statement, &[])?.iter().map(job).collect()
}

/// Writes a job, in place of one with the same name.
pub(crate) fn put(sql: &dyn Sql, job: &Job, now_ms: u64) -> Result<(), SqlError> {
    let schedule = serde_json::to_string(&job.schedule)
        .map_err(|source| SqlError::Stored { what: "schedule", source })?;
    sql.run(
        "INSERT OR REPLACE INTO jobs (id, schedule, prompt, session, channel, chat, missed,
            enabled, next_ms, failures, created_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        &[
            job.id.as_str().into(),
            schedule.into(),
            job.prompt.as_str().into(),
            job.session.as_str().into(),
            job.channel.as_str().into(),
            job.chat.as_str().into(),
            job.missed.as_str().into(),
            u64::from(job.enabled).into(),
            job.next_ms.map_or(Value::Null, Value::from),
            job.failures.into(),
            now_ms.into(),
        ],
    )?;
    Ok(())
}

/// Removes a job; whether there was one.
pub(crate) fn remove(sql: &dyn Sql, id: &str) -> Result<bool, SqlError> {
    Ok(!sql.run("DELETE FROM jobs WHERE id = ? RETURNING id", &[id.into()])?.is_empty())
}

/// Pauses or resumes a job, which is due next at `next_ms`; a resumed one begins without failures.
/// Whether there is one.
pub(crate) fn enable(
    sql: &dyn Sql,
    id: &str,
    enabled: bool,
    next_ms: Option<u64>,
) -> Result<bool, SqlError> {
    let rows = sql.run(
        "UPDATE jobs SET enabled = ?1, next_ms = ?2, failures = 0 WHERE id = ?3 RETURNING id",
        &[u64::from(enabled).into(), next_ms.map_or(Value::Null, Value::from), id.into()],
    )?;
    Ok(!rows.is_empty())
}

/// When the next job is due.
pub(crate) fn next_due_ms(sql: &dyn Sql) -> Result<Option<u64>, SqlError> {
    let rows = sql.run("SELECT MIN(next_ms) FROM jobs WHERE enabled = 1", &[])?;
    extreme(&rows)
}

/// The jobs that are due.
pub(crate) fn due(sql: &dyn Sql, now_ms: u64) -> Result<Vec<Job>, SqlError> {
    let statement =
        format!("SELECT {COLUMNS} FROM jobs WHERE enabled = 1 AND next_ms <= ? ORDER BY next_ms");
    sql.run(&statement, &[now_ms.into()])?.iter().map(job).collect()
}

/// Moves a job on, and puts its run of `due_ms` into the inbox if it runs and the one before it is
/// over. A job that is over goes. Where the inbox has no room the job is due again soon.
pub(crate) fn advance(
    sql: &dyn Sql,
    job: &Job,
    due_ms: u64,
    due: Due,
    now_ms: u64,
) -> Result<(), SqlError> {
    sql.transaction(&mut || {
        let name = || Value::from(job.id.as_str());
        let is_open = !sql
            .run("SELECT 1 FROM job_runs WHERE job = ? AND ended_at_ms IS NULL", &[name()])?
            .is_empty();
        let has_room = !due.runs || is_open || run(sql, job, due_ms, now_ms)?;
        let next_ms = if has_room { due.next_ms } else { Some(now_ms + JOB_INTERVAL_MS_MIN) };
        match next_ms {
            Some(next_ms) => {
                sql.run("UPDATE jobs SET next_ms = ? WHERE id = ?", &[next_ms.into(), name()])?;
            }
            None => {
                remove(sql, &job.id)?;
            }
        }
        Ok(())
    })
}

/// Puts a run into the inbox; false when there is no room. The caller holds the transaction.
fn run(sql: &dyn Sql, job: &Job, due_ms: u64, now_ms: u64) -> Result<bool, SqlError> {
    let event = format!("{}@{due_ms}", job.id);
    let text = job.prompt.clone();
    let message = UserMessage { channel: CHANNEL.to_owned(), event, text };
    let reply = Some((job.channel.as_str(), job.chat.as_str()));
    let origin = Origin { chat: "", sender: "", reply };
    let accepted = inbox::accept_in_transaction(sql, &job.session, &message, origin, now_ms)?;
    if accepted == inbox::Accepted::Full {
        return Ok(false);
    }
    sql.run(
        "INSERT OR IGNORE INTO job_runs (job, due_ms, started_at_ms) VALUES (?, ?, ?)",
        &[job.id.as_str().into(), due_ms.into(), now_ms.into()],
    )?;
    let forgotten = now_ms.saturating_sub(JOB_RUNS_KEPT_MS);
    sql.run("DELETE FROM job_runs WHERE started_at_ms < ?", &[forgotten.into()])?;
    Ok(true)
}

/// Runs a job now, beside its schedule.
pub(crate) fn run_now(sql: &dyn Sql, job: &Job, now_ms: u64) -> Result<(), SqlError> {
    sql.transaction(&mut || run(sql, job, now_ms, now_ms).map(|_| ()))
}

/// What the end of a turn means for the jobs that asked for it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    /// Whether a failure is to be told: it is once in a row.
    pub(super) is_news: bool,
    /// Jobs that are paused from now on, because they failed too often.
    pub(super) paused: Vec<String>,
}

/// The jobs' part in the end of a turn: notes the results of its runs. The caller holds the
/// transaction.
pub(super) fn ended(
    sql: &dyn Sql,
    turn: &TurnId,
    problem: Option<&str>,
    now_ms: u64,
) -> Result<Ended, SqlError> {
    let runs = sql.run(
        "SELECT event FROM inbox WHERE turn = ? AND channel = ?",
        &[turn.as_str().into(), CHANNEL.into()],
    )?;
    let mut ended = Ended::default();
    for row in &runs {
        let Some((job, due)) = text(row, 0)?.rsplit_once('@') else { continue };
        let result = problem.unwrap_or("done");
        sql.run(
            "UPDATE job_runs SET turn = ?, ended_at_ms = ?, result = ? WHERE job = ? AND due_ms = ?",
            &[
                turn.as_str().into(),
                now_ms.into(),
                result.into(),
                job.into(),
                due.parse::<u64>().unwrap_or_default().into(),
            ],
        )?;
        let failed = u64::from(problem.is_some());
        let rows = sql.run(
            "UPDATE jobs SET failures = CASE ?1 WHEN 1 THEN failures + 1 ELSE 0 END,
                enabled = CASE WHEN ?1 = 1 AND failures + 1 >= ?3 THEN 0 ELSE enabled END
             WHERE id = ?2 RETURNING failures",
            &[failed.into(), job.into(), JOB_FAILURES_MAX.into()],
        )?;
        let failures = rows.first().map_or(Ok(0), |row| number(row, 0))?;
        if failures == JOB_FAILURES_MAX {
            ended.paused.push(job.to_owned());
        }
        ended.is_news |= failures <= 1 || failures == JOB_FAILURES_MAX;
    }
    Ok(ended)
}

/// The last runs of a job, newest first: when each was due, and what it came to.
pub(crate) fn history(sql: &dyn Sql, id: &str, max: u64) -> Result<Vec<(u64, String)>, SqlError> {
    let rows = sql.run(
        "SELECT due_ms, COALESCE(result, 'running') FROM job_runs WHERE job = ?
         ORDER BY due_ms DESC LIMIT ?",
        &[id.into(), max.into()],
    )?;
    rows.iter().map(|row| Ok((number(row, 0)?, text(row, 1)?.to_owned()))).collect()
}
