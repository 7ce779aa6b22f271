//! Builds the body and the headers of a request.
//!
//! Invariants: the same request gives the same bytes; adding messages at the end leaves what came
//! before as it was, so that the provider's prompt cache holds; no key passes through here.

#[cfg(test)]
mod accent_tests;
mod anthropic;
mod openai;
mod responses;
mod runs;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::accent::{Accent, Claude, Levels, Quirk};
use crate::conversation::{ModelRequest, ThinkingLevel, ToolArguments, ToolResult};
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

/// The request's body, as the provider and the model with this accent take it.
pub fn encode(
    dialect: Dialect,
    accent: &Accent,
    request: &ModelRequest,
) -> Result<Vec<u8>, EncodeError> {
    match dialect {
        Dialect::AnthropicMessages => anthropic::encode(accent, request),
        Dialect::OpenAiChat => openai::encode(accent, request),
        Dialect::OpenAiResponses => responses::encode(accent, request),
    }
}

/// The request's headers, apart from the key.
pub fn headers(dialect: Dialect, accent: &Accent) -> Vec<(&'static str, &'static str)> {
    let mut headers = vec![("content-type", "application/json"), ("accept", "text/event-stream")];
    if dialect == Dialect::AnthropicMessages {
        headers.push(("anthropic-version", "2023-06-01"));
        if accent.claude == Claude::PrefixBound {
            headers.push(("anthropic-beta", anthropic::BLOCK_BINDING));
        }
    }
    headers
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

/// The provider's word for a level.
fn word(levels: Levels, level: ThinkingLevel) -> &'static str {
    match level {
        ThinkingLevel::Off => levels.off,
        ThinkingLevel::Low => levels.low,
        ThinkingLevel::Medium => levels.medium,
        ThinkingLevel::High => levels.high,
    }
}

fn prompt_cache_key<'a>(accent: &Accent, request: &'a ModelRequest) -> Option<&'a str> {
    request.cache_key.as_deref().filter(|_| accent.has(Quirk::PromptCacheKey))
}
