//! The inbox: what people wrote, accepted once, waiting for its turn.

use protocol::SessionId;
use protocol::session::UserMessage;

use crate::limits::WAITING_MESSAGES_MAX;
use crate::ports::{Sql, SqlError, Value, id, number, text};

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// It is in the books now.
    New,
    /// It was already; nothing changed.
    Before,
    /// The session holds as many waiting messages as it may; nothing changed.
    Full,
}

/// The channel to which no answer is sent.
pub(crate) const NOWHERE: &str = "nowhere";

/// Where a message came from, and where its answer goes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Origin<'a> {
    /// The conversation in the channel; empty for one that is the session itself.
    pub(crate) chat: &'a str,
    /// Who wrote, as the channel names them.
    pub(crate) sender: &'a str,
    /// The channel and chat that the answer goes to; `None` for those the message came from.
    pub(crate) reply: Option<(&'a str, &'a str)>,
}

/// Takes a message once per (channel, event).
pub(crate) fn accept(
    sql: &dyn Sql,
    session: &SessionId,
    message: &UserMessage,
    origin: Origin<'_>,
    now_ms: u64,
) -> Result<Accepted, SqlError> {
    let mut result = Accepted::Before;
    sql.transaction(&mut || {
        result = accept_in_transaction(sql, session, message, origin, now_ms)?;
        Ok(())
    })?;
    Ok(result)
}

/// The same, in a transaction that the caller holds.
pub(super) fn accept_in_transaction(
    sql: &dyn Sql,
    session: &SessionId,
    message: &UserMessage,
    origin: Origin<'_>,
    now_ms: u64,
) -> Result<Accepted, SqlError> {
    let key = [Value::from(message.channel.as_str()), Value::from(message.event.as_str())];
    if !sql.run("SELECT 1 FROM inbox WHERE channel = ? AND event = ?", &key)?.is_empty() {
        return Ok(Accepted::Before);
    }
    let rows = sql.run(
        "SELECT COUNT(*) FROM inbox WHERE session = ? AND turn IS NULL",
        &[session.as_str().into()],
    )?;
    if rows.first().map_or(Ok(0), |row| number(row, 0))? >= WAITING_MESSAGES_MAX {
        return Ok(Accepted::Full);
    }
    let reply = |part: Option<&str>| part.map_or(Value::Null, Value::from);
    sql.run(
        "INSERT INTO inbox (channel, event, session, text, received_at_ms, chat, sender,
            reply_channel, reply_chat) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        &[
            message.channel.as_str().into(),
            message.event.as_str().into(),
            session.as_str().into(),
            message.text.as_str().into(),
            now_ms.into(),
            origin.chat.into(),
            origin.sender.into(),
            reply(origin.reply.map(|(channel, _)| channel)),
            reply(origin.reply.map(|(_, chat)| chat)),
        ],
    )?;
    Ok(Accepted::New)
}

/// The messages of a session that wait for their turn, in order.
pub(crate) fn waiting(sql: &dyn Sql, session: &SessionId) -> Result<Vec<UserMessage>, SqlError> {
    Ok(waiting_after(sql, session, 0)?.into_iter().map(|(_, message)| message).collect())
}

/// Those of them that came after a number, each with its own.
pub(crate) fn waiting_after(
    sql: &dyn Sql,
    session: &SessionId,
    after: u64,
) -> Result<Vec<(u64, UserMessage)>, SqlError> {
    let rows = sql.run(
        "SELECT id, channel, event, text FROM inbox
         WHERE session = ? AND turn IS NULL AND id > ? ORDER BY id",
        &[session.as_str().into(), after.into()],
    )?;
    rows.iter()
        .map(|row| {
            let message = UserMessage {
                channel: text(row, 1)?.to_owned(),
                event: text(row, 2)?.to_owned(),
                text: text(row, 3)?.to_owned(),
            };
            Ok((number(row, 0)?, message))
        })
        .collect()
}

/// The sessions in which something waits and no turn runs.
pub(crate) fn sessions_to_run(sql: &dyn Sql) -> Result<Vec<SessionId>, SqlError> {
    let rows = sql.run(
        "SELECT DISTINCT session FROM inbox WHERE turn IS NULL
         AND session NOT IN (SELECT session FROM turns WHERE ended_at_ms IS NULL)",
        &[],
    )?;
    rows.iter().map(|row| id(row, 0)).collect()
}

/// The messages of a session that wait become part of a turn. The caller holds the transaction.
pub(super) fn take(
    sql: &dyn Sql,
    session: &SessionId,
    turn: &protocol::TurnId,
) -> Result<(), SqlError> {
    sql.run(
        "UPDATE inbox SET turn = ? WHERE session = ? AND turn IS NULL",
        &[turn.as_str().into(), session.as_str().into()],
    )?;
    Ok(())
}

/// One message that waits becomes part of a running turn; false when it does not wait in this
/// session. The caller holds the transaction.
pub(super) fn take_one(
    sql: &dyn Sql,
    session: &SessionId,
    message: &UserMessage,
    turn: &protocol::TurnId,
) -> Result<bool, SqlError> {
    let taken = sql.run(
        "UPDATE inbox SET turn = ?
         WHERE session = ? AND channel = ? AND event = ? AND turn IS NULL RETURNING id",
        &[
            turn.as_str().into(),
            session.as_str().into(),
            message.channel.as_str().into(),
            message.event.as_str().into(),
        ],
    )?;
    Ok(!taken.is_empty())
}

/// The turn under which commands stand: no turn has this name.
const COMMAND: &str = "command";

/// Notes a command and its answer, so that it is not done again.
pub(crate) fn note_command(
    sql: &dyn Sql,
    session: &SessionId,
    message: &UserMessage,
    answer: &str,
    now_ms: u64,
) -> Result<(), SqlError> {
    sql.run(
        "INSERT INTO inbox (channel, event, session, text, received_at_ms, turn)
         VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (channel, event) DO NOTHING",
        &[
            message.channel.as_str().into(),
            message.event.as_str().into(),
            session.as_str().into(),
            answer.into(),
            now_ms.into(),
            COMMAND.into(),
        ],
    )?;
    Ok(())
}

/// The answer to a command that was done before.
pub(crate) fn command_answer(
    sql: &dyn Sql,
    message: &UserMessage,
) -> Result<Option<String>, SqlError> {
    let rows = sql.run(
        "SELECT text FROM inbox WHERE channel = ? AND event = ? AND turn = ?",
        &[message.channel.as_str().into(), message.event.as_str().into(), COMMAND.into()],
    )?;
    rows.first().map(|row| text(row, 0).map(str::to_owned)).transpose()
}
