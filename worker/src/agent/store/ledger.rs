//! The ledger: model calls under way, and what those before them came to.
//!
//! Invariants: a call is in `calls` from before it is made until it is settled, and in `usage` from
//! then on, never in both and never in neither; every sum of what counts has both.

use dialects::Usage;
use protocol::{SessionId, TurnId};

use crate::agent::ledger::{Reserved, Spent, Standing};
use crate::models::Money;
use crate::ports::{Row, Sql, SqlError, Value, id, number, text};

/// A call to be set aside for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewCall {
    /// The day, in the owner's time zone, as `2026-11-28`.
    pub(crate) day: String,
    /// The running turn.
    pub(crate) turn: TurnId,
    /// Its conversation.
    pub(crate) session: SessionId,
    /// The channel of its first message.
    pub(crate) channel: String,
    /// The provider's name in the settings.
    pub(crate) provider: String,
    /// The model's name there.
    pub(crate) model: String,
    /// What it may take in and give out.
    pub(crate) reserved: Reserved,
    /// What that can cost.
    pub(crate) most: Spent,
}

/// A call under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenCall {
    /// Its number.
    pub(crate) call: u64,
    /// When it was granted.
    pub(crate) at_ms: u64,
    /// The provider's name in the settings.
    pub(crate) provider: String,
    /// The model's name there.
    pub(crate) model: String,
    /// What was set aside.
    pub(crate) reserved: Reserved,
}

/// Where a running turn's calls are booked: its conversation and the channel of its first message.
/// `None` for a turn that does not run.
pub(crate) fn account(
    sql: &dyn Sql,
    turn: &TurnId,
) -> Result<Option<(SessionId, String)>, SqlError> {
    let rows = sql.run(
        "SELECT session, COALESCE(
            (SELECT channel FROM inbox WHERE turn = ?1 ORDER BY id LIMIT 1), '')
         FROM turns WHERE id = ?1 AND ended_at_ms IS NULL",
        &[turn.as_str().into()],
    )?;
    rows.first().map(|row| Ok((id(row, 0)?, text(row, 1)?.to_owned()))).transpose()
}

/// What counts now for a turn, a day and its month (`2026-11`), calls under way included.
pub(crate) fn standing(sql: &dyn Sql, turn: &TurnId, day: &str) -> Result<Standing, SqlError> {
    let rows =
        sql.run("SELECT cost_nano, tokens FROM turns WHERE id = ?", &[turn.as_str().into()])?;
    let turn_settled = rows.first().map_or(Ok(Spent::default()), spent)?;
    Ok(Standing {
        turn: turn_settled.plus(open(sql, "turn = ?1", turn.as_str())?),
        day: of_days(sql, day)?,
        month: of_days(sql, day.get(..7).unwrap_or(day))?,
    })
}

/// What counts for a day, or for a month by the beginning of its days.
pub(crate) fn of_days(sql: &dyn Sql, prefix: &str) -> Result<Spent, SqlError> {
    let rows = sql.run(
        "SELECT COALESCE(SUM(cost_nano), 0), COALESCE(SUM(input_tokens + cache_read_tokens +
            cache_write_tokens + output_tokens), 0)
         FROM usage WHERE day BETWEEN ?1 AND ?1 || '~'",
        &[prefix.into()],
    )?;
    let settled = rows.first().map_or(Ok(Spent::default()), spent)?;
    Ok(settled.plus(open(sql, "day BETWEEN ?1 AND ?1 || '~'", prefix)?))
}

fn open(sql: &dyn Sql, only: &str, parameter: &str) -> Result<Spent, SqlError> {
    let statement = format!(
        "SELECT COALESCE(SUM(most_nano), 0), COALESCE(SUM(input_tokens + output_tokens), 0)
         FROM calls WHERE {only}"
    );
    sql.run(&statement, &[parameter.into()])?.first().map_or(Ok(Spent::default()), spent)
}

fn spent(row: &Row) -> Result<Spent, SqlError> {
    Ok(Spent { money: Money(number(row, 0)?), tokens: number(row, 1)? })
}

/// Sets aside for a call and gives its number.
pub(crate) fn reserve(sql: &dyn Sql, call: &NewCall, now_ms: u64) -> Result<u64, SqlError> {
    let rows = sql.run(
        "INSERT INTO calls (at_ms, day, turn, session, channel, provider, model,
            input_tokens, output_tokens, most_nano)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        &[
            now_ms.into(),
            call.day.as_str().into(),
            call.turn.as_str().into(),
            call.session.as_str().into(),
            call.channel.as_str().into(),
            call.provider.as_str().into(),
            call.model.as_str().into(),
            call.reserved.input_tokens.into(),
            call.reserved.output_tokens.into(),
            call.most.money.0.into(),
        ],
    )?;
    rows.first().map_or(Ok(0), |row| number(row, 0))
}

const OPEN: &str = "SELECT id, at_ms, provider, model, input_tokens, output_tokens FROM calls";

/// The call of this number, if it is under way.
pub(crate) fn open_call(sql: &dyn Sql, call: u64) -> Result<Option<OpenCall>, SqlError> {
    let rows = sql.run(&format!("{OPEN} WHERE id = ?"), &[call.into()])?;
    rows.first().map(open_row).transpose()
}

/// The calls that were granted before this time and are under way still.
pub(crate) fn open_since_before(sql: &dyn Sql, ms: u64) -> Result<Vec<OpenCall>, SqlError> {
    sql.run(&format!("{OPEN} WHERE at_ms < ?"), &[ms.into()])?.iter().map(open_row).collect()
}

fn open_row(row: &Row) -> Result<OpenCall, SqlError> {
    Ok(OpenCall {
        call: number(row, 0)?,
        at_ms: number(row, 1)?,
        provider: text(row, 2)?.to_owned(),
        model: text(row, 3)?.to_owned(),
        reserved: Reserved { input_tokens: number(row, 4)?, output_tokens: number(row, 5)? },
    })
}

/// What a call came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settlement<'a> {
    /// `provider/model` that it is booked under.
    pub(crate) model: &'a str,
    /// Tokens.
    pub(crate) usage: Usage,
    /// Money.
    pub(crate) money: Money,
    /// Whether nobody counted.
    pub(crate) estimated: bool,
}

/// Books what a call came to in place of what was set aside. Does nothing for one that is not under
/// way.
pub(crate) fn settle(
    sql: &dyn Sql,
    call: u64,
    settlement: &Settlement<'_>,
) -> Result<(), SqlError> {
    let Settlement { model, usage, money, estimated } = *settlement;
    sql.transaction(&mut || {
        let rows = sql.run(
            "DELETE FROM calls WHERE id = ? RETURNING day, session, channel, turn",
            &[call.into()],
        )?;
        let Some(row) = rows.first() else { return Ok(()) };
        let (day, session, channel) = (text(row, 0)?, text(row, 1)?, text(row, 2)?);
        sql.run(
            "INSERT INTO usage (day, model, session, channel, calls, estimated, input_tokens,
                output_tokens, cache_read_tokens, cache_write_tokens, cost_nano)
             VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (day, model, session, channel) DO UPDATE SET
                calls = calls + 1, estimated = estimated + ?5,
                input_tokens = input_tokens + ?6, output_tokens = output_tokens + ?7,
                cache_read_tokens = cache_read_tokens + ?8,
                cache_write_tokens = cache_write_tokens + ?9, cost_nano = cost_nano + ?10",
            &[
                day.into(),
                model.into(),
                session.into(),
                channel.into(),
                u64::from(estimated).into(),
                usage.input_tokens.into(),
                usage.output_tokens.into(),
                usage.cache_read_tokens.into(),
                usage.cache_write_tokens.into(),
                money.0.into(),
            ],
        )?;
        let tokens = usage.total_input_tokens().saturating_add(usage.output_tokens);
        sql.run(
            "UPDATE turns SET cost_nano = cost_nano + ?, tokens = tokens + ? WHERE id = ?",
            &[money.0.into(), tokens.into(), text(row, 3)?.into()],
        )?;
        Ok(())
    })
}

/// What usage is listed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// Days, newest first.
    Day,
    /// `provider/model`, dearest first.
    Model,
    /// Conversations, dearest first.
    Session,
    /// Channels, dearest first.
    Channel,
}

/// A line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The day, model, conversation or channel.
    pub(crate) name: String,
    /// Calls.
    pub(crate) calls: u64,
    /// Those of them that nobody counted.
    pub(crate) estimated: u64,
    /// Tokens.
    pub(crate) usage: Usage,
    /// Money.
    pub(crate) money: Money,
}

/// The settled usage from a day on, at most `lines_max` lines.
pub(crate) fn usage(
    sql: &dyn Sql,
    by: By,
    from_day: &str,
    lines_max: u64,
) -> Result<Vec<Line>, SqlError> {
    let (column, order) = match by {
        By::Day => ("day", "day DESC"),
        By::Model => ("model", "SUM(cost_nano) DESC, model"),
        By::Session => ("session", "SUM(cost_nano) DESC, session"),
        By::Channel => ("channel", "SUM(cost_nano) DESC, channel"),
    };
    let statement = format!(
        "SELECT {column}, SUM(calls), SUM(estimated), SUM(input_tokens), SUM(output_tokens),
            SUM(cache_read_tokens), SUM(cache_write_tokens), SUM(cost_nano)
         FROM usage WHERE day >= ? GROUP BY {column} ORDER BY {order} LIMIT ?"
    );
    let rows = sql.run(&statement, &[from_day.into(), lines_max.into()])?;
    rows.iter().map(usage_line).collect()
}

fn usage_line(row: &Row) -> Result<Line, SqlError> {
    Ok(Line {
        name: text(row, 0)?.to_owned(),
        calls: number(row, 1)?,
        estimated: number(row, 2)?,
        usage: Usage {
            input_tokens: number(row, 3)?,
            output_tokens: number(row, 4)?,
            cache_read_tokens: number(row, 5)?,
            cache_write_tokens: number(row, 6)?,
        },
        money: Money(number(row, 7)?),
    })
}

/// Forgets what was used before a day.
pub(crate) fn forget_before(sql: &dyn Sql, day: &str) -> Result<(), SqlError> {
    sql.run("DELETE FROM usage WHERE day < ?", &[Value::from(day)]).map(|_| ())
}
