//! The stream of Anthropic Messages (<https://docs.anthropic.com/en/api/messages-streaming>).
//!
//! Invariants: text is appended only to a block that was started and not stopped; the answer is
//! whole only after `message_stop`, with a stop reason and every tool call stopped.
//!
//! Blocks, deltas and events of unknown types are skipped, as the API's versioning policy asks;
//! so are citations, which are never requested.

mod wire;

use std::collections::BTreeMap;

use serde_json::Value;

use self::wire::{BlockStart, Delta, Event};
use super::{DecodeError, Progress, tool_arguments};
use crate::answer::{Completion, StopReason, StreamEvent, Usage};
use crate::conversation::{AssistantBlock, ToolArguments};
use crate::count::AnthropicUsage;
use crate::limits::{BLOCKS_MAX, TOOL_CALLS_MAX};
use crate::provider_error::ProviderError;

/// The answer so far.
#[derive(Debug, Default)]
pub(super) struct AnswerReader {
    started: bool,
    model: String,
    blocks: BTreeMap<u64, Block>,
    tool_calls: usize,
    usage: Usage,
    stop: Option<StopReason>,
    /// Why the model declined; stands as its last words.
    explanation: Option<String>,
    ended: bool,
}

#[derive(Debug)]
struct Block {
    content: Content,
    stopped: bool,
}

#[derive(Debug)]
enum Content {
    Text(String),
    Thinking { text: String, signature: String },
    RedactedThinking(String),
    ToolCall { id: String, name: String, given: Value, streamed: String },
    Unknown,
}

impl AnswerReader {
    pub(super) fn read(
        &mut self,
        data: &[u8],
        events: &mut Vec<StreamEvent>,
    ) -> Result<Progress, DecodeError> {
        match serde_json::from_slice(data).map_err(DecodeError::Json)? {
            Event::MessageStart { message } => self.start(message, events)?,
            Event::ContentBlockStart { index, content_block } => {
                self.start_block(index, content_block, events)?;
            }
            Event::ContentBlockDelta { index, delta } => self.extend(index, delta, events)?,
            Event::ContentBlockStop { index } => self.open_block(index)?.stopped = true,
            Event::MessageDelta { delta, usage } => {
                if let Some(reason) = delta.stop_reason {
                    self.stop = Some(stop_reason(reason));
                }
                if let Some(why) = delta.stop_details.and_then(|details| details.explanation) {
                    push_delta(events, StreamEvent::TextDelta, &why);
                    self.explanation = Some(why).filter(|why| !why.is_empty());
                }
                self.count(usage.as_ref(), events);
            }
            Event::MessageStop => {
                self.ended = true;
                events.push(StreamEvent::Finished);
                return Ok(Progress::Ended);
            }
            Event::Error { error } => {
                return Err(DecodeError::Provider(ProviderError::from_stream(&error)));
            }
            Event::Unknown => {}
        }
        Ok(Progress::Open)
    }

    /// The answer, if it is whole.
    pub(super) fn finish(self) -> Result<Option<Completion>, DecodeError> {
        let (true, Some(stop)) = (self.ended, self.stop) else {
            return Ok(None);
        };
        let cut = stop.cuts_output();
        let mut blocks = Vec::new();
        for block in self.blocks.into_values() {
            if !block.stopped && matches!(block.content, Content::ToolCall { .. }) {
                return Err(DecodeError::Protocol { rule: "a tool call must be stopped" });
            }
            blocks.extend(block.content.into_assistant_block(cut));
        }
        blocks.extend(self.explanation.map(|text| AssistantBlock::Text { text }));
        let stop = stop.settled(self.tool_calls > 0);
        Ok(Some(Completion { blocks, stop, usage: self.usage, model: self.model }))
    }

    fn start(
        &mut self,
        message: wire::MessageStart,
        events: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        if std::mem::replace(&mut self.started, true) {
            return Err(DecodeError::Protocol { rule: "a message must start once" });
        }
        self.model = message.model;
        events.push(StreamEvent::Started { model: self.model.clone() });
        self.count(message.usage.as_ref(), events);
        Ok(())
    }

    fn start_block(
        &mut self,
        index: u64,
        start: BlockStart,
        events: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        if self.blocks.contains_key(&index) {
            return Err(DecodeError::Protocol { rule: "a block must start once" });
        }
        if self.blocks.len() == BLOCKS_MAX {
            return Err(DecodeError::TooManyBlocks);
        }
        let content = match start {
            BlockStart::Text { text } => {
                push_delta(events, StreamEvent::TextDelta, &text);
                Content::Text(text)
            }
            BlockStart::Thinking { thinking, signature } => {
                push_delta(events, StreamEvent::ThinkingDelta, &thinking);
                Content::Thinking { text: thinking, signature }
            }
            BlockStart::RedactedThinking { data } => Content::RedactedThinking(data),
            BlockStart::ToolUse { id, name, input } => {
                self.count_tool_call(&id, &name, events)?;
                Content::ToolCall { id, name, given: input, streamed: String::new() }
            }
            BlockStart::Unknown => Content::Unknown,
        };
        self.blocks.insert(index, Block { content, stopped: false });
        Ok(())
    }

    fn count_tool_call(
        &mut self,
        id: &str,
        name: &str,
        events: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        if id.is_empty() || name.is_empty() {
            return Err(DecodeError::Protocol { rule: "a tool call must have an id and a name" });
        }
        if self.tool_calls == TOOL_CALLS_MAX {
            return Err(DecodeError::TooManyToolCalls);
        }
        events.push(StreamEvent::ToolCallStarted {
            index: self.tool_calls,
            id: id.to_owned(),
            name: name.to_owned(),
        });
        self.tool_calls += 1;
        Ok(())
    }

    fn extend(
        &mut self,
        index: u64,
        delta: Delta,
        events: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        match (&mut self.open_block(index)?.content, delta) {
            (Content::Unknown, _) | (_, Delta::Unknown) => {}
            (Content::Text(whole), Delta::TextDelta { text }) => {
                whole.push_str(&text);
                push_delta(events, StreamEvent::TextDelta, &text);
            }
            (Content::Thinking { text, .. }, Delta::ThinkingDelta { thinking }) => {
                text.push_str(&thinking);
                push_delta(events, StreamEvent::ThinkingDelta, &thinking);
            }
            (Content::Thinking { signature, .. }, Delta::SignatureDelta { signature: more }) => {
                signature.push_str(&more);
            }
            (Content::ToolCall { streamed, .. }, Delta::InputJsonDelta { partial_json }) => {
                streamed.push_str(&partial_json);
            }
            _ => return Err(DecodeError::Protocol { rule: "a delta must fit its block" }),
        }
        Ok(())
    }

    fn open_block(&mut self, index: u64) -> Result<&mut Block, DecodeError> {
        self.blocks
            .get_mut(&index)
            .filter(|block| !block.stopped)
            .ok_or(DecodeError::Protocol { rule: "a block must be started and not stopped" })
    }

    fn count(&mut self, usage: Option<&AnthropicUsage>, events: &mut Vec<StreamEvent>) {
        let Some(reported) = usage else {
            return;
        };
        reported.raise(&mut self.usage);
        events.push(StreamEvent::Usage(self.usage));
    }
}

impl Content {
    /// `None` when there is nothing in it.
    fn into_assistant_block(self, cut: bool) -> Option<AssistantBlock> {
        match self {
            Self::Text(text) if text.is_empty() => None,
            Self::Text(text) => Some(AssistantBlock::Text { text }),
            Self::Thinking { text, signature } => {
                let signature = Some(signature).filter(|signature| !signature.is_empty());
                let empty = text.is_empty() && signature.is_none();
                (!empty).then_some(AssistantBlock::Thinking { text, signature })
            }
            Self::RedactedThinking(data) => Some(AssistantBlock::RedactedThinking { data }),
            Self::ToolCall { id, name, given, streamed } => {
                let arguments = match given {
                    // Some compatible providers give the whole input at the start.
                    Value::Object(map) if streamed.is_empty() && !map.is_empty() => {
                        ToolArguments::Object(map)
                    }
                    _ => tool_arguments::read(streamed, cut),
                };
                Some(AssistantBlock::ToolCall { id, name, arguments })
            }
            Self::Unknown => None,
        }
    }
}

fn push_delta(events: &mut Vec<StreamEvent>, event: fn(String) -> StreamEvent, text: &str) {
    if !text.is_empty() {
        events.push(event(text.to_owned()));
    }
}

fn stop_reason(reason: String) -> StopReason {
    match reason.as_str() {
        "end_turn" => StopReason::EndTurn,
        "max_tokens" => StopReason::MaxTokens,
        "stop_sequence" => StopReason::StopSequence,
        "tool_use" => StopReason::ToolUse,
        "pause_turn" => StopReason::PauseTurn,
        "refusal" => StopReason::Refusal,
        "model_context_window_exceeded" => StopReason::ContextWindowExceeded,
        _ => StopReason::Other(reason),
    }
}
