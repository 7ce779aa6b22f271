//! A request, whichever API it came by.

use serde_json::{Map, Value};

/// What the model is asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Conversation {
    /// The model's name, echoed in the answer.
    pub(crate) model: String,
    /// The tools that may be called.
    pub(crate) tools: Vec<String>,
    /// What was said and done, in order.
    pub(crate) entries: Vec<Entry>,
    /// Bytes of the request, for the token count.
    pub(crate) bytes: usize,
}

/// One thing that was said or done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Entry {
    /// The user said.
    User(String),
    /// The model said.
    Assistant(String),
    /// The model called a tool.
    Call(Call),
    /// A tool answered.
    Result(ToolResult),
}

/// A tool call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    /// Names the call.
    pub(crate) id: String,
    /// The tool.
    pub(crate) tool: String,
    /// What it is called with.
    pub(crate) arguments: Map<String, Value>,
}

/// What came of a tool call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToolResult {
    /// The call that it answers.
    pub(crate) call: String,
    /// What the tool said.
    pub(crate) output: String,
    /// Whether it failed; OpenAI's format does not tell.
    pub(crate) failed: bool,
}

/// What the model says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Answer {
    /// Thought before, shown apart.
    pub(crate) thinking: Option<String>,
    /// Said.
    pub(crate) text: String,
    /// Tools to call then.
    pub(crate) calls: Vec<Call>,
}

impl Conversation {
    /// The user's messages, oldest first.
    pub(crate) fn user_messages(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::User(text) => Some(text.as_str()),
            Entry::Assistant(_) | Entry::Call(_) | Entry::Result(_) => None,
        })
    }

    /// The call with this id.
    pub(crate) fn call(&self, id: &str) -> Option<&Call> {
        self.entries.iter().rev().find_map(|entry| match entry {
            Entry::Call(call) if call.id == id => Some(call),
            _ => None,
        })
    }

    /// Tokens of the request as far as anyone can tell without a tokenizer: four bytes each.
    pub(crate) fn input_tokens(&self) -> usize {
        self.bytes.div_ceil(4)
    }
}

impl Answer {
    /// Tokens of the answer, by the same rule.
    pub(crate) fn output_tokens(&self) -> usize {
        let calls: usize = self.calls.iter().map(|call| call.arguments_text().len()).sum();
        let thinking = self.thinking.as_deref().unwrap_or_default().len();
        (self.text.len() + thinking + calls).div_ceil(4).max(1)
    }
}

impl Call {
    /// The arguments as JSON.
    pub(crate) fn arguments_text(&self) -> String {
        Value::Object(self.arguments.clone()).to_string()
    }
}
