//! The outbox: what is to be sent, in order per chat, each row with its idempotency key.

use protocol::session::{AssistantMessage, Block, Item, Outcome, Stop};
use protocol::{SessionId, TurnId};

use super::super::outbox::Next;
use super::jobs;
use crate::ports::{Row, Sql, SqlError, extreme, number, text};

/// One message that goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// Its number; lower ones go first.
    pub(crate) id: u64,
    /// The same for every try.
    pub(crate) key: String,
    /// The channel.
    pub(crate) channel: String,
    /// The conversation in the channel.
    pub(crate) chat: String,
    /// The conversation here.
    pub(crate) session: String,
    /// The turn.
    pub(crate) turn: String,
    /// The text, Markdown.
    pub(crate) text: String,
    /// Whether an earlier try may have arrived.
    pub(crate) uncertain: bool,
    /// Tries so far.
    pub(crate) attempts: u64,
    /// When it was written.
    pub(crate) created_at_ms: u64,
}

/// An answer that need not be delivered: nothing needs the person.
pub(crate) const NOTHING_TO_SAY: &str = "HEARTBEAT_OK";

const COLUMNS: &str =
    "id, key, channel, chat, session, turn, text, uncertain, attempts, created_at_ms";

/// Writes the answer of a turn that ends, one row for each chat that it goes to. The caller holds
/// the transaction that writes its `TurnEnded`.
pub(super) fn put(
    sql: &dyn Sql,
    session: &SessionId,
    turn: &TurnId,
    now_ms: u64,
) -> Result<(), SqlError> {
    let targets = sql.run(
        "SELECT DISTINCT COALESCE(reply_channel, channel),
                COALESCE(reply_chat, NULLIF(chat, ''), session)
         FROM inbox WHERE turn = ?",
        &[turn.as_str().into()],
    )?;
    if targets.is_empty() {
        return Ok(());
    }
    let Answer { text: said, remarks, problem } = answer(sql, session, turn)?;
    let mut answer = [said.clone(), remarks].join("\n\n").trim_end().to_owned();
    let ended = jobs::ended(sql, turn, problem.as_deref(), now_ms)?;
    for job in &ended.paused {
        let note = format!(
            "\n\nThe job `{job}` has failed too often and is paused. `/schedule resume {job}` lets \
             it run again."
        );
        answer.push_str(&note);
    }
    if is_scheduled(sql, turn)? {
        // Nothing that needs the person, or a failure that they know of already.
        let is_quiet =
            said.trim() == NOTHING_TO_SAY && ended.paused.is_empty() && problem.is_none();
        if is_quiet || (problem.is_some() && !ended.is_news) {
            return Ok(());
        }
    }
    for target in &targets {
        let (channel, chat) = (text(target, 0)?, text(target, 1)?);
        if channel == super::inbox::NOWHERE {
            continue;
        }
        let key = format!("{turn}/{channel}/{chat}/1");
        sql.run(
            "INSERT INTO outbox (key, channel, chat, session, turn, text, state, uncertain,
                attempts, created_at_ms, next_try_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'waiting', 0, 0, ?7, ?7)
             ON CONFLICT (key) DO NOTHING",
            &[
                key.into(),
                channel.into(),
                chat.into(),
                session.as_str().into(),
                turn.as_str().into(),
                answer.as_str().into(),
                now_ms.into(),
            ],
        )?;
    }
    Ok(())
}

/// Whether everything that a turn was asked came from the schedule.
fn is_scheduled(sql: &dyn Sql, turn: &TurnId) -> Result<bool, SqlError> {
    let others = sql.run(
        "SELECT 1 FROM inbox WHERE turn = ? AND channel <> ? LIMIT 1",
        &[turn.as_str().into(), jobs::CHANNEL.into()],
    )?;
    Ok(others.is_empty())
}

/// What a turn says to the person.
#[derive(Debug)]
struct Answer {
    /// What the model said last before each message that joined and before the end, and how the
    /// turn ended where it did not end well.
    text: String,
    /// What the person must know of the last answer, besides its words; often nothing.
    remarks: String,
    /// Why it failed.
    problem: Option<String>,
}

fn answer(sql: &dyn Sql, session: &SessionId, turn: &TurnId) -> Result<Answer, SqlError> {
    let rows = sql.run(
        "SELECT item FROM log WHERE session = ? AND turn = ? ORDER BY sequence",
        &[session.as_str().into(), turn.as_str().into()],
    )?;
    let (mut parts, mut outcome) = (Vec::new(), Outcome::Completed);
    // What the model said last, and whether it had nothing more to do then.
    let (mut said, mut is_over) = (String::new(), false);
    let mut remarks = String::new();
    for row in &rows {
        let item: Item = serde_json::from_str(text(row, 0)?)
            .map_err(|source| SqlError::Stored { what: "log item", source })?;
        match item {
            Item::Assistant(message) => {
                is_over = message.stop != Stop::ToolUse;
                remarks = remarks_on(&message);
                let new = texts(&message.blocks);
                if !new.is_empty() {
                    said = new;
                }
            }
            // A message that joined after an answer: that answer is not the turn's last word.
            Item::User(_) if is_over => {
                parts.push(std::mem::take(&mut said));
                is_over = false;
            }
            Item::TurnEnded { outcome: how } => outcome = how,
            _ => {}
        }
    }
    parts.push(said);
    let problem = match outcome {
        Outcome::Failed { problem } => {
            parts.push(problem.to_string());
            Some(problem.message)
        }
        Outcome::Cancelled => {
            parts.push("Stopped.".to_owned());
            None
        }
        Outcome::Completed => None,
    };
    parts.retain(|part| !part.is_empty());
    Ok(Answer { text: parts.join("\n\n"), remarks, problem })
}

/// That the answer was cut, and that another model than the chosen one gave it.
fn remarks_on(message: &AssistantMessage) -> String {
    let cut = (message.stop == Stop::MaxTokens)
        .then(|| "(Cut at the output limit; say \"go on\".)".to_owned());
    let instead = message
        .instead_of
        .as_ref()
        .map(|absent| format!("(Answered by {}; {absent} did not answer.)", message.model));
    [cut, instead].into_iter().flatten().collect::<Vec<_>>().join("\n")
}

fn texts(blocks: &[Block]) -> String {
    let texts = blocks.iter().filter_map(|block| match block {
        Block::Text { text } if !text.trim().is_empty() => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n\n")
}

fn outgoing(row: &Row) -> Result<Outgoing, SqlError> {
    let own = |column| text(row, column).map(str::to_owned);
    Ok(Outgoing {
        id: number(row, 0)?,
        key: own(1)?,
        channel: own(2)?,
        chat: own(3)?,
        session: own(4)?,
        turn: own(5)?,
        text: own(6)?,
        uncertain: number(row, 7)? == 1,
        attempts: number(row, 8)?,
        created_at_ms: number(row, 9)?,
    })
}

/// The first of each chat's rows outside the channel `?1`.
const FIRST: &str = "id IN (
    SELECT MIN(id) FROM outbox WHERE state IN ('waiting', 'sending') AND channel <> ?1
    GROUP BY channel, chat)";

/// When a row is due, at the time `?2`: at once if it was written, or tried, at a time that is yet to
/// come, for then the clock ran ahead.
const DUE_MS: &str = "CASE WHEN state = 'waiting' AND COALESCE(tried_at_ms, created_at_ms) > ?2
    THEN 0 ELSE next_try_ms END";

/// The rows that are first in their chats and due, outside the channel `but`.
pub(crate) fn due(sql: &dyn Sql, but: &str, now_ms: u64) -> Result<Vec<Outgoing>, SqlError> {
    let statement = format!(
        "SELECT {COLUMNS} FROM outbox WHERE state = 'waiting' AND {DUE_MS} <= ?2 AND {FIRST}
         ORDER BY id"
    );
    sql.run(&statement, &[but.into(), now_ms.into()])?.iter().map(outgoing).collect()
}

/// When the next row outside the channel `but` is due. One that is being sent is due when its try
/// must be over, so that somebody looks at it even if this object ends in the middle.
pub(crate) fn next_due_ms(sql: &dyn Sql, but: &str, now_ms: u64) -> Result<Option<u64>, SqlError> {
    let statement = format!("SELECT MIN({DUE_MS}) FROM outbox WHERE {FIRST}");
    let rows = sql.run(&statement, &[but.into(), now_ms.into()])?;
    extreme(&rows)
}

/// When the first of the tries in progress must be over.
pub(crate) fn try_over_ms(sql: &dyn Sql) -> Result<Option<u64>, SqlError> {
    extreme(&sql.run("SELECT MIN(next_try_ms) FROM outbox WHERE state = 'sending'", &[])?)
}

/// What waits for a page of this session.
pub(crate) fn open(
    sql: &dyn Sql,
    channel: &str,
    session: &SessionId,
) -> Result<Vec<Outgoing>, SqlError> {
    let statement = format!(
        "SELECT {COLUMNS} FROM outbox
         WHERE channel = ? AND session = ? AND state = 'waiting' ORDER BY id"
    );
    sql.run(&statement, &[channel.into(), session.as_str().into()])?.iter().map(outgoing).collect()
}

/// A try begins, which is over at `over_ms`. From here on nobody knows whether it arrives until
/// somebody says so.
pub(crate) fn begin(sql: &dyn Sql, id: u64, over_ms: u64) -> Result<(), SqlError> {
    sql.run(
        "UPDATE outbox SET state = 'sending', attempts = attempts + 1, next_try_ms = ?
         WHERE id = ?",
        &[over_ms.into(), id.into()],
    )?;
    Ok(())
}

/// A try is over.
pub(crate) fn settle(sql: &dyn Sql, id: u64, next: &Next, now_ms: u64) -> Result<(), SqlError> {
    match next {
        Next::Sent => sql.run(
            "UPDATE outbox SET state = 'sent', sent_at_ms = ? WHERE id = ?",
            &[now_ms.into(), id.into()],
        ),
        Next::Retry { at_ms, uncertain, why } => sql.run(
            "UPDATE outbox SET state = 'waiting', next_try_ms = ?, problem = ?,
                uncertain = MAX(uncertain, ?), tried_at_ms = ? WHERE id = ?",
            &[
                (*at_ms).into(),
                why.as_str().into(),
                u64::from(*uncertain).into(),
                now_ms.into(),
                id.into(),
            ],
        ),
        Next::Park { why } => sql.run(
            "UPDATE outbox SET state = 'parked', problem = ? WHERE id = ?",
            &[why.as_str().into(), id.into()],
        ),
    }
    .map(|_| ())
}

/// A page has what this key names.
pub(crate) fn received(sql: &dyn Sql, key: &str, now_ms: u64) -> Result<(), SqlError> {
    sql.run(
        "UPDATE outbox SET state = 'sent', sent_at_ms = ? WHERE key = ? AND state <> 'sent'",
        &[now_ms.into(), key.into()],
    )?;
    Ok(())
}

/// At an object's start: what was being sent when the former one ended may have arrived.
pub(crate) fn recover(sql: &dyn Sql) -> Result<(), SqlError> {
    sql.run(
        "UPDATE outbox SET state = 'waiting', uncertain = 1, next_try_ms = 0,
            problem = 'the try was cut off' WHERE state = 'sending'",
        &[],
    )?;
    Ok(())
}

/// After a restore nobody knows what was sent since the export. The caller holds the transaction.
pub(super) fn doubt_all(sql: &dyn Sql) -> Result<(), SqlError> {
    sql.run(
        "UPDATE outbox SET state = 'waiting', uncertain = 1 WHERE state IN ('waiting', 'sending')",
        &[],
    )?;
    Ok(())
}

/// How many rows are set aside for the owner.
pub(crate) fn parked(sql: &dyn Sql) -> Result<u64, SqlError> {
    let rows = sql.run("SELECT COUNT(*) FROM outbox WHERE state = 'parked'", &[])?;
    rows.first().map_or(Ok(0), |row| number(row, 0))
}

/// Forgets what was sent long ago, and pages' rows that nobody has come for: the log has them.
pub(crate) fn forget(sql: &dyn Sql, channel: &str, before_ms: u64) -> Result<(), SqlError> {
    sql.run(
        "DELETE FROM outbox WHERE created_at_ms < ?1
         AND (state = 'sent' OR (channel = ?2 AND state = 'waiting'))",
        &[before_ms.into(), channel.into()],
    )?;
    Ok(())
}
