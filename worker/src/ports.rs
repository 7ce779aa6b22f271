//! The ports through which decisions reach storage; `platform/` implements them for the Workers
//! SDK, tests implement them over a plain SQLite.

use std::fmt;

/// A value of a SQL column or parameter. Integers stay below 2^53 since JavaScript carries them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// SQL NULL.
    Null,
    /// An integer.
    Integer(i64),
    /// Text.
    Text(String),
}

/// A row, by position.
pub(crate) type Row = Vec<Value>;

/// Why a statement failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SqlError {
    /// The engine refused or failed.
    #[error("the agent's database failed: {0}")]
    Engine(String),
    /// The statements' author took them back; the caller knows why.
    #[error("the transaction was taken back")]
    Refused,
    /// A row is not of the shape that the query promises.
    #[error("column {column} of a row is not {wanted}")]
    Shape {
        /// Position.
        column: usize,
        /// What it should be.
        wanted: &'static str,
    },
    /// A session's log lacks a record.
    #[error("the log of session {session} lacks record {sequence}")]
    Gap {
        /// The session.
        session: String,
        /// The record.
        sequence: u64,
    },
    /// A stored JSON text does not read.
    #[error("a stored {what} does not read")]
    Stored {
        /// What the text should be.
        what: &'static str,
        /// Why it does not.
        #[source]
        source: serde_json::Error,
    },
}

/// A SQLite database, synchronous as the object's is.
pub(crate) trait Sql {
    /// Runs one statement and returns its rows.
    fn run(&self, statement: &str, parameters: &[Value]) -> Result<Vec<Row>, SqlError>;

    /// Runs `body` so that all of its statements take effect or none.
    fn transaction(&self, body: &mut dyn FnMut() -> Result<(), SqlError>) -> Result<(), SqlError>;
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    /// Numbers beyond `i64` cannot occur: sequences, epochs and milliseconds are far below 2^53.
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Integer(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Column `column` as a number that is never negative.
pub(crate) fn number(row: &Row, column: usize) -> Result<u64, SqlError> {
    match row.get(column) {
        Some(Value::Integer(number)) if *number >= 0 => Ok(number.unsigned_abs()),
        _ => Err(SqlError::Shape { column, wanted: "a whole number" }),
    }
}

/// The one number of a query for a smallest or greatest; nothing when it looked at no row.
pub(crate) fn extreme(rows: &[Row]) -> Result<Option<u64>, SqlError> {
    match rows.first() {
        Some(row) if row.first() != Some(&Value::Null) => number(row, 0).map(Some),
        _ => Ok(None),
    }
}

/// Column `column` as text.
pub(crate) fn text(row: &Row, column: usize) -> Result<&str, SqlError> {
    match row.get(column) {
        Some(Value::Text(text)) => Ok(text),
        _ => Err(SqlError::Shape { column, wanted: "text" }),
    }
}

/// Column `column` as an identifier.
pub(crate) fn id<T: std::str::FromStr>(row: &Row, column: usize) -> Result<T, SqlError> {
    text(row, column)?.parse().ok().ok_or(SqlError::Shape { column, wanted: "an identifier" })
}
