//! The stream of OpenAI Responses
//! (<https://platform.openai.com/docs/api-reference/responses-streaming>).
//!
//! Invariants: deltas go only to an item that was added and is not done; the answer is whole only
//! after `response.completed` or `response.incomplete`, with every call done unless it was cut.
//!
//! Events and items of unknown types are skipped. A `[DONE]`, which some compatible providers send,
//! ends nothing that had not ended before it.

mod item;
mod wire;

use std::collections::BTreeMap;

use serde_json::Value;

use self::item::Item;
use self::wire::{Event, Response};
use super::{DecodeError, Progress};
use crate::answer::{Completion, StopReason, StreamEvent, Usage};
use crate::count;
use crate::limits::{BLOCKS_MAX, TOOL_CALLS_MAX};
use crate::provider_error::ProviderError;

const DONE: &[u8] = b"[DONE]";

/// The answer so far.
#[derive(Debug, Default)]
pub(super) struct AnswerReader {
    started: bool,
    model: String,
    items: BTreeMap<u64, Item>,
    tool_calls: usize,
    usage: Usage,
    end: Option<End>,
}

/// How the provider ended the answer.
#[derive(Debug)]
enum End {
    Completed,
    Incomplete(StopReason),
}

impl AnswerReader {
    pub(super) fn read(
        &mut self,
        data: &[u8],
        events: &mut Vec<StreamEvent>,
    ) -> Result<Progress, DecodeError> {
        if data.trim_ascii() == DONE {
            return Ok(Progress::Ended);
        }
        match serde_json::from_slice(data).map_err(DecodeError::Json)? {
            Event::Begun { response } => self.start(&response, events),
            Event::ItemAdded { output_index, item } => {
                self.add(output_index, item, events)?;
            }
            Event::ItemDone { output_index, item } => self.close(output_index, item, events)?,
            Event::TextDelta { output_index, delta } => {
                events.extend(shown(self.item(output_index)?.say(&delta, false)?));
            }
            Event::RefusalDelta { output_index, delta } => {
                events.extend(shown(self.item(output_index)?.say(&delta, true)?));
            }
            Event::SummaryDelta { output_index, summary_index, delta } => {
                events.extend(shown(self.item(output_index)?.summarise(summary_index, &delta)?));
            }
            Event::ReasoningDelta { output_index, delta } => {
                events.extend(shown(self.item(output_index)?.reason(&delta)?));
            }
            Event::ArgumentsDelta { output_index, delta } => {
                self.item(output_index)?.argue(&delta)?;
            }
            Event::Completed { response } => {
                return Ok(self.end(&response, End::Completed, events));
            }
            Event::Incomplete { response } => {
                let end = End::Incomplete(stop_reason(&response));
                return Ok(self.end(&response, end, events));
            }
            Event::Failed { response } => return Err(failure(&response.error.unwrap_or_default())),
            // The error is the event itself; some gateways put it inside, as in other APIs.
            Event::Error(error) => return Err(failure(error.get("error").unwrap_or(&error))),
            Event::Unknown => {}
        }
        Ok(Progress::Open)
    }

    /// The answer, if it is whole.
    pub(super) fn finish(self) -> Result<Option<Completion>, DecodeError> {
        let Some(end) = self.end else {
            return Ok(None);
        };
        let (stop, cut) = match end {
            End::Completed => (StopReason::EndTurn, false),
            End::Incomplete(stop) => (stop, true),
        };
        let refused = self.items.values().any(Item::is_refusal);
        let stop = if refused && !cut { StopReason::Refusal } else { stop };
        let stop = stop.settled(self.tool_calls > 0);
        let blocks = self.items.into_values().map(|item| item.into_block(cut));
        let blocks = blocks.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        Ok(Some(Completion { blocks, stop, usage: self.usage, model: self.model }))
    }

    fn start(&mut self, response: &Response, events: &mut Vec<StreamEvent>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        self.model = response.model.clone().unwrap_or_default();
        events.push(StreamEvent::Started { model: self.model.clone() });
    }

    fn end(&mut self, response: &Response, end: End, events: &mut Vec<StreamEvent>) -> Progress {
        self.start(response, events);
        if let Some(usage) = response.usage.as_ref().filter(|usage| usage.is_object()) {
            self.usage = count::responses(usage);
            events.push(StreamEvent::Usage(self.usage));
        }
        self.end = Some(end);
        events.push(StreamEvent::Finished);
        Progress::Ended
    }

    fn add(
        &mut self,
        index: u64,
        item: wire::Item,
        events: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        if self.items.contains_key(&index) {
            return Err(DecodeError::Protocol { rule: "an item must be added once" });
        }
        if self.items.len() == BLOCKS_MAX {
            return Err(DecodeError::TooManyBlocks);
        }
        let item = Item::new(item);
        if let Some((id, name)) = item.call() {
            events.push(announce(&mut self.tool_calls, id, name)?);
        }
        self.items.insert(index, item);
        Ok(())
    }

    /// Some compatible providers give an item only when it is done.
    fn close(
        &mut self,
        index: u64,
        item: wire::Item,
        events: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        if !self.items.contains_key(&index) {
            let begun = item.begun();
            self.add(index, begun, events)?;
        }
        self.item(index)?.finish(item, events)
    }

    fn item(&mut self, index: u64) -> Result<&mut Item, DecodeError> {
        self.items.get_mut(&index).ok_or(DecodeError::Protocol { rule: "an item must be added" })
    }
}

fn announce(calls: &mut usize, id: &str, name: &str) -> Result<StreamEvent, DecodeError> {
    if id.is_empty() || name.is_empty() {
        return Err(DecodeError::Protocol { rule: "a call must have an id and a name" });
    }
    if *calls == TOOL_CALLS_MAX {
        return Err(DecodeError::TooManyToolCalls);
    }
    let index = *calls;
    *calls += 1;
    Ok(StreamEvent::ToolCallStarted { index, id: id.to_owned(), name: name.to_owned() })
}

/// `None` for a delta without text.
fn shown(event: StreamEvent) -> Option<StreamEvent> {
    match &event {
        StreamEvent::TextDelta(text) | StreamEvent::ThinkingDelta(text) if text.is_empty() => None,
        _ => Some(event),
    }
}

fn stop_reason(response: &Response) -> StopReason {
    let reason = response.incomplete_details.as_ref().and_then(|it| it.reason.as_deref());
    match reason {
        Some("max_output_tokens") => StopReason::MaxTokens,
        Some("content_filter") => StopReason::ContentFilter,
        reason => StopReason::Other(reason.unwrap_or("incomplete").to_owned()),
    }
}

fn failure(error: &Value) -> DecodeError {
    DecodeError::Provider(ProviderError::from_stream(error))
}
