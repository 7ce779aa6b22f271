//! Builds the body and the headers of a request.
//!
//! Invariants: the same request gives the same bytes; adding messages at the end leaves what came
//! before as it was, so that the provider's prompt cache holds; no key passes through here.

mod anthropic;
mod openai;
mod responses;
mod runs;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::conversation::{ModelRequest, ToolArguments, ToolResult};
use crate::dialect::Dialect;

/// A request that cannot be sent.
#[derive(Debug, Error)]
pub enum EncodeError {
    /// Nothing but blank messages.
    #[error("the conversation holds nothing that can be sent to a model")]
    NothingToSend,
    /// Serialisation failed.
    #[error("cannot write the model request as JSON")]
    Json(#[from] serde_json::Error),
}

/// The request's body.
///
/// The `OpenAI` body limits the output by `max_completion_tokens`, which `OpenAI` itself asks for;
/// a provider that only knows `max_tokens` applies its own limit.
pub fn encode(dialect: Dialect, request: &ModelRequest) -> Result<Vec<u8>, EncodeError> {
    match dialect {
        Dialect::AnthropicMessages => anthropic::encode(request),
        Dialect::OpenAiChat => openai::encode(request),
        Dialect::OpenAiResponses => responses::encode(request),
    }
}

/// The request's headers, apart from the key.
pub fn headers(dialect: Dialect) -> &'static [(&'static str, &'static str)] {
    match dialect {
        Dialect::AnthropicMessages => &[
            ("content-type", "application/json"),
            ("accept", "text/event-stream"),
            ("anthropic-version", "2023-06-01"),
        ],
        Dialect::OpenAiChat | Dialect::OpenAiResponses => {
            &[("content-type", "application/json"), ("accept", "text/event-stream")]
        }
    }
}

/// Providers take nothing but an object. What the model wrote instead goes back inside one, so that
/// it sees what its error is about.
fn with_object<T>(arguments: &ToolArguments, write: impl FnOnce(&Map<String, Value>) -> T) -> T {
    match arguments {
        ToolArguments::Object(map) => write(map),
        ToolArguments::Malformed(text) => {
            let mut map = Map::new();
            map.insert("malformed_arguments".to_owned(), Value::String(text.clone()));
            write(&map)
        }
    }
}

/// A tool's result as text, for the formats that have no field for failure: the text says it.
fn result_text(result: &ToolResult) -> String {
    let prefix = if result.is_error { "Error: " } else { "" };
    format!("{prefix}{}", result.content)
}
