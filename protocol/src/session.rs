//! The session log: what a conversation is made of, in order, and nothing else.
//!
//! Invariants: the log is append-only and numbered from 1 without gaps; its *head* is the number of
//! its last record, 0 when empty. A turn is complete in the log exactly when its
//! [`Item::TurnEnded`] is there. Everything the model is told is rebuilt from these records alone.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::{CallId, TurnId};
use crate::problem::Problem;
use crate::workspace::FileName;

/// Position in a session log, from 1; 0 stands before the first record.
pub type Sequence = u64;

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Position in the log.
    pub sequence: Sequence,
    /// When the object appended it, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The turn that it belongs to.
    pub turn: TurnId,
    /// What happened.
    pub item: Item,
}

/// What can happen in a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Item {
    /// A person wrote.
    User(UserMessage),
    /// The model answered: one whole message, never a part of one.
    Assistant(AssistantMessage),
    /// A tool call is about to run. Written before its first effect.
    ToolStarted {
        /// The call.
        call: CallId,
        /// The tool's name.
        name: String,
    },
    /// A tool call has ended, or is known to have been interrupted.
    ToolFinished(ToolFinished),
    /// What the calls of this session changed in files, up to a record, is safe in the workspace's
    /// repository.
    FilesSaved {
        /// The last record whose changes are in it.
        upto: Sequence,
        /// The snapshot; absent when there was nothing to save.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        snapshot: Option<FileName>,
    },
    /// What these calls changed in files was not saved when the container was lost. They are of
    /// this turn or of earlier ones.
    FilesLost {
        /// The calls, in order.
        calls: Vec<CallId>,
    },
    /// What the turn changed in files could not be saved before its end. It stays in the container
    /// and is tried again; it is lost if the container is lost before that.
    FilesUnsaved {
        /// Why, and what to do.
        problem: Problem,
    },
    /// The turn is over; nothing of it follows.
    TurnEnded {
        /// How it ended.
        outcome: Outcome,
    },
}

/// What a person wrote, with where it came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UserMessage {
    /// The channel that brought it, such as `web`.
    pub channel: String,
    /// The channel's own id of the message; unique within the channel.
    pub event: String,
    /// The text.
    pub text: String,
}

/// What the model answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssistantMessage {
    /// The blocks in the order in which the model produced them.
    pub blocks: Vec<Block>,
    /// Why the model stopped.
    pub stop: Stop,
    /// `provider/model` that answered.
    pub model: String,
    /// What the provider counted.
    pub usage: Usage,
    /// The `provider/model` that was to answer, where another one did because it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<String>,
}

/// A part of the model's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Block {
    /// Text for the user.
    Text {
        /// Markdown.
        text: String,
    },
    /// The model's reasoning, kept verbatim: the provider checks `signature` when it is replayed.
    Thinking {
        /// The reasoning, as far as the provider shows it.
        text: String,
        /// The provider's proof; absent where the provider gives none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signature: Option<String>,
    },
    /// Reasoning that the provider encrypted; replayed as it came.
    RedactedThinking {
        /// Opaque.
        data: String,
    },
    /// The model asks for a tool.
    ToolCall {
        /// The call's name for itself.
        call: CallId,
        /// The tool's name.
        name: String,
        /// What it is called with.
        arguments: ToolArguments,
    },
}

/// A tool call's arguments, or the text that should have been arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolArguments {
    /// A JSON object.
    Object(Map<String, Value>),
    /// Not a JSON object; the call is refused with this text so that the model can mend it.
    Malformed(String),
}

/// Why the model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stop {
    /// It had said what it had to say.
    EndTurn,
    /// It waits for tool results.
    ToolUse,
    /// It reached the output limit.
    MaxTokens,
    /// It paused a long step of its own and wants to be asked to go on.
    Pause,
    /// It declined.
    Refusal,
    /// The user stopped it; the blocks hold what had been said.
    Cancelled,
    /// A reason that this version has no name for.
    Other,
}

/// Tokens, as the provider counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Input tokens that were not read from a cache.
    pub input_tokens: u64,
    /// Output tokens, reasoning included.
    pub output_tokens: u64,
    /// Input tokens read from the provider's cache.
    pub cache_read_tokens: u64,
    /// Input tokens written to the provider's cache.
    pub cache_write_tokens: u64,
}

/// The end of a tool call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolFinished {
    /// The call.
    pub call: CallId,
    /// How it ended.
    pub status: ToolStatus,
    /// What the model is told.
    pub output: String,
    /// What the model is shown besides, if it takes images.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// How long it ran, milliseconds.
    pub duration_ms: u64,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Such as `image/png`.
    pub media_type: String,
    /// The bytes in standard base64.
    pub base64: String,
}

/// How a tool call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolStatus {
    /// It did what it was asked.
    Ok,
    /// It ran and failed.
    Failed,
    /// It was not run: unknown tool, bad arguments, or not allowed.
    Refused,
    /// It was started and its end was never seen; it may or may not have had its effect.
    Interrupted,
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Outcome {
    /// The model said what it had to say.
    Completed,
    /// The user stopped it.
    Cancelled,
    /// It could not be finished; the problem is shown to the user.
    Failed {
        /// What failed and what to do.
        problem: Problem,
    },
}
