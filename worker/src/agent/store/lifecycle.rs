//! The container's state as it stands in the books.

use protocol::Epoch;
use protocol::edge::LastWords;

use crate::agent::lifecycle::Lifecycle;
use crate::ports::{Sql, SqlError, number, text};

/// The stored state and epoch; cold and epoch 0 for an agent that never had a container.
pub(crate) fn load(sql: &dyn Sql) -> Result<(Epoch, Lifecycle), SqlError> {
    let rows = sql.run("SELECT epoch, state FROM lifecycle WHERE id = 1", &[])?;
    let Some(row) = rows.first() else {
        return Ok((Epoch(0), Lifecycle::Cold));
    };
    let state = serde_json::from_str(text(row, 1)?)
        .map_err(|source| SqlError::Stored { what: "container state", source })?;
    Ok((Epoch(number(row, 0)?), state))
}

/// Replaces the stored state.
pub(crate) fn save(sql: &dyn Sql, epoch: Epoch, state: &Lifecycle) -> Result<(), SqlError> {
    let json = serde_json::to_string(state)
        .map_err(|source| SqlError::Stored { what: "container state", source })?;
    sql.run(
        "INSERT INTO lifecycle (id, epoch, state) VALUES (1, ?, ?)
         ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, state = excluded.state",
        &[epoch.0.into(), json.into()],
    )?;
    Ok(())
}

/// Keeps the last words of the life of `epoch`.
pub(crate) fn note_last_words(
    sql: &dyn Sql,
    epoch: Epoch,
    words: &LastWords,
) -> Result<(), SqlError> {
    let json = serde_json::to_string(&(epoch, words))
        .map_err(|source| SqlError::Stored { what: "container's last words", source })?;
    sql.run("UPDATE lifecycle SET last_words = ? WHERE id = 1", &[json.into()])?;
    Ok(())
}

/// The last words of the life of `epoch`, if it said any.
pub(crate) fn last_words(sql: &dyn Sql, epoch: Epoch) -> Result<Option<LastWords>, SqlError> {
    let rows =
        sql.run("SELECT last_words FROM lifecycle WHERE id = 1 AND last_words IS NOT NULL", &[])?;
    let Some(row) = rows.first() else { return Ok(None) };
    let (said_by, words): (Epoch, LastWords) = serde_json::from_str(text(row, 0)?)
        .map_err(|source| SqlError::Stored { what: "container's last words", source })?;
    Ok((said_by == epoch).then_some(words))
}
