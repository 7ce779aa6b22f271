//! Turns: which run, where each began, and their end.

use protocol::session::{Item, Outcome, Sequence};
use protocol::{Epoch, SessionId, TurnId};

use super::{inbox, log, outbox};
use crate::ports::{Row, Sql, SqlError, Value, extreme, id, number};

/// A turn that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Running {
    /// The turn.
    pub(crate) turn: TurnId,
    /// Its conversation.
    pub(crate) session: SessionId,
    /// The log's head before the turn's first record.
    pub(crate) before: Sequence,
}

/// Starts a turn with everything that waits in the session. `None` when nothing waits or a turn
/// runs already.
pub(crate) fn begin(
    sql: &dyn Sql,
    session: &SessionId,
    turn: &TurnId,
    now_ms: u64,
) -> Result<Option<Running>, SqlError> {
    let mut begun = None;
    sql.transaction(&mut || {
        begun = None;
        if running_in(sql, session)?.is_some() {
            return Ok(());
        }
        let messages = inbox::waiting(sql, session)?;
        if messages.is_empty() {
            return Ok(());
        }
        let before = log::head(sql, session)?;
        sql.run(
            "INSERT INTO turns (id, session, before_sequence, attempts, epoch, stop_asked, started_at_ms)
             VALUES (?, ?, ?, 0, 0, 0, ?)",
            &[turn.as_str().into(), session.as_str().into(), before.into(), now_ms.into()],
        )?;
        inbox::take(sql, session, turn)?;
        let items: Vec<Item> = messages.into_iter().map(Item::User).collect();
        log::push(sql, session, turn, &items, now_ms)?;
        let (turn, session) = (turn.clone(), session.clone());
        begun = Some(Running { turn, session, before });
        Ok(())
    })?;
    Ok(begun)
}

/// Ends a turn on the object's own account, with the reason in the log. Does nothing when the turn
/// has ended already.
pub(crate) fn give_up(
    sql: &dyn Sql,
    running: &Running,
    outcome: &Outcome,
    now_ms: u64,
) -> Result<(), SqlError> {
    sql.transaction(&mut || {
        if !is_running(sql, &running.session, &running.turn)? {
            return Ok(());
        }
        let items = [Item::TurnEnded { outcome: outcome.clone() }];
        log::push(sql, &running.session, &running.turn, &items, now_ms)?;
        end(sql, &running.turn, now_ms)?;
        outbox::put(sql, &running.session, &running.turn, now_ms)
    })
}

/// Marks a turn as ended. The caller holds the transaction that writes its `TurnEnded`.
pub(super) fn end(sql: &dyn Sql, turn: &TurnId, now_ms: u64) -> Result<(), SqlError> {
    sql.run(
        "UPDATE turns SET ended_at_ms = ? WHERE id = ? AND ended_at_ms IS NULL",
        &[now_ms.into(), turn.as_str().into()],
    )?;
    Ok(())
}

/// How often lives of the container have tried a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attempts {
    /// In a row, without getting any further.
    pub(crate) fruitless: u32,
    /// In all.
    pub(crate) lives: u32,
}

/// Notes that the container of `epoch` is asked to run a turn whose log ends at `head`. Asking the
/// same life again (the object was reset) counts once.
pub(crate) fn count_attempt(
    sql: &dyn Sql,
    turn: &TurnId,
    epoch: Epoch,
    head: Sequence,
) -> Result<Attempts, SqlError> {
    let rows = sql.run(
        "UPDATE turns SET
            attempts = CASE WHEN tried_at_head < ?3 THEN 1 ELSE attempts + (epoch <> ?1) END,
            lives = lives + (epoch <> ?1), epoch = ?1, tried_at_head = ?3
         WHERE id = ?2 RETURNING attempts, lives",
        &[epoch.0.into(), turn.as_str().into(), head.into()],
    )?;
    let count = |column| {
        let count = rows.first().map_or(Ok(0), |row| number(row, column))?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    };
    Ok(Attempts { fruitless: count(0)?, lives: count(1)? })
}

/// Notes that the user wants a turn stopped, so that no later life of the container goes on with
/// it.
pub(crate) fn ask_stop(sql: &dyn Sql, turn: &TurnId) -> Result<(), SqlError> {
    sql.run("UPDATE turns SET stop_asked = 1 WHERE id = ?", &[turn.as_str().into()])?;
    Ok(())
}

/// Whether the user wants a turn stopped.
pub(crate) fn stop_asked(sql: &dyn Sql, turn: &TurnId) -> Result<bool, SqlError> {
    let rows =
        sql.run("SELECT 1 FROM turns WHERE id = ? AND stop_asked = 1", &[turn.as_str().into()])?;
    Ok(!rows.is_empty())
}

/// Whether this turn runs in this session.
pub(crate) fn is_running(
    sql: &dyn Sql,
    session: &SessionId,
    turn: &TurnId,
) -> Result<bool, SqlError> {
    let rows = sql.run(
        "SELECT 1 FROM turns WHERE id = ? AND session = ? AND ended_at_ms IS NULL",
        &[turn.as_str().into(), session.as_str().into()],
    )?;
    Ok(!rows.is_empty())
}

const RUNNING: &str = "SELECT id, session, before_sequence FROM turns WHERE ended_at_ms IS NULL";

/// The turn that runs in a session.
pub(crate) fn running_in(sql: &dyn Sql, session: &SessionId) -> Result<Option<Running>, SqlError> {
    let parameters = [Value::from(session.as_str())];
    let rows = sql.run(&format!("{RUNNING} AND session = ?"), &parameters)?;
    rows.first().map(running).transpose()
}

/// All turns that run.
pub(crate) fn running_everywhere(sql: &dyn Sql) -> Result<Vec<Running>, SqlError> {
    sql.run(RUNNING, &[])?.iter().map(running).collect()
}

fn running(row: &Row) -> Result<Running, SqlError> {
    Ok(Running { turn: id(row, 0)?, session: id(row, 1)?, before: number(row, 2)? })
}

/// When the books last saw work: a message, or the end of a turn. `None` for an agent that never
/// had any.
pub(crate) fn last_work_ms(sql: &dyn Sql) -> Result<Option<u64>, SqlError> {
    let rows = sql.run(
        // The newest rows are enough, and neither table is read as a whole.
        "SELECT MAX(at_ms) FROM (
            SELECT * FROM (SELECT received_at_ms AS at_ms FROM inbox
                WHERE turn IS NULL OR turn <> 'command' ORDER BY id DESC LIMIT 1)
            UNION ALL SELECT * FROM (SELECT COALESCE(ended_at_ms, started_at_ms) AS at_ms
                FROM turns ORDER BY rowid DESC LIMIT 16))",
        &[],
    )?;
    extreme(&rows)
}
