//! `edit`: replaces a piece of a text file.

use serde::Deserialize;

use super::{ToolError, ToolOutcome};
use crate::workspace::Workspace;

#[derive(Debug, Deserialize)]
pub(super) struct Arguments {
    path: String,
    old: String,
    new: String,
    #[serde(default)]
    replace_all: bool,
}

pub(super) fn run(arguments: &Arguments, workspace: &Workspace) -> Result<ToolOutcome, ToolError> {
    let text = workspace.read_text(&arguments.path)?;
    let (text, count) = replace(&text, arguments).map_err(ToolError::Unfit)?;
    workspace.write_text(&arguments.path, &text)?;
    let what = if count == 1 { "1 piece".to_owned() } else { format!("{count} pieces") };
    Ok(ToolOutcome::ok(format!("Replaced {what} in {}.", arguments.path)))
}

/// The new text and how often the old piece occurred, or why it cannot be replaced.
fn replace(text: &str, arguments: &Arguments) -> Result<(String, usize), String> {
    let Arguments { path, old, new, replace_all } = arguments;
    if old.is_empty() {
        return Err("the old text is empty; use write to make a file".to_owned());
    }
    if old == new {
        return Err("the old and the new text are the same".to_owned());
    }
    match text.matches(old.as_str()).count() {
        0 => Err(format!(
            "the old text does not occur in {path}; read the file and copy the text exactly, \
             without line numbers"
        )),
        count if count > 1 && !replace_all => Err(format!(
            "the old text occurs {count} times in {path}; add lines around it until it is unique, \
             or set replace_all"
        )),
        count => Ok((text.replace(old.as_str(), new), count)),
    }
}
