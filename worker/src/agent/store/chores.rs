//! What is done from time to time, and how that last went.

use crate::ports::{Sql, SqlError, number, text};

/// How a chore last went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Chore {
    /// When it was last done or tried; 0 for never.
    pub(crate) at_ms: u64,
    /// Failed tries in a row since it was last done.
    pub(crate) failures: u64,
}

/// The chore of this name.
pub(crate) fn load(sql: &dyn Sql, name: &str) -> Result<Chore, SqlError> {
    let rows = sql.run("SELECT done_at_ms, failures FROM chores WHERE name = ?", &[name.into()])?;
    rows.first().map_or(Ok(Chore::default()), |row| {
        Ok(Chore { at_ms: number(row, 0)?, failures: number(row, 1)? })
    })
}

/// Notes that it was done, or that a try failed.
pub(crate) fn note(sql: &dyn Sql, name: &str, done: bool, now_ms: u64) -> Result<(), SqlError> {
    sql.run(
        "INSERT INTO chores (name, done_at_ms, failures) VALUES (?1, ?2, 1 - ?3)
         ON CONFLICT (name) DO UPDATE SET done_at_ms = ?2,
            failures = CASE WHEN ?3 = 1 THEN 0 ELSE failures + 1 END",
        &[name.into(), now_ms.into(), u64::from(done).into()],
    )?;
    Ok(())
}

/// The chore's own note; empty before it has made one.
pub(crate) fn own_note(sql: &dyn Sql, name: &str) -> Result<String, SqlError> {
    let rows = sql.run("SELECT note FROM chores WHERE name = ?", &[name.into()])?;
    rows.first().map_or(Ok(String::new()), |row| text(row, 0).map(str::to_owned))
}

/// Notes that it was done as of `at_ms`, with a note of its own.
pub(crate) fn note_done(sql: &dyn Sql, name: &str, own: &str, at_ms: u64) -> Result<(), SqlError> {
    sql.run(
        "INSERT INTO chores (name, done_at_ms, failures, note) VALUES (?1, ?2, 0, ?3)
         ON CONFLICT (name) DO UPDATE SET done_at_ms = ?2, failures = 0, note = ?3",
        &[name.into(), at_ms.into(), own.into()],
    )?;
    Ok(())
}
