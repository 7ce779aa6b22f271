//! Session logs: read a page, find the head, append on behalf of a turn.
//!
//! Invariant: the rows of a session are contiguous. Those before them are in segments, and the
//! numbers go on even when no row is left.

use protocol::edge::{Append, Page};
use protocol::limits::{PAGE_BYTES_MAX, PAGE_RECORDS_MAX};
use protocol::session::{Item, Record, Sequence};
use protocol::{SessionId, TurnId};

use super::{inbox, outbox, turns};
use crate::ports::{Row, Sql, SqlError, Value, id, number, text};

/// What became of an append.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// Done; the log's new head.
    At(Sequence),
    /// Nothing was written: the head is elsewhere.
    Conflict {
        /// Where it is.
        head: Sequence,
    },
    /// Nothing was written: the turn is not running in this session.
    NotRunning,
    /// Nothing was written: a message among the items does not wait in the inbox.
    NotWaiting,
}

/// Number of the log's last record, 0 when there is none.
pub(crate) fn head(sql: &dyn Sql, session: &SessionId) -> Result<Sequence, SqlError> {
    let rows = sql.run(
        "SELECT MAX(COALESCE((SELECT MAX(sequence) FROM log WHERE session = ?1), 0),
                    COALESCE((SELECT MAX(last) FROM segments WHERE session = ?1), 0))",
        &[session.as_str().into()],
    )?;
    rows.first().map_or(Ok(0), |row| number(row, 0))
}

/// Records from `from` on that are rows, as many as fit a page. A record that should be there and
/// is not is an error: what lies in segments is read by `agent/archive`.
pub(crate) fn read(sql: &dyn Sql, session: &SessionId, from: Sequence) -> Result<Page, SqlError> {
    let from = from.max(1);
    let rows = sql.run(
        "SELECT sequence, at_ms, turn, item FROM log
         WHERE session = ? AND sequence >= ? ORDER BY sequence LIMIT ?",
        &[session.as_str().into(), from.into(), Value::from(PAGE_RECORDS_MAX as u64)],
    )?;
    let mut records = Vec::with_capacity(rows.len());
    let mut bytes = 0;
    for row in &rows {
        bytes += text(row, 3)?.len();
        if bytes > PAGE_BYTES_MAX && !records.is_empty() {
            break;
        }
        let record = record(row)?;
        if record.sequence != from + records.len() as u64 {
            return Err(gap(session, from + records.len() as u64));
        }
        records.push(record);
    }
    let head = head(sql, session)?;
    if records.is_empty() && from <= head {
        return Err(gap(session, from));
    }
    Ok(Page { records, head })
}

fn gap(session: &SessionId, sequence: Sequence) -> SqlError {
    SqlError::Gap { session: session.to_string(), sequence }
}

fn record(row: &Row) -> Result<Record, SqlError> {
    let item = serde_json::from_str(text(row, 3)?)
        .map_err(|source| SqlError::Stored { what: "log item", source })?;
    Ok(Record { sequence: number(row, 0)?, at_ms: number(row, 1)?, turn: id(row, 2)?, item })
}

/// Appends what a running turn has finished; ends the turn in the same transaction when the items
/// say so.
pub(crate) fn append(
    sql: &dyn Sql,
    session: &SessionId,
    append: &Append,
    now_ms: u64,
) -> Result<Appended, SqlError> {
    let mut result = Appended::NotRunning;
    let ended = sql.transaction(&mut || {
        if !turns::is_running(sql, session, &append.turn)? {
            result = Appended::NotRunning;
            return Ok(());
        }
        let head = head(sql, session)?;
        if head != append.expected {
            result = Appended::Conflict { head };
            return Ok(());
        }
        for item in &append.items {
            if let Item::User(message) = item
                && !inbox::take_one(sql, session, message, &append.turn)?
            {
                result = Appended::NotWaiting;
                return Err(SqlError::Refused);
            }
        }
        result = Appended::At(push(sql, session, &append.turn, &append.items, now_ms)?);
        if append.items.iter().any(|item| matches!(item, Item::TurnEnded { .. })) {
            turns::end(sql, &append.turn, now_ms)?;
            outbox::put(sql, session, &append.turn, now_ms)?;
        }
        Ok(())
    });
    match ended {
        Err(SqlError::Refused) | Ok(()) => Ok(result),
        Err(error) => Err(error),
    }
}

/// Writes items behind the head and returns the new head. The caller holds the transaction.
pub(super) fn push(
    sql: &dyn Sql,
    session: &SessionId,
    turn: &TurnId,
    items: &[Item],
    now_ms: u64,
) -> Result<Sequence, SqlError> {
    let mut sequence = head(sql, session)?;
    for item in items {
        sequence += 1;
        let json = serde_json::to_string(item)
            .map_err(|source| SqlError::Stored { what: "log item", source })?;
        sql.run(
            "INSERT INTO log (session, sequence, at_ms, turn, item) VALUES (?, ?, ?, ?, ?)",
            &[
                session.as_str().into(),
                sequence.into(),
                now_ms.into(),
                turn.as_str().into(),
                json.into(),
            ],
        )?;
    }
    Ok(sequence)
}
