//! Which parts of session logs are in R2, and what of them is still in rows.
//!
//! Invariant: segments of a session are contiguous from record 1. A row is deleted only when a
//! segment has it.

use protocol::SessionId;
use protocol::limits::{PAGE_BYTES_MAX, PAGE_RECORDS_MAX};
use protocol::session::Sequence;

use super::{log, turns};
use crate::agent::archive::segment::Line;
use crate::ports::{Row, Sql, SqlError, Value, id, number, text};

/// A segment as the books know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Its session.
    pub(crate) session: SessionId,
    /// Its first record.
    pub(crate) first: Sequence,
    /// Its last record.
    pub(crate) last: Sequence,
    /// Its size.
    pub(crate) bytes: u64,
    /// Its hash, in hexadecimal digits.
    pub(crate) sha256: String,
}

/// The segment that a record must be read from; `None` when it is a row, or not there at all.
pub(crate) fn holding(
    sql: &dyn Sql,
    session: &SessionId,
    sequence: Sequence,
) -> Result<Option<Segment>, SqlError> {
    let rows = sql.run(
        "SELECT session, first, last, bytes, sha256 FROM segments
         WHERE session = ?1 AND first <= ?2 AND last >= ?2
         AND NOT EXISTS (SELECT 1 FROM log WHERE session = ?1 AND sequence = ?2)
         ORDER BY first DESC LIMIT 1",
        &[session.as_str().into(), sequence.into()],
    )?;
    rows.first().map(segment).transpose()
}

fn segment(row: &Row) -> Result<Segment, SqlError> {
    Ok(Segment {
        session: id(row, 0)?,
        first: number(row, 1)?,
        last: number(row, 2)?,
        bytes: number(row, 3)?,
        sha256: text(row, 4)?.to_owned(),
    })
}

/// The first record of a session that is a row; the one behind its head when none is.
#[cfg(test)]
pub(crate) fn rows_begin(sql: &dyn Sql, session: &SessionId) -> Result<Sequence, SqlError> {
    let rows =
        sql.run("SELECT MIN(sequence) FROM log WHERE session = ?", &[session.as_str().into()])?;
    crate::ports::extreme(&rows)?.map_or_else(|| Ok(log::head(sql, session)? + 1), Ok)
}

/// The last record of a session that a segment has; 0 for none.
pub(crate) fn covered(sql: &dyn Sql, session: &SessionId) -> Result<Sequence, SqlError> {
    let rows = sql.run(
        "SELECT COALESCE(MAX(last), 0) FROM segments WHERE session = ?",
        &[session.as_str().into()],
    )?;
    rows.first().map_or(Ok(0), |row| number(row, 0))
}

/// How many records of a session no segment has, and about how many bytes.
pub(crate) fn unsettled(sql: &dyn Sql, session: &SessionId) -> Result<(u64, u64), SqlError> {
    let rows = sql.run(
        "SELECT COUNT(*), COALESCE(SUM(LENGTH(item)), 0) FROM log
         WHERE session = ? AND sequence > ?",
        &[session.as_str().into(), covered(sql, session)?.into()],
    )?;
    rows.first().map_or(Ok((0, 0)), |row| Ok((number(row, 0)?, number(row, 1)?)))
}

/// The rows of a session from `from` on as they are stored, as many as fit a page.
pub(crate) fn lines(
    sql: &dyn Sql,
    session: &SessionId,
    from: Sequence,
) -> Result<Vec<Line>, SqlError> {
    let rows = sql.run(
        "SELECT sequence, at_ms, turn, item FROM log
         WHERE session = ? AND sequence >= ? ORDER BY sequence LIMIT ?",
        &[session.as_str().into(), from.into(), Value::from(PAGE_RECORDS_MAX as u64)],
    )?;
    let mut bytes = 0;
    let mut lines = Vec::with_capacity(rows.len());
    for (wanted, row) in (from..).zip(&rows) {
        let line = Line {
            sequence: number(row, 0)?,
            at_ms: number(row, 1)?,
            turn: text(row, 2)?.to_owned(),
            item: text(row, 3)?.to_owned(),
        };
        if line.sequence != wanted {
            return Err(SqlError::Gap { session: session.to_string(), sequence: wanted });
        }
        bytes += line.item.len();
        lines.push(line);
        if bytes > PAGE_BYTES_MAX {
            break;
        }
    }
    Ok(lines)
}

/// Notes a segment that is safe in R2, and trims what need not be in rows any more. False when the
/// books have moved on meanwhile; nothing has changed then.
pub(crate) fn settle(sql: &dyn Sql, segment: &Segment, kept: u64) -> Result<bool, SqlError> {
    let mut settled = false;
    let done = sql.transaction(&mut || {
        settled = covered(sql, &segment.session)? + 1 == segment.first
            && rows_within(sql, segment)? == segment.last + 1 - segment.first;
        if !settled {
            return Err(SqlError::Refused);
        }
        note(sql, segment)?;
        trim_rows(sql, &segment.session, kept)
    });
    match done {
        Err(SqlError::Refused) if !settled => Ok(false),
        done => done.map(|()| true),
    }
}

fn rows_within(sql: &dyn Sql, segment: &Segment) -> Result<u64, SqlError> {
    let rows = sql.run(
        "SELECT COUNT(*) FROM log WHERE session = ? AND sequence BETWEEN ? AND ?",
        &[segment.session.as_str().into(), segment.first.into(), segment.last.into()],
    )?;
    rows.first().map_or(Ok(0), |row| number(row, 0))
}

/// Notes a segment. The caller holds the transaction.
pub(super) fn note(sql: &dyn Sql, segment: &Segment) -> Result<(), SqlError> {
    sql.run(
        "INSERT INTO segments (session, first, last, bytes, sha256) VALUES (?, ?, ?, ?, ?)",
        &[
            segment.session.as_str().into(),
            segment.first.into(),
            segment.last.into(),
            segment.bytes.into(),
            segment.sha256.as_str().into(),
        ],
    )?;
    Ok(())
}

/// Deletes the rows of a session that whole segments have and that are older than the newest
/// `kept`.
pub(crate) fn trim(sql: &dyn Sql, session: &SessionId, kept: u64) -> Result<(), SqlError> {
    sql.transaction(&mut || trim_rows(sql, session, kept))
}

fn trim_rows(sql: &dyn Sql, session: &SessionId, kept: u64) -> Result<(), SqlError> {
    if turns::running_in(sql, session)?.is_some() {
        // What its runtime reads when it begins again stays.
        return Ok(());
    }
    let behind = log::head(sql, session)?.saturating_sub(kept);
    let rows = sql.run(
        "SELECT COALESCE(MAX(last), 0), (SELECT MIN(sequence) FROM log WHERE session = ?1)
         FROM segments WHERE session = ?1 AND last <= ?2",
        &[session.as_str().into(), behind.into()],
    )?;
    let upto = rows.first().map_or(Ok(0), |row| number(row, 0))?;
    let is_there = rows.first().is_some_and(|row| number(row, 1).is_ok_and(|first| first <= upto));
    if is_there {
        delete_upto(sql, session, upto)?;
    }
    Ok(())
}

/// Deletes rows up to a record. The caller holds the transaction and knows that segments have them.
pub(super) fn delete_upto(
    sql: &dyn Sql,
    session: &SessionId,
    upto: Sequence,
) -> Result<(), SqlError> {
    let bounds = [session.as_str().into(), upto.into()];
    sql.run("DELETE FROM log WHERE session = ? AND sequence <= ?", &bounds)?;
    Ok(())
}

/// All sessions that have a record, in order. Looks each one up in turn, so that neither table is
/// read as a whole.
pub(crate) fn sessions(sql: &dyn Sql) -> Result<Vec<SessionId>, SqlError> {
    let mut sessions = Vec::new();
    let mut after = String::new();
    loop {
        let rows = sql.run(
            "SELECT MIN(session) FROM (
                SELECT (SELECT MIN(session) FROM log WHERE session > ?1) AS session
                UNION ALL SELECT (SELECT MIN(session) FROM segments WHERE session > ?1))",
            &[after.as_str().into()],
        )?;
        let Some(row) = rows.first().filter(|row| row.first() != Some(&Value::Null)) else {
            return Ok(sessions);
        };
        text(row, 0)?.clone_into(&mut after);
        sessions.push(id(row, 0)?);
    }
}
