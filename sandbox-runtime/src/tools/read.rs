//! `read`: shows a text file with line numbers, or an image to a model that sees.

use std::fmt::Write as _;

use serde::Deserialize;

use super::{ToolError, ToolOutcome, image};
use crate::limits::{READ_LINE_BYTES_MAX, READ_LINES, TOOL_OUTPUT_BYTES_MAX};
use crate::workspace::Workspace;

#[derive(Debug, Deserialize)]
pub(super) struct Arguments {
    path: String,
    offset: Option<u64>,
    limit: Option<u64>,
}

impl Arguments {
    /// The file that is to be read.
    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

pub(super) fn run(
    arguments: &Arguments,
    workspace: &Workspace,
    sees: bool,
) -> Result<ToolOutcome, ToolError> {
    let bytes = workspace.read_bytes(&arguments.path)?;
    if let (true, Some(media_type)) = (sees, image::media_type(&bytes)) {
        return image::show(media_type, &bytes);
    }
    let text = workspace.text(&arguments.path, bytes)?;
    let first = arguments.offset.unwrap_or(1).max(1);
    let limit = arguments.limit.unwrap_or(READ_LINES);
    Ok(ToolOutcome::ok(excerpt(&text, first, limit)))
}

/// The lines from `first` on, numbered, as many as `limit` and the output's bound allow.
fn excerpt(text: &str, first: u64, limit: u64) -> String {
    let total = text.lines().count() as u64;
    if total == 0 {
        return "[the file is empty]".to_owned();
    }
    if first > total {
        return format!("[the file has {total} lines; there is no line {first}]");
    }
    let mut output = String::new();
    let mut next = first;
    let numbered = (1_u64..).zip(text.lines()).skip_while(|(number, _)| *number < first);
    for (number, line) in numbered {
        let shown = shown(line);
        if next - first >= limit || output.len() + shown.len() + 80 > TOOL_OUTPUT_BYTES_MAX {
            break;
        }
        // Writing to a String cannot fail; the result is part of the trait.
        if writeln!(output, "{number:>6}\t{shown}").is_err() {
            break;
        }
        next = number + 1;
    }
    if next <= total {
        let rest = format!("[lines {first} to {} of {total}; go on with offset {next}]", next - 1);
        output.push_str(&rest);
    }
    output
}

fn shown(line: &str) -> String {
    if line.len() <= READ_LINE_BYTES_MAX {
        return line.to_owned();
    }
    let end = line.floor_char_boundary(READ_LINE_BYTES_MAX);
    let beginning = line.get(..end).unwrap_or_default();
    format!("{beginning} [{} more bytes in this line]", line.len() - end)
}
