//! Which agent the object is, noted at its first request so that alarms know it too.

use protocol::AgentId;

use crate::ports::{Sql, SqlError, id};

/// The noted agent.
pub(crate) fn load(sql: &dyn Sql) -> Result<Option<AgentId>, SqlError> {
    sql.run("SELECT name FROM agent WHERE id = 1", &[])?.first().map(|row| id(row, 0)).transpose()
}

/// Notes the agent; the first one stays.
pub(crate) fn note(sql: &dyn Sql, agent: &AgentId) -> Result<(), SqlError> {
    let name = [agent.as_str().into()];
    sql.run("INSERT INTO agent (id, name) VALUES (1, ?) ON CONFLICT (id) DO NOTHING", &name)?;
    Ok(())
}
