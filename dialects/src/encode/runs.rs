//! Arranges messages the way every API wants them: sides in turn, results before words.
//!
//! Invariants: no run is empty, no two neighbours are of the same side, and within a user's run the
//! tool results come first, directly after the calls that they answer.

use crate::conversation::{AssistantBlock, Message, ToolResult, UserBlock};

/// Neighbouring messages of one side, taken together.
#[derive(Debug)]
pub(super) enum Run<'a> {
    User { results: Vec<&'a ToolResult>, blocks: Vec<&'a UserBlock> },
    Assistant(Vec<&'a AssistantBlock>),
}

/// Arranges `messages`, with blank text left out and only what `select` takes of each answer.
pub(super) fn arrange(
    messages: &[Message],
    select: fn(&[AssistantBlock]) -> Vec<&AssistantBlock>,
) -> Vec<Run<'_>> {
    let mut runs = Vec::new();
    for message in messages {
        match message {
            Message::User(blocks) => {
                let blocks: Vec<_> = blocks.iter().filter(|block| !is_blank_user(block)).collect();
                append_user(&mut runs, Vec::new(), blocks);
            }
            Message::ToolResults(results) => {
                append_user(&mut runs, results.iter().collect(), Vec::new());
            }
            Message::Assistant(blocks) => {
                let mut selected = select(blocks);
                selected.retain(|block| !is_blank_assistant(block));
                append_assistant(&mut runs, selected);
            }
        }
    }
    runs
}

fn append_user<'a>(
    runs: &mut Vec<Run<'a>>,
    mut more_results: Vec<&'a ToolResult>,
    mut more_blocks: Vec<&'a UserBlock>,
) {
    if more_results.is_empty() && more_blocks.is_empty() {
        return;
    }
    if let Some(Run::User { results, blocks }) = runs.last_mut() {
        results.append(&mut more_results);
        blocks.append(&mut more_blocks);
    } else {
        runs.push(Run::User { results: more_results, blocks: more_blocks });
    }
}

fn append_assistant<'a>(runs: &mut Vec<Run<'a>>, mut more: Vec<&'a AssistantBlock>) {
    if more.is_empty() {
        return;
    }
    if let Some(Run::Assistant(blocks)) = runs.last_mut() {
        blocks.append(&mut more);
    } else {
        runs.push(Run::Assistant(more));
    }
}

fn is_blank_user(block: &UserBlock) -> bool {
    matches!(block, UserBlock::Text { text } if text.trim().is_empty())
}

fn is_blank_assistant(block: &AssistantBlock) -> bool {
    matches!(block, AssistantBlock::Text { text } if text.trim().is_empty())
}
