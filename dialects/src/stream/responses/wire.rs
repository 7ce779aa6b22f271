//! The events of the Responses stream as they are on the wire, as far as they are read.

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
pub(super) enum Event {
    #[serde(rename = "response.created", alias = "response.in_progress")]
    Begun { response: Response },
    #[serde(rename = "response.output_item.added")]
    ItemAdded { output_index: u64, item: Item },
    #[serde(rename = "response.output_item.done")]
    ItemDone { output_index: u64, item: Item },
    #[serde(rename = "response.output_text.delta")]
    TextDelta { output_index: u64, delta: String },
    #[serde(rename = "response.refusal.delta")]
    RefusalDelta { output_index: u64, delta: String },
    #[serde(rename = "response.reasoning_summary_text.delta")]
    SummaryDelta {
        output_index: u64,
        #[serde(default)]
        summary_index: u64,
        delta: String,
    },
    #[serde(rename = "response.reasoning_text.delta")]
    ReasoningDelta { output_index: u64, delta: String },
    #[serde(rename = "response.function_call_arguments.delta")]
    ArgumentsDelta { output_index: u64, delta: String },
    #[serde(rename = "response.completed")]
    Completed { response: Response },
    #[serde(rename = "response.incomplete")]
    Incomplete { response: Response },
    #[serde(rename = "response.failed")]
    Failed { response: Response },
    #[serde(rename = "error")]
    Error(Value),
    /// Beginnings and ends of parts, tools of the provider's own, and whatever the API adds.
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Response {
    pub(super) model: Option<String>,
    pub(super) usage: Option<Value>,
    pub(super) error: Option<Value>,
    pub(super) incomplete_details: Option<IncompleteDetails>,
}

#[derive(Debug, Deserialize)]
pub(super) struct IncompleteDetails {
    pub(super) reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item {
    Message {
        content: Option<Vec<Part>>,
    },
    Reasoning {
        #[serde(default)]
        id: String,
        summary: Option<Vec<Part>>,
        content: Option<Vec<Part>>,
        encrypted_content: Option<String>,
    },
    FunctionCall {
        #[serde(default)]
        call_id: String,
        #[serde(default)]
        name: String,
        arguments: Option<String>,
    },
    /// Tools of the provider's own, and whatever the API adds.
    #[serde(other)]
    Unknown,
}

impl Item {
    /// The item as it would have been added.
    pub(super) fn begun(&self) -> Self {
        match self {
            Self::Message { .. } => Self::Message { content: None },
            Self::Reasoning { id, .. } => Self::Reasoning {
                id: id.clone(),
                summary: None,
                content: None,
                encrypted_content: None,
            },
            Self::FunctionCall { call_id, name, .. } => {
                Self::FunctionCall { call_id: call_id.clone(), name: name.clone(), arguments: None }
            }
            Self::Unknown => Self::Unknown,
        }
    }
}

/// A part of a message, of a summary or of reasoning.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Part {
    OutputText {
        text: String,
    },
    Refusal {
        refusal: String,
    },
    SummaryText {
        text: String,
    },
    ReasoningText {
        text: String,
    },
    #[serde(other)]
    Unknown,
}
