//! The object's SQLite behind the `Sql` port.

use wasm_bindgen::prelude::{JsCast, JsValue, wasm_bindgen};
use worker::js_sys::{Array, Iterator as JsIterator};
use worker::{State, Storage};

use crate::ports::{Row, Sql, SqlError, Value};

#[wasm_bindgen(wasm_bindgen = ::worker::wasm_bindgen)]
extern "C" {
    /// `ctx.storage`, for what the SDK does not wrap.
    #[derive(Clone)]
    type StorageExtern;
    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(
        this: &StorageExtern,
        body: &mut dyn FnMut() -> Result<JsValue, JsValue>,
    ) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter)]
    fn sql(this: &StorageExtern) -> SqlExtern;

    /// `ctx.storage.sql`.
    #[derive(Clone)]
    type SqlExtern;
    #[wasm_bindgen(method, catch, variadic)]
    fn exec(this: &SqlExtern, query: &str, bindings: &Array) -> Result<CursorExtern, JsValue>;

    /// What `exec` returns.
    type CursorExtern;
    #[wasm_bindgen(method, catch)]
    fn raw(this: &CursorExtern) -> Result<JsIterator, JsValue>;
}

/// The database of one object.
#[derive(Clone)]
pub(crate) struct ObjectSql {
    storage: StorageExtern,
    sql: SqlExtern,
}

impl std::fmt::Debug for ObjectSql {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ObjectSql")
    }
}

impl ObjectSql {
    /// The database of the object that `state` belongs to.
    pub(crate) fn of(state: &State) -> Self {
        let storage: Storage = state.storage();
        let raw: &JsValue = storage.as_raw().as_ref();
        let storage: StorageExtern = raw.clone().unchecked_into();
        let sql = storage.sql();
        Self { storage, sql }
    }
}

impl Sql for ObjectSql {
    fn run(&self, statement: &str, parameters: &[Value]) -> Result<Vec<Row>, SqlError> {
        let bindings: Array = parameters.iter().map(to_js).collect();
        let cursor = self.sql.exec(statement, &bindings).map_err(|e| engine(&e))?;
        let mut rows = Vec::new();
        for row in &cursor.raw().map_err(|e| engine(&e))? {
            let row = row.map_err(|e| engine(&e))?;
            rows.push(Array::from(&row).iter().enumerate().map(from_js).collect::<Result<_, _>>()?);
        }
        Ok(rows)
    }

    fn transaction(&self, body: &mut dyn FnMut() -> Result<(), SqlError>) -> Result<(), SqlError> {
        let mut result = Ok(());
        // A thrown value rolls the transaction back; which value does not matter, the error that
        // counts is kept beside it.
        let thrown = self.storage.transaction_sync(&mut || {
            result = body();
            if result.is_ok() { Ok(JsValue::UNDEFINED) } else { Err(JsValue::from_str("rollback")) }
        });
        match (result, thrown) {
            (Ok(()), Err(error)) => Err(engine(&error)),
            (result, _) => result,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers in the books stay below 2^53")]
fn to_js(value: &Value) -> JsValue {
    match value {
        Value::Null => JsValue::NULL,
        Value::Integer(number) => JsValue::from_f64(*number as f64),
        Value::Text(text) => JsValue::from_str(text),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53 fits an i64")]
fn from_js((column, value): (usize, JsValue)) -> Result<Value, SqlError> {
    if value.is_null() || value.is_undefined() {
        return Ok(Value::Null);
    }
    if let Some(text) = value.as_string() {
        return Ok(Value::Text(text));
    }
    match value.as_f64() {
        Some(number) if number.fract() == 0.0 => Ok(Value::Integer(number as i64)),
        _ => Err(SqlError::Shape { column, wanted: "a whole number or text" }),
    }
}

fn engine(error: &JsValue) -> SqlError {
    SqlError::Engine(super::http::describe(error))
}
