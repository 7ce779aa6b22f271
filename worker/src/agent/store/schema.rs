//! The object's tables, as numbered steps that only ever grow.
//!
//! Invariant: a step that has been released is never edited; a change is a new step. All steps that
//! an object lacks run in one transaction when it wakes, before anything else touches the tables.

use crate::ports::{Sql, SqlError, Value, number};

/// The steps, in order; the version of a database is how many it has had.
const STEPS: &[&[&str]] = &[BOOKS, NOTHING_IS_LOST, MONEY, EGRESS];

const BOOKS: &[&str] = &[
    // Which agent this is: an object is not told the name it was looked up by.
    "CREATE TABLE agent (id INTEGER PRIMARY KEY CHECK (id = 1), name TEXT NOT NULL)",
    // The one container of the agent. `state` is the JSON of `lifecycle::Lifecycle`.
    "CREATE TABLE lifecycle (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        epoch INTEGER NOT NULL,
        state TEXT NOT NULL)",
    // What people wrote. `turn` is NULL while the message waits.
    "CREATE TABLE inbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        channel TEXT NOT NULL,
        event TEXT NOT NULL,
        session TEXT NOT NULL,
        text TEXT NOT NULL,
        received_at_ms INTEGER NOT NULL,
        turn TEXT,
        UNIQUE (channel, event))",
    "CREATE INDEX inbox_waiting ON inbox (session, id) WHERE turn IS NULL",
    // Runs of the loop. `ended_at_ms` is NULL while one runs; a session has one at a time.
    // `attempts` counts the lives of the container that tried it, `epoch` is the last of them;
    // `stop_asked` is 1 once the user wants it stopped.
    "CREATE TABLE turns (
        id TEXT PRIMARY KEY,
        session TEXT NOT NULL,
        before_sequence INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        stop_asked INTEGER NOT NULL,
        started_at_ms INTEGER NOT NULL,
        ended_at_ms INTEGER)",
    "CREATE UNIQUE INDEX turns_running ON turns (session) WHERE ended_at_ms IS NULL",
    // The session logs: append-only, numbered from 1 without gaps.
    "CREATE TABLE log (
        session TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        turn TEXT NOT NULL,
        item TEXT NOT NULL,
        PRIMARY KEY (session, sequence)) WITHOUT ROWID",
];

const NOTHING_IS_LOST: &[&str] = &[
    // Where the answer goes; NULL for the channel that brought the message and `chat` there.
    "ALTER TABLE inbox ADD COLUMN chat TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE inbox ADD COLUMN sender TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX inbox_turn ON inbox (turn) WHERE turn IS NOT NULL",
    "ALTER TABLE inbox ADD COLUMN reply_channel TEXT",
    "ALTER TABLE inbox ADD COLUMN reply_chat TEXT",
    // What goes out: one row per part of a message, in order per (channel, chat). `state` is
    // `waiting`, `sending`, `sent` or `parked`; `uncertain` is 1 once a try ended without an answer.
    "CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        channel TEXT NOT NULL,
        chat TEXT NOT NULL,
        session TEXT NOT NULL,
        turn TEXT,
        text TEXT NOT NULL,
        state TEXT NOT NULL,
        uncertain INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        created_at_ms INTEGER NOT NULL,
        next_try_ms INTEGER NOT NULL,
        tried_at_ms INTEGER,
        sent_at_ms INTEGER,
        problem TEXT)",
    "CREATE INDEX outbox_open ON outbox (channel, chat, id) WHERE state IN ('waiting', 'sending')",
    // What is to be done at a time. `schedule` is the JSON of `schedule::Schedule`; `next_ms` is
    // NULL when nothing more is due.
    "CREATE TABLE jobs (
        id TEXT PRIMARY KEY,
        schedule TEXT NOT NULL,
        prompt TEXT NOT NULL,
        session TEXT NOT NULL,
        channel TEXT NOT NULL,
        chat TEXT NOT NULL,
        missed TEXT NOT NULL,
        enabled INTEGER NOT NULL,
        next_ms INTEGER,
        failures INTEGER NOT NULL,
        created_at_ms INTEGER NOT NULL)",
    "CREATE TABLE job_runs (
        job TEXT NOT NULL,
        due_ms INTEGER NOT NULL,
        started_at_ms INTEGER NOT NULL,
        turn TEXT,
        ended_at_ms INTEGER,
        result TEXT,
        PRIMARY KEY (job, due_ms)) WITHOUT ROWID",
    // Parts of session logs that are in R2. A session's are contiguous from record 1; `log` still
    // has the newest of their records, and all behind them.
    "CREATE TABLE segments (
        session TEXT NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        PRIMARY KEY (session, first)) WITHOUT ROWID",
    // The workspace's repository in R2. `saves` are those since it was tidied.
    "CREATE TABLE workspace (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        password TEXT NOT NULL,
        master_key TEXT,
        snapshot TEXT,
        snapshot_at_ms INTEGER,
        saves INTEGER NOT NULL DEFAULT 0,
        start_empty INTEGER NOT NULL)",
    // What is done from time to time, and when it was last done. `note` is the chore's own.
    "CREATE TABLE chores (
        name TEXT PRIMARY KEY,
        done_at_ms INTEGER NOT NULL,
        failures INTEGER NOT NULL,
        note TEXT NOT NULL DEFAULT '')",
    // The log's head when a life of the container was last asked to run the turn.
    "ALTER TABLE turns ADD COLUMN tried_at_head INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE turns ADD COLUMN lives INTEGER NOT NULL DEFAULT 0",
    // Why the container last ended badly: the JSON of `protocol::edge::LastWords`.
    "ALTER TABLE lifecycle ADD COLUMN last_words TEXT",
];

const MONEY: &[&str] = &[
    // Model calls under way, with what is set aside for them. `day` is the owner's.
    "CREATE TABLE calls (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at_ms INTEGER NOT NULL,
        day TEXT NOT NULL,
        turn TEXT NOT NULL,
        session TEXT NOT NULL,
        channel TEXT NOT NULL,
        provider TEXT NOT NULL,
        model TEXT NOT NULL,
        input_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL,
        most_nano INTEGER NOT NULL)",
    // What calls came to. `model` is `provider/model`; `estimated` counts the calls that nobody
    // counted; money is in billionths of a dollar.
    "CREATE TABLE usage (
        day TEXT NOT NULL,
        model TEXT NOT NULL,
        session TEXT NOT NULL,
        channel TEXT NOT NULL,
        calls INTEGER NOT NULL,
        estimated INTEGER NOT NULL,
        input_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL,
        cache_read_tokens INTEGER NOT NULL,
        cache_write_tokens INTEGER NOT NULL,
        cost_nano INTEGER NOT NULL,
        PRIMARY KEY (day, model, session, channel)) WITHOUT ROWID",
    // What the turn's settled calls came to.
    "ALTER TABLE turns ADD COLUMN cost_nano INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE turns ADD COLUMN tokens INTEGER NOT NULL DEFAULT 0",
];

const EGRESS: &[&str] = &[
    // What left for the internet, by day (UTC). `via` is the way, `status` that of the newest answer,
    // 0 for none.
    "CREATE TABLE egress (
        day TEXT NOT NULL,
        host TEXT NOT NULL,
        via TEXT NOT NULL,
        calls INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        status INTEGER NOT NULL,
        last_at_ms INTEGER NOT NULL,
        PRIMARY KEY (day, host, via)) WITHOUT ROWID",
];

/// When the database was made.
pub(crate) fn born_ms(sql: &dyn Sql) -> Result<u64, SqlError> {
    let rows = sql.run("SELECT COALESCE(MIN(applied_at_ms), 0) FROM migrations", &[])?;
    rows.first().map_or(Ok(0), |row| number(row, 0))
}

/// Brings the database to the newest version. Safe to call at every wake.
pub(crate) fn migrate(sql: &dyn Sql, now_ms: u64) -> Result<(), SqlError> {
    sql.transaction(&mut || {
        sql.run(
            "CREATE TABLE IF NOT EXISTS migrations (
                version INTEGER PRIMARY KEY,
                applied_at_ms INTEGER NOT NULL)",
            &[],
        )?;
        let rows = sql.run("SELECT COALESCE(MAX(version), 0) FROM migrations", &[])?;
        let have = rows.first().map_or(Ok(0), |row| number(row, 0))?;
        let lacking = STEPS.iter().zip(1u64..).filter(|(_, version)| *version > have);
        for (statements, version) in lacking {
            for statement in *statements {
                sql.run(statement, &[])?;
            }
            let applied = [Value::from(version), Value::from(now_ms)];
            sql.run("INSERT INTO migrations (version, applied_at_ms) VALUES (?, ?)", &applied)?;
        }
        Ok(())
    })
}
