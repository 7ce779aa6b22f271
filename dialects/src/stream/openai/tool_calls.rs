//! Puts the fragments of streamed tool calls together.
//!
//! Invariants: a call's id is fixed from the moment it is announced, and unique within the answer;
//! a fragment that belongs to no call is an error, never a call of its own.

use serde_json::Value;

use super::wire::{FunctionFragment, ToolCallFragment};
use crate::answer::StreamEvent;
use crate::conversation::AssistantBlock;
use crate::limits::TOOL_CALLS_MAX;
use crate::reasoning;
use crate::stream::{DecodeError, tool_arguments};

/// The calls so far, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct ToolCalls {
    /// The answer's own id, from which missing ids of calls are made.
    answer_id: String,
    calls: Vec<Call>,
}

#[derive(Debug, Default)]
struct Call {
    /// The provider's index, where it gives one.
    index: Option<u64>,
    /// The provider's id, where it gives one.
    given_id: Option<String>,
    /// Set when the call is announced, which is as soon as its name is known.
    announced: Option<Announced>,
    arguments: String,
    thought_signature: Option<String>,
}

#[derive(Debug)]
struct Announced {
    id: String,
    name: String,
}

impl ToolCalls {
    /// Missing ids are made from the answer's id, so that they differ between answers and are the
    /// same each time an answer is decoded.
    pub(super) fn name_after(&mut self, answer_id: String) {
        self.answer_id = answer_id;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    pub(super) fn add(
        &mut self,
        fragment: ToolCallFragment,
        events: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        let index = fragment.index;
        let thought_signature = fragment.thought_signature();
        let id = fragment.id.filter(|id| !id.is_empty());
        let FunctionFragment { name, arguments } = fragment.function.unwrap_or_default();
        let name = name.filter(|name| !name.is_empty());
        let position = match self.position(index, id.as_deref(), name.as_deref()) {
            Some(position) => position,
            None => self.begin(index)?,
        };
        let mut unannounced = false;
        if let Some(call) = self.calls.get_mut(position) {
            unannounced = call.announced.is_none();
            call.given_id = call.given_id.take().or(id);
            call.thought_signature = call.thought_signature.take().or(thought_signature);
            push_arguments(&mut call.arguments, arguments);
        }
        // A later name repeats the first one.
        if let Some(name) = name
            && unannounced
        {
            self.announce(position, name, events);
        }
        Ok(())
    }

    /// The calls, each behind the proof of its thought where the provider gives one.
    pub(super) fn finish(self, cut: bool) -> Result<Vec<AssistantBlock>, DecodeError> {
        let mut blocks = Vec::new();
        for call in self.calls {
            let rule = "a tool call must have a name";
            let Announced { id, name } = call.announced.ok_or(DecodeError::Protocol { rule })?;
            if let Some(signature) = call.thought_signature {
                let packed = reasoning::pack_call(signature).map_err(DecodeError::Json)?;
                let (text, signature) = (String::new(), Some(packed));
                blocks.push(AssistantBlock::Thinking { text, signature });
            }
            let arguments = tool_arguments::read(call.arguments, cut);
            blocks.push(AssistantBlock::ToolCall { id, name, arguments });
        }
        Ok(blocks)
    }

    /// Which call a fragment continues; `None` when it begins one.
    ///
    /// The index decides where there is one, except that some providers number every whole call 0:
    /// a new id together with a name is a new call. Without an index the id decides; without
    /// either, a name begins a call and anything else continues the last one.
    fn position(&self, index: Option<u64>, id: Option<&str>, name: Option<&str>) -> Option<usize> {
        let last = |wanted: &dyn Fn(&Call) -> bool| self.calls.iter().rposition(wanted);
        let found = match (index, id) {
            (Some(_), _) => last(&|call| call.index == index),
            (None, Some(id)) => last(&|call| call.given_id.as_deref() == Some(id)),
            (None, None) if name.is_some() => None,
            (None, None) => self.calls.len().checked_sub(1),
        }?;
        let known_id = self.calls.get(found).and_then(|call| call.given_id.as_deref());
        let is_another = name.is_some() && id.is_some() && known_id.is_some() && known_id != id;
        (!is_another).then_some(found)
    }

    fn begin(&mut self, index: Option<u64>) -> Result<usize, DecodeError> {
        if self.calls.len() == TOOL_CALLS_MAX {
            return Err(DecodeError::TooManyToolCalls);
        }
        self.calls.push(Call { index, ..Call::default() });
        Ok(self.calls.len() - 1)
    }

    fn announce(&mut self, position: usize, name: String, events: &mut Vec<StreamEvent>) {
        let given = self.calls.get(position).and_then(|call| call.given_id.clone());
        let id = given
            .filter(|id| !self.is_taken(id))
            .unwrap_or_else(|| format!("call_{}_{position}", self.answer_id));
        if let Some(call) = self.calls.get_mut(position) {
            events.push(StreamEvent::ToolCallStarted {
                index: position,
                id: id.clone(),
                name: name.clone(),
            });
            call.announced = Some(Announced { id, name });
        }
    }

    fn is_taken(&self, id: &str) -> bool {
        self.calls.iter().any(|call| call.announced.as_ref().is_some_and(|it| it.id == id))
    }
}

fn push_arguments(whole: &mut String, piece: Option<Value>) {
    match piece {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => whole.push_str(&text),
        Some(value) => whole.push_str(&value.to_string()),
    }
}
