//! The object's own tables, read from its database after the stack has ended.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags};

use super::books::Findings;

const UNSENT: &str = "SELECT key || ' is ' || state FROM outbox WHERE state <> 'sent'";

/// Questions whose answer must be empty: what a row that comes back means, and the question.
const MUST_BE_EMPTY: &[(&str, &str)] = &[
    ("a turn has no end", "SELECT id FROM turns WHERE ended_at_ms IS NULL"),
    ("a message waits for ever", "SELECT channel || '/' || event FROM inbox WHERE turn IS NULL"),
    (
        "a message belongs to no turn",
        "SELECT event FROM inbox WHERE turn NOT IN (SELECT id FROM turns)",
    ),
    ("an answer has not arrived", UNSENT),
    (
        "a log has a gap",
        "SELECT session || ' ' || MIN(sequence) || ' to ' || MAX(sequence) FROM log
         GROUP BY session HAVING COUNT(*) <> MAX(sequence) - MIN(sequence) + 1",
    ),
    (
        "the database is not sound",
        "SELECT * FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
    ),
];

/// What the tables say.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// What is wrong with them.
    pub(super) findings: Findings,
    /// The answers that went out, by their keys: chat, and place in the order of that chat.
    pub(super) outgoing: BTreeMap<String, (String, i64)>,
}

/// Reads the database below `state`.
pub(super) fn read(state: &Path) -> Result<Tables> {
    with_books(state, look)
}

/// Whether every answer has arrived. While the stack runs, a copy may be torn and not readable.
pub(super) fn is_all_sent(state: &Path) -> Result<bool> {
    with_books(state, |books| Ok(column(books, UNSENT)?.is_empty()))
}

/// How often the workspace was saved since its repository was tidied.
pub(super) fn saves(state: &Path) -> Result<u64> {
    with_books(state, |books| {
        let saves: i64 = books.query_row("SELECT saves FROM workspace", [], |row| row.get(0))?;
        Ok(u64::try_from(saves)?)
    })
}

/// Works on a copy, so that what is kept for a person stays as it was found.
fn with_books<T>(state: &Path, look: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    let copies = tempfile::TempDir::with_prefix("pagurus-books-")?;
    let mut found = None;
    for (number, file) in databases(state)?.into_iter().enumerate() {
        let copy = copies.path().join(format!("{number}.sqlite"));
        for end in ["", "-wal"] {
            let from = with_end(&file, end);
            if from.exists() {
                std::fs::copy(&from, with_end(&copy, end)).context("copying a database")?;
            }
        }
        let books = Connection::open_with_flags(&copy, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .with_context(|| format!("opening {}", file.display()))?;
        if !column(&books, "SELECT name FROM sqlite_master WHERE name = 'inbox'")?.is_empty() {
            found = Some(books);
        }
    }
    let books = found.with_context(|| format!("no books below {}", state.display()))?;
    look(&books)
}

fn look(books: &Connection) -> Result<Tables> {
    let mut tables = Tables::default();
    for (what, question) in MUST_BE_EMPTY {
        for row in column(books, question)? {
            tables.findings.broken.push(format!("books: {what}: {row}"));
        }
    }
    let mut outbox = books.prepare("SELECT key, channel || '/' || chat, id FROM outbox")?;
    let rows = outbox.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
    for row in rows {
        let (key, place) = row?;
        tables.outgoing.insert(key, place);
    }
    Ok(tables)
}

fn column(books: &Connection, question: &str) -> Result<Vec<String>> {
    let mut statement = books.prepare(question).with_context(|| question.to_owned())?;
    let rows = statement.query_map([], |row| row.get(0))?;
    rows.collect::<Result<_, _>>().with_context(|| question.to_owned())
}

fn databases(state: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![state.join("wrangler/v3/do")];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder);
        for entry in entries.with_context(|| format!("listing {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "sqlite") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn with_end(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}
