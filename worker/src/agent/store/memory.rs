//! A database in memory for tests, over the same engine as the object's.

use std::cell::Cell;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

use super::schema;
use crate::ports::{Row, Sql, SqlError, Value};

/// A database in memory that can be made to fail at its n-th statement from now.
pub(crate) struct Memory {
    connection: Connection,
    /// So many statements from now, one fails; and every later one.
    pub(crate) fail_in: Cell<Option<u32>>,
}

impl Memory {
    /// A database with the newest tables.
    pub(crate) fn new() -> Self {
        let connection = Connection::open_in_memory().unwrap();
        let memory = Self { connection, fail_in: Cell::new(None) };
        schema::migrate(&memory, 1).unwrap();
        memory
    }

    fn run_now(&self, statement: &str, parameters: &[Value]) -> rusqlite::Result<Vec<Row>> {
        let mut statement = self.connection.prepare(statement)?;
        let columns = statement.column_count();
        let parameters = params_from_iter(parameters.iter().map(|value| match value {
            Value::Null => rusqlite::types::Value::Null,
            Value::Integer(number) => rusqlite::types::Value::Integer(*number),
            Value::Text(text) => rusqlite::types::Value::Text(text.clone()),
        }));
        let rows = statement.query_map(parameters, |row| {
            (0..columns)
                .map(|column| {
                    Ok(match row.get_ref(column)? {
                        ValueRef::Integer(number) => Value::Integer(number),
                        ValueRef::Text(text) => {
                            Value::Text(String::from_utf8(text.into()).unwrap())
                        }
                        _ => Value::Null,
                    })
                })
                .collect()
        })?;
        rows.collect()
    }
}

impl Sql for Memory {
    fn run(&self, statement: &str, parameters: &[Value]) -> Result<Vec<Row>, SqlError> {
        if let Some(left) = self.fail_in.get() {
            if left == 0 {
                return Err(SqlError::Engine("the disk is full".into()));
            }
            self.fail_in.set(Some(left - 1));
        }
        self.run_now(statement, parameters).map_err(|error| SqlError::Engine(error.to_string()))
    }

    fn transaction(&self, body: &mut dyn FnMut() -> Result<(), SqlError>) -> Result<(), SqlError> {
        let nested = !self.connection.is_autocommit();
        assert!(!nested, "transactions do not nest");
        self.connection.execute_batch("BEGIN").unwrap();
        let result = body();
        let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
        self.connection.execute_batch(end).unwrap();
        result
    }
}
