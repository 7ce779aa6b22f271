//! What left for the internet: one row per day, host and way.
//!
//! Invariant: a day has a bounded number of rows, however many hosts are named; what finds no room is
//! counted under one name for all of them.

use protocol::egress::EgressNote;

use crate::limits::EGRESS_ROWS_PER_DAY_MAX;
use crate::ports::{Sql, SqlError, Value, number, text};

/// What stands for hosts that found no room.
const OTHERS: &str = "(others)";

/// One host by one way, over some days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Called {
    /// The host.
    pub(crate) host: String,
    /// The way.
    pub(crate) via: String,
    /// How often.
    pub(crate) calls: u64,
    /// Bytes that came back.
    pub(crate) bytes: u64,
    /// The status of the newest answer; 0 for none.
    pub(crate) status: u64,
    /// When it was last called.
    pub(crate) last_at_ms: u64,
}

/// When it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment<'a> {
    /// The time.
    pub(crate) now_ms: u64,
    /// Its day, as `2026-11-28`.
    pub(crate) day: &'a str,
    /// The first day that is kept.
    pub(crate) kept_from: &'a str,
}

/// Adds to the record, and forgets old days when a new one begins.
pub(crate) fn note(
    sql: &dyn Sql,
    notes: &[EgressNote],
    moment: Moment<'_>,
) -> Result<(), SqlError> {
    sql.transaction(&mut || {
        let mut rows = rows_of(sql, moment.day)?;
        if rows == 0 {
            sql.run("DELETE FROM egress WHERE day < ?", &[moment.kept_from.into()])?;
        }
        for note in notes {
            let via = note.via.as_str();
            let is_new = !exists(sql, moment.day, &note.host, via)?;
            let has_room = rows < EGRESS_ROWS_PER_DAY_MAX;
            rows += u64::from(is_new && has_room);
            let host = if is_new && !has_room { OTHERS } else { note.host.as_str() };
            add(sql, host, note, moment)?;
        }
        Ok(())
    })
}

fn rows_of(sql: &dyn Sql, day: &str) -> Result<u64, SqlError> {
    let rows = sql.run("SELECT COUNT(*) FROM egress WHERE day = ?", &[day.into()])?;
    rows.first().map_or(Ok(0), |row| number(row, 0))
}

fn exists(sql: &dyn Sql, day: &str, host: &str, via: &str) -> Result<bool, SqlError> {
    let key: [Value; 3] = [day.into(), host.into(), via.into()];
    let rows = sql.run("SELECT 1 FROM egress WHERE day = ? AND host = ? AND via = ?", &key)?;
    Ok(!rows.is_empty())
}

fn add(sql: &dyn Sql, host: &str, note: &EgressNote, moment: Moment<'_>) -> Result<(), SqlError> {
    sql.run(
        "INSERT INTO egress (day, host, via, calls, bytes, status, last_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (day, host, via) DO UPDATE SET
            calls = calls + ?4, bytes = bytes + ?5, last_at_ms = ?7,
            status = CASE WHEN ?6 = 0 THEN status ELSE ?6 END",
        &[
            moment.day.into(),
            host.into(),
            note.via.as_str().into(),
            note.calls.into(),
            note.bytes.into(),
            u64::from(note.status).into(),
            moment.now_ms.into(),
        ],
    )?;
    Ok(())
}

/// What was called since a day, the newest first, at most `limit` hosts and ways.
pub(crate) fn since(sql: &dyn Sql, day: &str, limit: u64) -> Result<Vec<Called>, SqlError> {
    // With one MAX, SQLite takes the bare column from the row that has it.
    let rows = sql.run(
        "SELECT host, via, SUM(calls), SUM(bytes), status, MAX(last_at_ms) AS last
         FROM egress WHERE day >= ?1 GROUP BY host, via ORDER BY last DESC, host, via LIMIT ?2",
        &[day.into(), limit.into()],
    )?;
    rows.iter()
        .map(|row| {
            Ok(Called {
                host: text(row, 0)?.to_owned(),
                via: text(row, 1)?.to_owned(),
                calls: number(row, 2)?,
                bytes: number(row, 3)?,
                status: number(row, 4)?,
                last_at_ms: number(row, 5)?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use protocol::egress::EgressVia;

    use super::super::memory::Memory;
    use super::*;

    fn call(host: &str, via: EgressVia, calls: u64, bytes: u64, status: u16) -> EgressNote {
        EgressNote { host: host.into(), via, calls, bytes, status }
    }

    fn at(day: &str, now_ms: u64) -> Moment<'_> {
        Moment { now_ms, day, kept_from: "2026-11-02" }
    }

    #[test]
    fn calls_are_counted_by_host_and_way() {
        let sql = Memory::new();
        let day = "2026-11-28";
        note(&sql, &[call("a.example", EgressVia::Via, 1, 0, 0)], at(day, 1)).unwrap();
        note(&sql, &[call("a.example", EgressVia::Via, 0, 70, 200)], at(day, 2)).unwrap();
        note(&sql, &[call("a.example", EgressVia::Via, 1, 0, 0)], at("2026-11-29", 3)).unwrap();
        note(&sql, &[call("a.example", EgressVia::Shell, 4, 9, 0)], at(day, 4)).unwrap();
        let seen: Vec<_> = since(&sql, day, 10)
            .unwrap()
            .into_iter()
            .map(|c| (c.host, c.via, c.calls, c.bytes, c.status, c.last_at_ms))
            .collect();
        let row = |via: &str, calls, bytes, status, last| {
            ("a.example".to_owned(), via.to_owned(), calls, bytes, status, last)
        };
        assert_eq!(seen, [row("shell", 4, 9, 0, 4), row("via", 2, 70, 0, 3)]);
        assert_eq!(since(&sql, "2026-11-29", 10).unwrap().len(), 1);
        assert_eq!(since(&sql, day, 1).unwrap().len(), 1);
    }

    #[test]
    fn old_days_go_and_a_day_has_room_for_so_many() {
        let sql = Memory::new();
        note(&sql, &[call("old.example", EgressVia::Via, 1, 0, 0)], at("2026-11-01", 1)).unwrap();
        let many: Vec<_> = (0..EGRESS_ROWS_PER_DAY_MAX + 7)
            .map(|n| call(&format!("h{n}.example"), EgressVia::Shell, 1, 0, 0))
            .collect();
        note(&sql, &many, at("2026-11-28", 2)).unwrap();
        note(&sql, &many, at("2026-11-28", 3)).unwrap();
        let all = since(&sql, "2026-01-01", 10_000).unwrap();
        assert_eq!(all.len() as u64, EGRESS_ROWS_PER_DAY_MAX + 1);
        assert!(!all.iter().any(|called| called.host == "old.example"));
        let others = all.iter().find(|called| called.host == OTHERS).unwrap();
        assert_eq!(others.calls, 14);
    }
}
