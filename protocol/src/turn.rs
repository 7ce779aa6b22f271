//! A turn on its way: what the object asks of the runtime, and what it hears while it runs.
//!
//! Invariants: events of a turn are numbered from 1 upwards, and a later event never takes an
//! earlier number; numbers may be missing where a delta was superseded by a durable record.
//! [`EventKind::Finished`] is the last event. Deltas are live only: everything that must survive is
//! in the session log before an [`EventKind::Appended`] speaks of it.

use serde::{Deserialize, Serialize};

use crate::ids::{SessionId, TurnId};
use crate::session::{Outcome, Record, Sequence};

/// Asks the runtime to run a turn. Posting the same turn again attaches to the running one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnRequest {
    /// Protocol version of the sender.
    pub protocol: u32,
    /// The turn.
    pub turn: TurnId,
    /// The conversation.
    pub session: SessionId,
    /// The log's head when the object asked.
    pub head: Sequence,
    /// The last records of the log, up to and with `head`: what this turn began with, or none when
    /// they are many. A runtime that holds the log up to just before them need not read it.
    pub records: Vec<Record>,
    /// What to think with.
    pub model: ModelChoice,
    /// What to think with when that fails, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<ModelChoice>,
}

/// The model that a turn thinks with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelChoice {
    /// The provider's name in the settings: the `<provider>` of `/model/<provider>/…`.
    pub provider: String,
    /// The wire format that the provider speaks.
    pub api: ModelApi,
    /// The model's name at the provider.
    pub model: String,
    /// Most tokens that one answer may have.
    pub max_output_tokens: u32,
    /// How many tokens the model can take in and give out together.
    pub context_tokens: u32,
    /// How much it is to think before it answers; absent where that is left to the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<ThinkingLevel>,
    /// Whether it takes images.
    #[serde(default, skip_serializing_if = "is_default")]
    pub images: bool,
}

/// How much a model is to think before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// The wire formats of model providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelApi {
    /// Anthropic Messages.
    AnthropicMessages,
    /// `OpenAI` Chat Completions.
    OpenaiChat,
    /// `OpenAI` Responses.
    OpenaiResponses,
}

/// One line of a turn's event stream (NDJSON).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnEvent {
    /// Number of the event within its turn, from 1.
    pub n: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What can happen in a running turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The model is being asked.
    ModelCalled {
        /// How many times this turn has asked, from 1.
        step: u32,
    },
    /// The model says something.
    Text {
        /// The next piece.
        text: String,
    },
    /// The model thinks aloud.
    Thinking {
        /// The next piece.
        text: String,
    },
    /// The model did not answer and is asked again, or another one is; what was streamed since the
    /// last [`EventKind::ModelCalled`] is void.
    Retrying {
        /// The `provider/model` that is asked next.
        model: String,
        /// Why the last one did not answer, in one sentence.
        reason: String,
        /// How long from now.
        after_ms: u64,
    },
    /// The log has grown; what was streamed since the last such event is now in it.
    Appended {
        /// The log's new head.
        head: Sequence,
    },
    /// What the turn changed in files is being saved; its end follows.
    Saving,
    /// The turn is over. Nothing follows.
    Finished {
        /// How it ended.
        outcome: Outcome,
        /// Where the time went, for the bench.
        #[serde(default)]
        timing: Timing,
    },
}

/// Where a turn's time went, microseconds of the runtime's own clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timing {
    /// From the request's arrival to the end.
    pub total_us: u64,
    /// Waiting for model responses, from request sent to last byte.
    pub model_us: u64,
    /// Waiting for the session log (reads and appends).
    pub log_us: u64,
    /// Inside tools.
    pub tools_us: u64,
    /// Waiting at the end for the workspace to be saved.
    #[serde(skip_serializing_if = "is_default")]
    pub save_us: u64,
}

/// Older parts do not know the field; where it says nothing it is left out.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
