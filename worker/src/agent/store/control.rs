//! The control tables as rows with names, out of the books and into empty ones.
//!
//! Invariant: books that hold anything are never filled; they are filled as a whole or not at all.

use protocol::Epoch;
use protocol::session::{Item, Outcome};
use protocol::{AgentId, Problem, ProblemCode, SessionId, TurnId};
use serde_json::{Map, Value as Json};
use sha2::{Digest as _, Sha256};

use super::{identity, lifecycle, log, outbox, segments, turns};
use crate::agent::archive::control::TableRow;
use crate::agent::lifecycle::Lifecycle;
use crate::limits::RESTORE_EPOCHS;
use crate::ports::{Row, Sql, SqlError, Value, extreme, number, text};

/// A table of the export.
struct Table {
    name: &'static str,
    /// Which of its rows; `?1` is the time before which what is done is forgotten.
    only: &'static str,
    /// Columns that are written otherwise than they are.
    shown: &'static [(&'static str, &'static str)],
    /// Whether a change of it is worth another export.
    counts: bool,
}

const fn table(name: &'static str, only: &'static str) -> Table {
    Table { name, only, shown: &[], counts: true }
}

const RUNNING: &str = "ended_at_ms IS NULL";

const TABLES: &[Table] = &[
    table("agent", "1"),
    Table { counts: false, ..table("lifecycle", "1") },
    table("turns", RUNNING),
    Table {
        // What was taken into a turn is in its log; here it keeps its message from being accepted
        // again. A command has its answer here alone.
        shown: &[("text", "CASE WHEN turn IS NULL OR turn = 'command' THEN text ELSE '' END")],
        ..table(
            "inbox",
            "turn IS NULL OR received_at_ms >= ?1
             OR turn IN (SELECT id FROM turns WHERE ended_at_ms IS NULL)",
        )
    },
    table("outbox", "state <> 'sent'"),
    table("jobs", "1"),
    table("job_runs", "due_ms >= ?1"),
    table("segments", "1"),
    table("workspace", "1"),
    // Open calls too: what was set aside for them counts until they lapse.
    Table { counts: false, ..table("calls", "1") },
    Table { counts: false, ..table("usage", "1") },
    Table { counts: false, ..table("chores", "1") },
    Table { counts: false, ..table("egress", "1") },
    table(
        "log",
        "sequence > COALESCE(
            (SELECT MAX(last) FROM segments WHERE segments.session = log.session), 0)",
    ),
];

/// Gives all rows that are to be exported to `each`, with whether a change of the row is worth
/// another export.
pub(crate) fn dump(
    sql: &dyn Sql,
    forgotten_ms: u64,
    each: &mut dyn FnMut(&TableRow, bool) -> Result<(), SqlError>,
) -> Result<(), SqlError> {
    for table in TABLES {
        let columns = columns(sql, table.name)?;
        let shown: Vec<String> = columns.iter().map(|column| shown(table, column)).collect();
        let (name, only) = (table.name, table.only);
        let dated = if only.contains("?1") { vec![Value::from(forgotten_ms)] } else { vec![] };
        let statement =
            format!("SELECT {} FROM {name} WHERE {only} ORDER BY 1, 2", shown.join(", "));
        for row in sql.run(&statement, &dated)? {
            let named = columns.iter().cloned().zip(row.iter().map(to_json)).collect();
            each(&TableRow { table: name.to_owned(), row: named }, table.counts)?;
        }
    }
    Ok(())
}

/// When something last happened that is worth an export; `None` for an agent that never did
/// anything.
pub(crate) fn last_change_ms(sql: &dyn Sql) -> Result<Option<u64>, SqlError> {
    let rows = sql.run(
        // Commands among them, which are no work and change jobs.
        "SELECT MAX(at_ms) FROM (
            SELECT * FROM (SELECT received_at_ms AS at_ms FROM inbox ORDER BY id DESC LIMIT 1)
            UNION ALL SELECT snapshot_at_ms FROM workspace)",
        &[],
    )?;
    Ok(extreme(&rows)?.max(turns::last_work_ms(sql)?))
}

/// About how many bytes of log an export would hold.
pub(crate) fn log_bytes(sql: &dyn Sql) -> Result<u64, SqlError> {
    let mut bytes = 0;
    for session in segments::sessions(sql)? {
        bytes += segments::unsettled(sql, &session)?.1;
    }
    Ok(bytes)
}

fn columns(sql: &dyn Sql, table: &str) -> Result<Vec<String>, SqlError> {
    let rows = sql.run(&format!("PRAGMA table_info({table})"), &[])?;
    rows.iter().map(|row| text(row, 1).map(str::to_owned)).collect()
}

fn shown(table: &Table, column: &str) -> String {
    match table.shown.iter().find(|(name, _)| *name == column) {
        Some((name, expression)) => format!("{expression} AS {name}"),
        None => column.to_owned(),
    }
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Integer(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
    }
}

/// A segment that is newer than the control export, and what it says of the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Adopted {
    /// The segment.
    pub(crate) segment: segments::Segment,
    /// The hash of those of its records that the export has too.
    pub(crate) overlap: [u8; 32],
    /// The last of them; 0 for none.
    pub(crate) overlap_upto: u64,
    /// Messages that are in it: channel, event, turn and time.
    pub(crate) taken: Vec<(String, String, TurnId, u64)>,
    /// Turns that end in it, and when.
    pub(crate) ended: Vec<(TurnId, u64)>,
    /// The turn in which it breaks off.
    pub(crate) open: Option<TurnId>,
}

/// Why the books were not filled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FillError {
    /// They hold something.
    #[error("the agent's books are not empty")]
    NotEmpty,
    /// The export has a table or column that this version does not know.
    #[error("the export has {0}, which this version does not know")]
    Unknown(String),
    /// A column holds what the books cannot.
    #[error("the export has a {0} that is neither a whole number nor text")]
    Value(String),
    /// The books failed.
    #[error(transparent)]
    Sql(#[from] SqlError),
}

/// Whether the books hold nothing that could be lost.
pub(crate) fn is_empty(sql: &dyn Sql) -> Result<bool, SqlError> {
    let rows = sql.run(
        "SELECT EXISTS (SELECT 1 FROM inbox WHERE turn IS NULL OR turn <> 'command')
            + EXISTS (SELECT 1 FROM log)
            + EXISTS (SELECT 1 FROM jobs) + EXISTS (SELECT 1 FROM segments)
            + EXISTS (SELECT 1 FROM turns) + EXISTS (SELECT 1 FROM outbox)",
        &[],
    )?;
    Ok(rows.first().map_or(Ok(0), |row| number(row, 0))? == 0)
}

/// What the books are filled with.
pub(crate) struct Filling<'a> {
    /// The agent.
    pub(crate) agent: &'a AgentId,
    /// The rows of the export, as often as they are asked for.
    pub(crate) rows: &'a dyn Fn() -> Box<dyn Iterator<Item = TableRow> + 'a>,
    /// The segments that are newer, those of a session in order.
    pub(crate) adopted: &'a [Adopted],
    /// The time.
    pub(crate) now_ms: u64,
}

/// Fills empty books. Gives the adopted segments that do not fit them and were left out.
pub(crate) fn fill(
    sql: &dyn Sql,
    filling: &Filling<'_>,
) -> Result<Vec<segments::Segment>, FillError> {
    let mut left_out = Vec::new();
    let mut refused = None;
    let done = sql.transaction(&mut || {
        left_out.clear();
        match fill_now(sql, filling, &mut left_out) {
            Err(FillError::Sql(error)) => Err(error),
            Err(error) => {
                refused = Some(error);
                Err(SqlError::Refused)
            }
            Ok(()) => Ok(()),
        }
    });
    match (refused, done) {
        (Some(error), _) => Err(error),
        (None, done) => done.map(|()| left_out).map_err(FillError::from),
    }
}

fn fill_now(
    sql: &dyn Sql,
    filling: &Filling<'_>,
    left_out: &mut Vec<segments::Segment>,
) -> Result<(), FillError> {
    if !is_empty(sql)? {
        return Err(FillError::NotEmpty);
    }
    let mut known = Vec::with_capacity(TABLES.len());
    for table in TABLES {
        sql.run(&format!("DELETE FROM {}", table.name), &[])?;
        known.push((table.name, columns(sql, table.name)?));
    }
    for row in (filling.rows)() {
        let known = known.iter().find(|(name, _)| *name == row.table);
        let (name, columns) =
            known.ok_or_else(|| FillError::Unknown(format!("the table {}", row.table)))?;
        insert(sql, name, columns, &row.row)?;
    }
    identity::note(sql, filling.agent)?;
    outbox::doubt_all(sql)?;
    adopt_all(sql, filling, left_out)?;
    // No container that knew the former books can be of an epoch to come.
    let (epoch, _) = lifecycle::load(sql)?;
    lifecycle::save(sql, Epoch(epoch.0 + RESTORE_EPOCHS), &Lifecycle::Cold)?;
    Ok(())
}

fn insert(
    sql: &dyn Sql,
    table: &str,
    columns: &[String],
    row: &Map<String, Json>,
) -> Result<(), FillError> {
    let mut values: Row = Vec::with_capacity(row.len());
    for (name, value) in row {
        if !columns.contains(name) {
            return Err(FillError::Unknown(format!("the column {name} of {table}")));
        }
        values.push(match (value, value.as_i64()) {
            (Json::Null, _) => Value::Null,
            (Json::String(text), _) => text.as_str().into(),
            (_, Some(number)) => Value::Integer(number),
            _ => return Err(FillError::Value(format!("{name} of {table}"))),
        });
    }
    let names: Vec<&str> = row.keys().map(String::as_str).collect();
    let marks = vec!["?"; names.len()].join(", ");
    let statement = format!("INSERT INTO {table} ({}) VALUES ({marks})", names.join(", "));
    sql.run(&statement, &values)?;
    Ok(())
}

fn adopt_all(
    sql: &dyn Sql,
    filling: &Filling<'_>,
    left_out: &mut Vec<segments::Segment>,
) -> Result<(), SqlError> {
    for (place, adopted) in filling.adopted.iter().enumerate() {
        let session = &adopted.segment.session;
        // One that was left out leaves the later ones of its session without a beginning.
        let fits = segments::covered(sql, session)? + 1 == adopted.segment.first
            && overlap(sql, adopted)? == adopted.overlap;
        if !fits {
            left_out.push(adopted.segment.clone());
            continue;
        }
        adopt(sql, adopted)?;
        let next = filling.adopted.get(place + 1);
        let is_last = next.is_none_or(|next| next.segment.session != *session);
        if is_last && log::head(sql, session)? == adopted.segment.last {
            close(sql, session, adopted, filling.now_ms)?;
        }
    }
    Ok(())
}

/// The hash of the rows that an adopted segment has too.
fn overlap(sql: &dyn Sql, adopted: &Adopted) -> Result<[u8; 32], SqlError> {
    let segment = &adopted.segment;
    let mut hash = Sha256::new();
    let mut next = segment.first;
    while next <= adopted.overlap_upto {
        let lines = segments::lines(sql, &segment.session, next)?;
        let Some(last) = lines.last().map(|line| line.sequence) else { break };
        for line in lines.iter().filter(|line| line.sequence <= adopted.overlap_upto) {
            hash.update(line.text());
        }
        next = last + 1;
    }
    Ok(hash.finalize().into())
}

fn adopt(sql: &dyn Sql, adopted: &Adopted) -> Result<(), SqlError> {
    let segment = &adopted.segment;
    segments::note(sql, segment)?;
    segments::delete_upto(sql, &segment.session, segment.last)?;
    for (channel, event, turn, at_ms) in &adopted.taken {
        sql.run(
            "INSERT INTO inbox (channel, event, session, text, received_at_ms, turn)
             VALUES (?1, ?2, ?3, '', ?4, ?5)
             ON CONFLICT (channel, event) DO UPDATE SET turn = ?5",
            &[
                channel.as_str().into(),
                event.as_str().into(),
                segment.session.as_str().into(),
                (*at_ms).into(),
                turn.as_str().into(),
            ],
        )?;
    }
    for (turn, at_ms) in &adopted.ended {
        turns::end(sql, turn, *at_ms)?;
    }
    Ok(())
}

/// Ends the turn in which the newest segment of a session breaks off.
fn close(
    sql: &dyn Sql,
    session: &SessionId,
    adopted: &Adopted,
    now_ms: u64,
) -> Result<(), SqlError> {
    let Some(turn) = &adopted.open else { return Ok(()) };
    let problem = Problem::new(
        ProblemCode::Internal,
        "The agent was restored from its bucket, which does not hold the rest of this turn.",
    )
    .remedy("Ask again.");
    let items = [Item::TurnEnded { outcome: Outcome::Failed { problem } }];
    log::push(sql, session, turn, &items, now_ms)?;
    turns::end(sql, turn, now_ms)
}
