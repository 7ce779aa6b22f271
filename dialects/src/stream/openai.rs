//! The stream of OpenAI Chat Completions
//! (<https://platform.openai.com/docs/api-reference/chat-streaming>) and of the providers that
//! speak it with an accent.
//!
//! Invariant: the answer is whole only when a finish reason was seen and then `[DONE]` or the end
//! of the body: some providers leave `[DONE]` away, and none leaves the finish reason away.
//!
//! Only the first choice is read; more are never requested.

mod tool_calls;
mod wire;

use serde_json::Value;

use self::tool_calls::ToolCalls;
use self::wire::{Chunk, Delta};
use super::{DecodeError, Progress};
use crate::answer::{Completion, StopReason, StreamEvent, Usage};
use crate::conversation::AssistantBlock;
use crate::count;
use crate::provider_error::ProviderError;

const DONE: &[u8] = b"[DONE]";

/// The answer so far.
#[derive(Debug, Default)]
pub(super) struct AnswerReader {
    started: bool,
    model: String,
    thinking: String,
    text: String,
    refused: bool,
    tool_calls: ToolCalls,
    usage: Usage,
    stop: Option<StopReason>,
}

impl AnswerReader {
    pub(super) fn read(
        &mut self,
        data: &[u8],
        events: &mut Vec<StreamEvent>,
    ) -> Result<Progress, DecodeError> {
        if data.trim_ascii() == DONE {
            // Without a finish reason a proxy has closed a stream that broke behind it.
            if self.stop.is_some() {
                events.push(StreamEvent::Finished);
            }
            return Ok(Progress::Ended);
        }
        let chunk: Chunk = serde_json::from_slice(data).map_err(DecodeError::Json)?;
        if let Some(error) = chunk.error {
            return Err(DecodeError::Provider(ProviderError::from_stream(&error)));
        }
        let first = chunk.choices.into_iter().flatten().find(|choice| choice.index == 0);
        if let Some(choice) = first {
            self.start(chunk.id, chunk.model, events);
            if let Some(delta) = choice.delta {
                self.extend(delta, events)?;
            }
            if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
                self.stop = Some(stop_reason(reason)?);
            }
        }
        if let Some(usage) = chunk.usage {
            self.usage = count::chat(&usage);
            events.push(StreamEvent::Usage(self.usage));
        }
        Ok(Progress::Open)
    }

    /// The answer, if it is whole.
    pub(super) fn finish(self) -> Result<Option<Completion>, DecodeError> {
        let Some(stop) = self.stop else {
            return Ok(None);
        };
        let stop = if self.refused { StopReason::Refusal } else { stop };
        let stop = stop.settled(!self.tool_calls.is_empty());
        let mut blocks = Vec::new();
        if !self.thinking.is_empty() {
            blocks.push(AssistantBlock::Thinking { text: self.thinking, signature: None });
        }
        if !self.text.is_empty() {
            blocks.push(AssistantBlock::Text { text: self.text });
        }
        blocks.extend(self.tool_calls.finish(stop.cuts_output())?);
        Ok(Some(Completion { blocks, stop, usage: self.usage, model: self.model }))
    }

    fn start(&mut self, id: Option<String>, model: Option<String>, events: &mut Vec<StreamEvent>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        self.model = model.unwrap_or_default();
        self.tool_calls.name_after(id.unwrap_or_default());
        events.push(StreamEvent::Started { model: self.model.clone() });
    }

    fn extend(&mut self, delta: Delta, events: &mut Vec<StreamEvent>) -> Result<(), DecodeError> {
        if let Some(thinking) = delta.thinking() {
            self.thinking.push_str(&thinking);
            events.push(StreamEvent::ThinkingDelta(thinking));
        }
        for (text, refusal) in [(delta.content_text(), false), (delta.refusal_text(), true)] {
            let Some(text) = text else {
                continue;
            };
            self.refused |= refusal;
            self.text.push_str(&text);
            events.push(StreamEvent::TextDelta(text));
        }
        for fragment in delta.tool_calls.into_iter().flatten() {
            self.tool_calls.add(fragment, events)?;
        }
        Ok(())
    }
}

fn stop_reason(reason: String) -> Result<StopReason, DecodeError> {
    Ok(match reason.as_str() {
        "stop" => StopReason::EndTurn,
        "length" => StopReason::MaxTokens,
        "tool_calls" | "function_call" => StopReason::ToolUse,
        "content_filter" => StopReason::ContentFilter,
        "model_length" => StopReason::ContextWindowExceeded,
        "error" => {
            let error = Value::String("the model's answer ended in an error".to_owned());
            return Err(DecodeError::Provider(ProviderError::from_stream(&error)));
        }
        _ => StopReason::Other(reason),
    })
}
