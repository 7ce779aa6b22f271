//! How the model is told which calls' changes to files were lost. Pure.

use protocol::CallId;
use protocol::session::{Block, Item, ToolArguments};

use crate::limits::{LOST_CALL_BYTES_MAX, LOST_CALLS_NAMED_MAX};
use crate::turn::history::Entry;

const NOTE_FILES_LOST: &str = include_str!("../../prompts/notes/files_lost.md");

/// Stands in the note for the calls.
const CALLS_MARK: &str = "{calls}";

/// The note about these calls, which are described by what the turns hold of them.
pub(super) fn note(calls: &[CallId], turns: &[&[&Entry]]) -> String {
    let newest = calls.iter().rev().take(LOST_CALLS_NAMED_MAX).rev();
    let mut names: Vec<String> = newest.map(|call| describe(call, turns)).collect();
    let unnamed = calls.len() - names.len();
    if unnamed > 0 {
        names.insert(0, format!("{unnamed} earlier ones"));
    }
    NOTE_FILES_LOST.trim().replace(CALLS_MARK, &names.join(", "))
}

fn describe(call: &CallId, turns: &[&[&Entry]]) -> String {
    let blocks =
        turns.iter().rev().flat_map(|turn| turn.iter().rev()).flat_map(|entry| match &entry.item {
            Item::Assistant(message) => message.blocks.as_slice(),
            _ => &[],
        });
    let mut found = blocks.filter_map(|block| match block {
        Block::ToolCall { call: id, name, arguments } if id == call => Some((name, arguments)),
        _ => None,
    });
    let Some((name, arguments)) = found.next() else {
        return "an earlier call".to_owned();
    };
    let mut text = match arguments {
        ToolArguments::Object(map) => serde_json::Value::Object(map.clone()).to_string(),
        ToolArguments::Malformed(text) => text.clone(),
    };
    if text.len() > LOST_CALL_BYTES_MAX {
        text.truncate(text.floor_char_boundary(LOST_CALL_BYTES_MAX));
        text.push('…');
    }
    format!("{name} {text}")
}
