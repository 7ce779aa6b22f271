//! The workspace's repository as the books know it: how it opens, and the newest snapshot.

use protocol::workspace::{Expected, FileName, RepositoryKey};

use crate::ports::{Sql, SqlError, Value, id, number, text};

/// What is known of the repository.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Workspace {
    /// The password for stock clients.
    pub(crate) password: String,
    /// The master key, once the runtime has reported it.
    pub(crate) master_key: Option<String>,
    /// The newest snapshot.
    pub(crate) snapshot: Option<FileName>,
    /// When it was stored.
    pub(crate) snapshot_at_ms: Option<u64>,
    /// Saves since the repository was tidied.
    pub(crate) saves: u64,
    /// Whether the owner gave up what was saved.
    pub(crate) start_empty: bool,
}

impl std::fmt::Debug for Workspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workspace").field("snapshot", &self.snapshot).finish_non_exhaustive()
    }
}

impl Workspace {
    /// How the runtime opens the repository.
    pub(crate) fn key(&self) -> RepositoryKey {
        match &self.master_key {
            Some(json) => RepositoryKey::Master { json: json.clone() },
            None => RepositoryKey::Password { password: self.password.clone() },
        }
    }

    /// What the runtime must find there.
    pub(crate) fn expected(&self) -> Expected {
        match &self.snapshot {
            _ if self.start_empty => Expected::StartEmpty,
            Some(id) => Expected::Snapshot { id: id.clone() },
            None if self.master_key.is_some() => Expected::Repository,
            None => Expected::New,
        }
    }
}

/// What is known of the repository. `fresh` becomes the password when there is none yet.
pub(crate) fn load(sql: &dyn Sql, fresh: &str) -> Result<Workspace, SqlError> {
    sql.run(
        "INSERT INTO workspace (id, password, start_empty) VALUES (1, ?, 0)
         ON CONFLICT (id) DO NOTHING",
        &[fresh.into()],
    )?;
    let rows = sql.run(
        "SELECT password, master_key, snapshot, snapshot_at_ms, saves, start_empty FROM workspace",
        &[],
    )?;
    let Some(row) = rows.first() else {
        return Err(SqlError::Shape { column: 0, wanted: "the workspace's row" });
    };
    let has = |column: usize| row.get(column).is_some_and(|value| *value != Value::Null);
    Ok(Workspace {
        password: text(row, 0)?.to_owned(),
        master_key: if has(1) { Some(text(row, 1)?.to_owned()) } else { None },
        snapshot: if has(2) { Some(id(row, 2)?) } else { None },
        snapshot_at_ms: if has(3) { Some(number(row, 3)?) } else { None },
        saves: number(row, 4)?,
        start_empty: number(row, 5)? == 1,
    })
}

/// Keeps the master key.
pub(crate) fn note_master_key(sql: &dyn Sql, json: &str) -> Result<(), SqlError> {
    sql.run("UPDATE workspace SET master_key = ? WHERE id = 1", &[json.into()])?;
    Ok(())
}

/// A snapshot is in R2. From now on a restore must find it, or a later one.
pub(crate) fn note_snapshot(sql: &dyn Sql, name: &FileName, now_ms: u64) -> Result<(), SqlError> {
    sql.run(
        "UPDATE workspace SET snapshot = ?, snapshot_at_ms = ?, saves = saves + 1, start_empty = 0
         WHERE id = 1",
        &[name.as_str().into(), now_ms.into()],
    )?;
    Ok(())
}

/// The repository is tidy.
pub(crate) fn note_tidy(sql: &dyn Sql) -> Result<(), SqlError> {
    sql.run("UPDATE workspace SET saves = 0 WHERE id = 1", &[])?;
    Ok(())
}

/// The owner gives up what was saved: the next life begins with an empty folder, until something is
/// saved again.
pub(crate) fn ask_start_empty(sql: &dyn Sql) -> Result<(), SqlError> {
    sql.run("UPDATE workspace SET start_empty = 1 WHERE id = 1", &[])?;
    Ok(())
}
