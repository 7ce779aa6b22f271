//! One output item of an answer, from its first event to the block that it becomes.
//!
//! Invariant: an item that is done is what its last event says it is; deltas only show it before
//! that, and stand for it where the last event leaves the content out or never comes.

use super::wire::{self, Part};
use crate::answer::StreamEvent;
use crate::conversation::AssistantBlock;
use crate::limits::BLOCKS_MAX;
use crate::reasoning::{self, PART_GAP, Reasoning};
use crate::stream::{DecodeError, tool_arguments};

/// An item so far.
#[derive(Debug)]
pub(super) struct Item {
    content: Content,
    /// Whether anything of it was shown.
    shown: bool,
    done: bool,
}

#[derive(Debug)]
enum Content {
    Message { text: String, refused: bool },
    Reasoning(Thought),
    FunctionCall { call_id: String, name: String, arguments: String },
    Unknown,
}

#[derive(Debug, Default)]
struct Thought {
    id: String,
    encrypted_content: Option<String>,
    /// The parts of the summary, with their numbers.
    summary: Vec<(u64, String)>,
    /// The reasoning itself, from the few models that show it.
    text: String,
}

impl Item {
    pub(super) fn new(item: wire::Item) -> Self {
        Self { content: Content::of(item), shown: false, done: false }
    }

    /// The call's id and name, if the item is a call.
    pub(super) fn call(&self) -> Option<(&str, &str)> {
        match &self.content {
            Content::FunctionCall { call_id, name, .. } => Some((call_id, name)),
            _ => None,
        }
    }

    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.content, Content::Message { refused: true, .. })
    }

    /// Takes the item as it is in the end, and shows what no delta has shown.
    pub(super) fn finish(
        &mut self,
        item: wire::Item,
        events: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        self.done = true;
        match (&mut self.content, Content::of(item)) {
            (
                Content::Message { text, refused },
                Content::Message { text: whole, refused: whole_refused },
            ) => {
                *refused |= whole_refused;
                if !self.shown && !whole.is_empty() {
                    events.push(StreamEvent::TextDelta(whole.clone()));
                }
                replace(text, whole);
            }
            (Content::Reasoning(thought), Content::Reasoning(whole)) => {
                if !self.shown && !whole.shown_text().is_empty() {
                    events.push(StreamEvent::ThinkingDelta(whole.shown_text()));
                }
                thought.finish(whole);
            }
            (
                Content::FunctionCall { call_id, name, arguments },
                Content::FunctionCall { call_id: id, name: named, arguments: whole },
            ) => {
                if *call_id != id || *name != named {
                    return Err(DecodeError::Protocol { rule: "a call must keep its id and name" });
                }
                replace(arguments, whole);
            }
            (Content::Unknown, _) => {}
            _ => return Err(DecodeError::Protocol { rule: "an item must keep its type" }),
        }
        Ok(())
    }

    pub(super) fn say(&mut self, delta: &str, refusal: bool) -> Result<StreamEvent, DecodeError> {
        let Content::Message { text, refused } = self.open()? else { return Err(MISFIT) };
        *refused |= refusal;
        text.push_str(delta);
        Ok(StreamEvent::TextDelta(delta.to_owned()))
    }

    pub(super) fn summarise(&mut self, part: u64, delta: &str) -> Result<StreamEvent, DecodeError> {
        let Content::Reasoning(thought) = self.open()? else { return Err(MISFIT) };
        let begins_another = match thought.summary.last_mut() {
            Some((last, text)) if *last == part => {
                text.push_str(delta);
                return Ok(StreamEvent::ThinkingDelta(delta.to_owned()));
            }
            last => last.is_some(),
        };
        if thought.summary.len() == BLOCKS_MAX {
            return Err(DecodeError::TooManyBlocks);
        }
        thought.summary.push((part, delta.to_owned()));
        let gap = if begins_another { PART_GAP } else { "" };
        Ok(StreamEvent::ThinkingDelta(format!("{gap}{delta}")))
    }

    pub(super) fn reason(&mut self, delta: &str) -> Result<StreamEvent, DecodeError> {
        let Content::Reasoning(thought) = self.open()? else { return Err(MISFIT) };
        thought.text.push_str(delta);
        Ok(StreamEvent::ThinkingDelta(delta.to_owned()))
    }

    pub(super) fn argue(&mut self, delta: &str) -> Result<(), DecodeError> {
        let Content::FunctionCall { arguments, .. } = self.open()? else { return Err(MISFIT) };
        arguments.push_str(delta);
        Ok(())
    }

    /// The block, if there is anything in the item. `cut` says that the answer was.
    pub(super) fn into_block(self, cut: bool) -> Result<Option<AssistantBlock>, DecodeError> {
        Ok(match self.content {
            Content::Message { text, .. } if text.is_empty() => None,
            Content::Message { text, .. } => Some(AssistantBlock::Text { text }),
            Content::Reasoning(thought) => thought.into_block()?,
            Content::FunctionCall { .. } if !self.done && !cut => {
                return Err(DecodeError::Protocol { rule: "a call must be done" });
            }
            Content::FunctionCall { call_id, name, arguments } => {
                let arguments = tool_arguments::read(arguments, cut);
                Some(AssistantBlock::ToolCall { id: call_id, name, arguments })
            }
            Content::Unknown => None,
        })
    }

    fn open(&mut self) -> Result<&mut Content, DecodeError> {
        if self.done {
            return Err(DecodeError::Protocol { rule: "nothing may follow an item's end" });
        }
        self.shown = true;
        Ok(&mut self.content)
    }
}

const MISFIT: DecodeError = DecodeError::Protocol { rule: "a delta must fit its item" };

impl Content {
    fn of(item: wire::Item) -> Self {
        match item {
            wire::Item::Message { content } => {
                let parts = content.unwrap_or_default();
                let refused = parts.iter().any(|part| matches!(part, Part::Refusal { .. }));
                Self::Message { text: text_of(parts), refused }
            }
            wire::Item::Reasoning { id, summary, content, encrypted_content } => {
                let parts = summary.unwrap_or_default().into_iter().map(|part| text_of([part]));
                Self::Reasoning(Thought {
                    id,
                    encrypted_content: encrypted_content.filter(|content| !content.is_empty()),
                    summary: (0..).zip(parts).collect(),
                    text: text_of(content.unwrap_or_default()),
                })
            }
            wire::Item::FunctionCall { call_id, name, arguments } => {
                Self::FunctionCall { call_id, name, arguments: arguments.unwrap_or_default() }
            }
            wire::Item::Unknown => Self::Unknown,
        }
    }
}

impl Thought {
    fn finish(&mut self, whole: Self) {
        replace(&mut self.id, whole.id);
        replace(&mut self.text, whole.text);
        self.encrypted_content = whole.encrypted_content.or(self.encrypted_content.take());
        if !whole.summary.is_empty() {
            self.summary = whole.summary;
        }
    }

    fn shown_text(&self) -> String {
        let summary: Vec<_> = self.summary.iter().map(|(_, part)| part.as_str()).collect();
        if summary.is_empty() { self.text.clone() } else { summary.join(PART_GAP) }
    }

    /// Reasoning that the provider did not encrypt cannot be replayed and has no signature.
    fn into_block(self) -> Result<Option<AssistantBlock>, DecodeError> {
        let Some(encrypted_content) = self.encrypted_content else {
            let text = self.shown_text();
            let block = AssistantBlock::Thinking { text, signature: None };
            return Ok(Some(block).filter(|_| !self.summary.is_empty() || !self.text.is_empty()));
        };
        let summary = self.summary.into_iter().map(|(_, part)| part).collect();
        let packed = reasoning::pack(Reasoning { id: self.id, encrypted_content, summary });
        let (text, signature) = packed.map_err(DecodeError::Json)?;
        Ok(Some(AssistantBlock::Thinking { text, signature: Some(signature) }))
    }
}

fn text_of(parts: impl IntoIterator<Item = Part>) -> String {
    let text = |part| match part {
        Part::OutputText { text } | Part::SummaryText { text } | Part::ReasoningText { text } => {
            Some(text)
        }
        Part::Refusal { refusal } => Some(refusal),
        Part::Unknown => None,
    };
    parts.into_iter().filter_map(text).collect()
}

fn replace(so_far: &mut String, whole: String) {
    if !whole.is_empty() {
        *so_far = whole;
    }
}
