//! A provider's refusal or failure in one shape, from an HTTP answer or from inside a stream.
//!
//! Invariant: the message is short, one line, printable, and never markup, because it is shown to
//! people in a chat.

mod body;
mod classify;
#[cfg(test)]
mod tests;

use std::time::Duration;

use thiserror::Error;

use crate::limits::RETRY_AFTER_MS_MAX;

/// What kind of failure it is: what decides about retrying and about the remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProviderErrorKind {
    /// The key is missing, wrong or revoked.
    Authentication,
    /// The key is right but may not do this.
    Permission,
    /// No credit or quota is left; waiting does not help.
    QuotaExhausted,
    /// No such model or no such endpoint.
    NotFound,
    /// The request is not acceptable; the same request will fail again.
    InvalidRequest,
    /// The conversation does not fit the model's context window.
    ContextTooLong,
    /// The request has too many bytes.
    RequestTooLarge,
    /// Too many requests or tokens for now.
    RateLimited,
    /// The provider has too much to do for now.
    Overloaded,
    /// The provider failed, or gave up waiting.
    Server,
    /// None of these.
    Other,
}

impl ProviderErrorKind {
    fn words(self) -> &'static str {
        match self {
            Self::Authentication => "authentication failed",
            Self::Permission => "not permitted",
            Self::QuotaExhausted => "no quota or credit left",
            Self::NotFound => "not found",
            Self::InvalidRequest => "invalid request",
            Self::ContextTooLong => "the conversation is too long for the model",
            Self::RequestTooLarge => "request too large",
            Self::RateLimited => "rate limited",
            Self::Overloaded => "overloaded",
            Self::Server => "server error",
            Self::Other => "error",
        }
    }
}

/// What the provider said.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}: {message}", kind.words())]
pub struct ProviderError {
    /// What kind of failure it is.
    pub kind: ProviderErrorKind,
    /// The HTTP status; `None` for an error inside a stream that gave none.
    pub status: Option<u16>,
    /// The provider's own sentence, or one made of the status when it has none.
    pub message: String,
    /// How long the provider asks to wait, at most [`RETRY_AFTER_MS_MAX`].
    pub retry_after_ms: Option<u64>,
    /// The provider's explicit advice, which stands above the kind.
    pub should_retry: Option<bool>,
}

impl ProviderError {
    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        use ProviderErrorKind::{Overloaded, RateLimited, Server};
        self.should_retry.unwrap_or(matches!(self.kind, RateLimited | Overloaded | Server))
    }

    /// Reads the error object of a stream's event: the value of its `error` member.
    pub(crate) fn from_stream(error: &serde_json::Value) -> Self {
        let said = body::from_error_member(error);
        Self::new(said.status, said, None, None)
    }

    fn new(
        status: Option<u16>,
        said: body::Said,
        retry_after_ms: Option<u64>,
        should_retry: Option<bool>,
    ) -> Self {
        let kind = classify::kind(status, &said);
        let message = said.message.unwrap_or_else(|| match status {
            Some(status) => format!("HTTP status {status} without an explanation"),
            None => "no explanation was given".to_owned(),
        });
        Self { kind, status, message, retry_after_ms, should_retry }
    }
}

/// Reads an HTTP answer that is not a success. Both dialects are read alike, since gateways answer
/// in their own form before the provider is reached.
///
/// `header` looks up a response header by its lower-case name; `body` may be cut at
/// [`ERROR_BODY_BYTES_MAX`](crate::limits::ERROR_BODY_BYTES_MAX), and is looked at no further.
pub fn decode_error(
    status: u16,
    header: impl Fn(&str) -> Option<String>,
    body: &[u8],
) -> ProviderError {
    let should_retry = match header("x-should-retry").as_deref().map(str::trim) {
        Some("true") => Some(true),
        Some("false") => Some(false),
        _ => None,
    };
    let milliseconds = header("retry-after-ms").and_then(|value| wait_ms(&value, 1000.0));
    let retry_after_ms =
        milliseconds.or_else(|| header("retry-after").and_then(|value| wait_ms(&value, 1.0)));
    ProviderError::new(Some(status), body::read(body), retry_after_ms, should_retry)
}

/// Reads a number of seconds times `per_second`. A date is not read: that would need a clock, and
/// the retry policy has a wait of its own.
fn wait_ms(value: &str, per_second: f64) -> Option<u64> {
    let number: f64 = value.trim().parse().ok()?;
    let wait = Duration::try_from_secs_f64(number / per_second).ok()?;
    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    Some(wait_ms.min(RETRY_AFTER_MS_MAX))
}
