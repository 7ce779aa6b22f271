//! What the model is asked: the conversation in the terms that all model APIs share.
//!
//! Invariant: thinking text, signatures and redacted data are carried as they came, because the
//! provider verifies them when they are replayed.
//!
//! Not here: a stored form. Whoever keeps a conversation has its own records and builds these.

use serde_json::{Map, Value};

/// One request to a model. The answer is always streamed.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelRequest {
    /// The model's name as the provider spells it.
    pub model: String,
    /// The system prompt; blank means none.
    pub system: String,
    /// The conversation, oldest first. Every tool call must have its result in the messages that
    /// follow it, before the next assistant message; providers refuse the request otherwise.
    pub messages: Vec<Message>,
    /// The tools on offer. Their order is part of the provider's cache key: keep it stable.
    pub tools: Vec<ToolSpec>,
    /// The most that the model may write, thinking included.
    pub max_output_tokens: u32,
    /// How much the model is to think; `None` leaves it to the provider.
    pub thinking: Option<ThinkingLevel>,
    /// The same for all requests of one conversation, and telling nothing about it: lets a provider
    /// that wants it keep the conversation near its cached prefix.
    pub cache_key: Option<String>,
}

/// How much a model is to think before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThinkingLevel {
    /// Not at all, or as little as the model can.
    Off,
    /// A little.
    Low,
    /// Some.
    Medium,
    /// As much as it likes.
    High,
}

/// A tool as the model sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    /// Letters, digits, `_` and `-`; at most 64.
    pub name: String,
    /// What it does and when to use it.
    pub description: String,
    /// JSON Schema of its arguments; the top level must be an object.
    pub input_schema: Value,
}

/// One message. Neighbours of the same side are merged when they are encoded.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A person wrote.
    User(Vec<UserBlock>),
    /// The model answered.
    Assistant(Vec<AssistantBlock>),
    /// The results of the tool calls of the assistant message before.
    ToolResults(Vec<ToolResult>),
}

/// A part of what a person sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserBlock {
    /// Text; blank text is left out of the request.
    Text {
        /// The text.
        text: String,
    },
    /// An image.
    Image(Image),
}

/// An image for a model that takes some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Such as `image/png`.
    pub media_type: String,
    /// The bytes in standard base64.
    pub base64: String,
}

impl Image {
    /// As a `data:` URL.
    pub(crate) fn url(&self) -> String {
        format!("data:{};base64,{}", self.media_type, self.base64)
    }
}

/// A part of what the model answered.
#[derive(Debug, Clone, PartialEq)]
pub enum AssistantBlock {
    /// Text for the user.
    Text {
        /// Markdown.
        text: String,
    },
    /// The model's reasoning.
    Thinking {
        /// As far as the provider shows it; may be empty when there is a signature.
        text: String,
        /// The provider's proof. Without one the block is not replayed.
        signature: Option<String>,
    },
    /// Reasoning that the provider encrypted.
    RedactedThinking {
        /// Opaque.
        data: String,
    },
    /// The model asks for a tool.
    ToolCall {
        /// Unique within the conversation.
        id: String,
        /// The tool's name, which may be one that does not exist.
        name: String,
        /// What it is called with.
        arguments: ToolArguments,
    },
}

/// A tool call's arguments, or the text that should have been arguments.
#[derive(Debug, Clone, PartialEq)]
pub enum ToolArguments {
    /// A JSON object.
    Object(Map<String, Value>),
    /// Not a JSON object, or cut off by the output limit. Answer the call with an error so that the
    /// model can mend it; do not run it.
    Malformed(String),
}

/// What a tool call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolResult {
    /// The call's id.
    pub call_id: String,
    /// What the model is told.
    pub content: String,
    /// What the model is shown besides.
    pub images: Vec<Image>,
    /// Whether the call failed.
    pub is_error: bool,
}
