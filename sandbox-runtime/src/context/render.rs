//! Records as a model's messages.
//!
//! Invariants: every tool call has its result in the messages behind it; reasoning is replayed only
//! to the model that it came from; a turn that failed or was stopped leaves messages that every
//! API accepts.

use std::collections::HashSet;

use dialects::{AssistantBlock, Image, Message, ToolResult, UserBlock};
use protocol::CallId;
use protocol::session::{
    AssistantMessage, Block, Item, Outcome, ToolArguments, ToolFinished, ToolStatus,
};
use protocol::turn::ModelChoice;

use super::{fit, lost};
use crate::turn::answer::signature;
use crate::turn::history::Entry;

const NOTE_DROPPED: &str = include_str!("../../prompts/notes/earlier_dropped.md");
const NOTE_STOPPED: &str = include_str!("../../prompts/notes/stopped_by_user.md");
const NOTE_FAILED: &str = include_str!("../../prompts/notes/turn_failed.md");
const NOTE_NOT_RUN: &str = include_str!("../../prompts/notes/call_not_run.md");
const NOTE_IMAGE_OMITTED: &str = include_str!("../../prompts/notes/image_omitted.md");
const NOTE_ELIDED: &str = include_str!("../../prompts/notes/output_elided.md");

/// The messages of these turns, the last of which is running.
pub(super) fn messages(
    turns: &[&[&Entry]],
    is_incomplete: bool,
    choice: &ModelChoice,
    room_bytes: usize,
) -> Vec<Message> {
    let (signature, sees) = (signature(choice), choice.images);
    let mut messages = Vec::new();
    if is_incomplete {
        messages.push(user(NOTE_DROPPED.trim()));
    }
    for turn in turns {
        let elided = elided_calls(turn, room_bytes);
        let mut renderer = Renderer {
            messages: &mut messages,
            signature: &signature,
            elided: &elided,
            turns,
            sees,
        };
        renderer.turn(turn);
    }
    messages
}

/// The calls whose outputs are left out, oldest first, so that one turn by itself fits.
fn elided_calls<'a>(turn: &[&'a Entry], room_bytes: usize) -> HashSet<&'a CallId> {
    let total = turn.iter().map(|entry| fit::size(entry)).sum();
    let target = fit::bytes_to_drop(total, room_bytes);
    let mut dropped = 0;
    turn.iter()
        .filter_map(|entry| match &entry.item {
            Item::ToolFinished(finished) if outputs(finished) > NOTE_ELIDED.len() => Some(finished),
            _ => None,
        })
        .take_while(|finished| {
            let needed = dropped < target;
            dropped += outputs(finished);
            needed
        })
        .map(|finished| &finished.call)
        .collect()
}

/// The bytes that a call's outputs are taken to have.
fn outputs(finished: &ToolFinished) -> usize {
    finished.output.len() + fit::images_size(finished)
}

struct Renderer<'a> {
    messages: &'a mut Vec<Message>,
    signature: &'a str,
    elided: &'a HashSet<&'a CallId>,
    turns: &'a [&'a [&'a Entry]],
    /// Whether the model takes images.
    sees: bool,
}

impl Renderer<'_> {
    fn turn(&mut self, turn: &[&Entry]) {
        let mut open: Vec<CallId> = Vec::new();
        for entry in turn {
            match &entry.item {
                Item::User(message) => {
                    self.close(&mut open);
                    self.messages.push(user(&message.text));
                }
                Item::Assistant(message) => {
                    self.close(&mut open);
                    self.assistant(message, &mut open);
                }
                Item::ToolStarted { .. } | Item::FilesSaved { .. } | Item::FilesUnsaved { .. } => {}
                Item::ToolFinished(finished) => {
                    open.retain(|call| *call != finished.call);
                    self.result(finished);
                }
                Item::FilesLost { calls } => {
                    self.close(&mut open);
                    self.messages.push(user(&lost::note(calls, self.turns)));
                }
                Item::TurnEnded { outcome } => {
                    self.close(&mut open);
                    self.ended(outcome);
                }
            }
        }
    }

    fn assistant(&mut self, message: &AssistantMessage, open: &mut Vec<CallId>) {
        let is_own = message.model == self.signature;
        let blocks = message.blocks.iter().filter_map(|block| assistant_block(block, is_own));
        self.messages.push(Message::Assistant(blocks.collect()));
        open.extend(message.blocks.iter().filter_map(|block| match block {
            Block::ToolCall { call, .. } => Some(call.clone()),
            _ => None,
        }));
    }

    fn result(&mut self, finished: &ToolFinished) {
        let elided = self.elided.contains(&finished.call);
        let is_error = finished.status != ToolStatus::Ok;
        let (mut content, mut images) = (finished.output.clone(), Vec::new());
        if elided {
            NOTE_ELIDED.trim().clone_into(&mut content);
        } else if self.sees {
            images.extend(finished.images.iter().map(image));
        } else if !finished.images.is_empty() {
            content.push('\n');
            content.push_str(NOTE_IMAGE_OMITTED.trim());
        }
        let call_id = finished.call.to_string();
        self.push_result(ToolResult { call_id, content, images, is_error });
    }

    /// Gives each call that has no result one that says so.
    fn close(&mut self, open: &mut Vec<CallId>) {
        for call in open.drain(..) {
            let (call_id, content) = (call.to_string(), NOTE_NOT_RUN.trim().to_owned());
            self.push_result(ToolResult { call_id, content, images: Vec::new(), is_error: true });
        }
    }

    fn push_result(&mut self, result: ToolResult) {
        if let Some(Message::ToolResults(results)) = self.messages.last_mut() {
            results.push(result);
        } else {
            self.messages.push(Message::ToolResults(vec![result]));
        }
    }

    /// Says how an unfinished turn came to its end, so that the model does not wonder about it.
    fn ended(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Completed => {}
            Outcome::Cancelled => self.messages.push(user(NOTE_STOPPED.trim())),
            Outcome::Failed { .. } => self.messages.push(user(NOTE_FAILED.trim())),
        }
    }
}

fn image(image: &protocol::session::Image) -> Image {
    Image { media_type: image.media_type.clone(), base64: image.base64.clone() }
}

fn user(text: &str) -> Message {
    Message::User(vec![UserBlock::Text { text: text.to_owned() }])
}

fn assistant_block(block: &Block, is_own: bool) -> Option<AssistantBlock> {
    Some(match block {
        Block::Text { text } => AssistantBlock::Text { text: text.clone() },
        Block::Thinking { .. } | Block::RedactedThinking { .. } if !is_own => return None,
        Block::Thinking { text, signature } => {
            AssistantBlock::Thinking { text: text.clone(), signature: signature.clone() }
        }
        Block::RedactedThinking { data } => AssistantBlock::RedactedThinking { data: data.clone() },
        Block::ToolCall { call, name, arguments } => AssistantBlock::ToolCall {
            id: call.to_string(),
            name: name.clone(),
            arguments: match arguments {
                ToolArguments::Object(map) => dialects::ToolArguments::Object(map.clone()),
                ToolArguments::Malformed(text) => dialects::ToolArguments::Malformed(text.clone()),
            },
        },
    })
}
