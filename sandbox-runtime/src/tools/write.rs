//! `write`: puts a whole text file in place.

use serde::Deserialize;

use super::{ToolError, ToolOutcome};
use crate::workspace::Workspace;

#[derive(Debug, Deserialize)]
pub(super) struct Arguments {
    path: String,
    content: String,
}

pub(super) fn run(arguments: &Arguments, workspace: &Workspace) -> Result<ToolOutcome, ToolError> {
    workspace.write_text(&arguments.path, &arguments.content)?;
    let bytes = arguments.content.len();
    Ok(ToolOutcome::ok(format!("Wrote {bytes} bytes to {}.", arguments.path)))
}
