//! The two wire formats: from a request's JSON to a conversation, from an answer to a stream.
//!
//! Invariants: a frame is one server-sent event; a stream ends with its format's terminal event.

mod anthropic;
mod openai;
mod pieces;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use crate::conversation::{Answer, Conversation};

/// A wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Chat Completions.
    OpenAi,
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// Not JSON.
    #[error("the body is not JSON ({0})")]
    Json(#[source] serde_json::Error),
    /// A part is missing or of another kind.
    #[error("`{0}` is missing or is not what the API wants")]
    Part(&'static str),
    /// A whole answer is asked for.
    #[error("the demo model only streams: set `stream` to true")]
    NotStreaming,
}

impl Dialect {
    /// Reads a request.
    pub(crate) fn read(self, body: &[u8]) -> Result<Conversation, RequestError> {
        let request: Value = serde_json::from_slice(body).map_err(RequestError::Json)?;
        if request.get("stream") != Some(&Value::Bool(true)) {
            return Err(RequestError::NotStreaming);
        }
        let model = request.get("model").and_then(Value::as_str);
        let model = model.ok_or(RequestError::Part("model"))?.to_owned();
        let messages = request.get("messages").and_then(Value::as_array);
        let messages = messages.ok_or(RequestError::Part("messages"))?;
        let (tools, entries) = match self {
            Self::Anthropic => (anthropic::tools(&request), anthropic::entries(messages)?),
            Self::OpenAi => (openai::tools(&request), openai::entries(messages)?),
        };
        Ok(Conversation { model, tools, entries, bytes: body.len() })
    }

    /// The frames of an answer.
    pub(crate) fn frames(self, conversation: &Conversation, answer: &Answer) -> Vec<String> {
        match self {
            Self::Anthropic => anthropic::frames(conversation, answer),
            Self::OpenAi => openai::frames(conversation, answer),
        }
    }

    /// The body of a refusal.
    pub(crate) fn refusal(self, error: &RequestError) -> Value {
        let error = json!({"type": "invalid_request_error", "message": error.to_string()});
        match self {
            Self::Anthropic => json!({"type": "error", "error": error}),
            Self::OpenAi => json!({"error": error}),
        }
    }
}

/// The texts of a message's content: one string, or blocks of which only texts are looked at.
fn texts(content: &Value) -> Vec<String> {
    match content {
        Value::String(text) => vec![text.clone()],
        Value::Array(blocks) => blocks
            .iter()
            .filter_map(|block| block.get("text").and_then(Value::as_str).map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}
