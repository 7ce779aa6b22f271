//! Where a turn stands, folded from its records.
//!
//! Invariant: the state depends on the turn's items and their order alone, so a turn that is taken
//! up by another process goes on exactly where the log ends.

use std::collections::HashSet;

use protocol::CallId;
use protocol::session::{AssistantMessage, Block, Item, Outcome, Stop, ToolArguments};

use super::history::History;
use protocol::TurnId;

/// A tool call of the last answer that has no end yet.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenCall {
    /// The call.
    pub call: CallId,
    /// The tool's name.
    pub name: String,
    /// What it is called with.
    pub arguments: ToolArguments,
    /// Whether the log says that it was started.
    pub started: bool,
}

/// What the turn's last item was, apart from the calls that are still open.
#[derive(Debug, Clone, PartialEq)]
pub enum Last {
    /// There is no item.
    Nothing,
    /// Something that the model has not answered yet: a message or the last result.
    Unanswered,
    /// The model's answer, without tool calls.
    Answer {
        /// Why the model stopped.
        stop: Stop,
        /// Whether it said something.
        has_text: bool,
    },
    /// The end.
    Ended(Outcome),
}

/// Where a turn stands.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnState {
    /// Its last item.
    pub last: Last,
    /// Calls of the last answer that have no end yet, in order.
    pub open_calls: Vec<OpenCall>,
    /// Why the model stopped when it last answered.
    pub last_stop: Stop,
    /// How often the model has answered.
    pub model_calls: u32,
    /// How many tool calls have ended.
    pub tool_calls: u32,
    /// The names of all calls, open or not.
    pub call_ids: HashSet<CallId>,
}

impl TurnState {
    /// The state before the first item.
    pub fn new() -> Self {
        Self {
            last: Last::Nothing,
            open_calls: Vec::new(),
            last_stop: Stop::Other,
            model_calls: 0,
            tool_calls: 0,
            call_ids: HashSet::new(),
        }
    }

    /// The state after all items of `turn` in the history.
    pub fn of(history: &History, turn: &TurnId) -> Self {
        let mut state = Self::new();
        for entry in history.entries().filter(|entry| entry.turn == *turn) {
            state.apply(&entry.item);
        }
        state
    }

    /// Takes in the turn's next item.
    pub fn apply(&mut self, item: &Item) {
        match item {
            // What was lost may belong to an answer that is there already: the model must know.
            Item::User(_) | Item::FilesLost { .. } => self.last = Last::Unanswered,
            Item::Assistant(message) => self.answered(message),
            Item::ToolStarted { call, .. } => {
                if let Some(open) = self.open_calls.iter_mut().find(|open| open.call == *call) {
                    open.started = true;
                }
            }
            Item::ToolFinished(finished) => {
                self.open_calls.retain(|open| open.call != finished.call);
                self.tool_calls = self.tool_calls.saturating_add(1);
            }
            Item::FilesSaved { .. } | Item::FilesUnsaved { .. } => {}
            Item::TurnEnded { outcome } => self.last = Last::Ended(outcome.clone()),
        }
    }

    fn answered(&mut self, message: &AssistantMessage) {
        self.model_calls = self.model_calls.saturating_add(1);
        self.last_stop = message.stop;
        self.open_calls = open_calls(message);
        self.call_ids.extend(self.open_calls.iter().map(|open| open.call.clone()));
        self.last = if self.open_calls.is_empty() {
            Last::Answer { stop: message.stop, has_text: has_text(message) }
        } else {
            Last::Unanswered
        };
    }
}

impl Default for TurnState {
    fn default() -> Self {
        Self::new()
    }
}

fn open_calls(message: &AssistantMessage) -> Vec<OpenCall> {
    let call = |block: &Block| match block {
        Block::ToolCall { call, name, arguments } => Some(OpenCall {
            call: call.clone(),
            name: name.clone(),
            arguments: arguments.clone(),
            started: false,
        }),
        _ => None,
    };
    message.blocks.iter().filter_map(call).collect()
}

fn has_text(message: &AssistantMessage) -> bool {
    message.blocks.iter().any(|block| match block {
        Block::Text { text } => !text.trim().is_empty(),
        _ => false,
    })
}
