//! Decides what kind of failure it is: a precise code first, then the status, then a vague type.

use super::ProviderErrorKind::{
    self, Authentication, ContextTooLong, InvalidRequest, NotFound, Other, Overloaded, Permission,
    QuotaExhausted, RateLimited, RequestTooLarge, Server,
};
use super::body::Said;

/// How providers say in words that the context is full; they have no common code for it.
const CONTEXT_WORDS: &[&str] = &[
    "prompt is too long",
    "context length",
    "context_length",
    "context window",
    "context limit",
    "context size",
    "maximum number of tokens",
];

/// How providers say in words that nothing is left to spend, under codes that mean other things.
const QUOTA_WORDS: &[&str] =
    &["credit balance", "exceeded your current quota", "insufficient balance"];

pub(super) fn kind(status: Option<u16>, said: &Said) -> ProviderErrorKind {
    let by_code = |table: fn(&str) -> Option<ProviderErrorKind>| {
        said.codes.iter().find_map(|code| table(code))
    };
    let kind = by_code(precise)
        .or_else(|| status.and_then(by_status))
        .or_else(|| by_code(vague))
        .unwrap_or(Other);
    by_words(kind, said.message.as_deref().unwrap_or_default())
}

fn precise(code: &str) -> Option<ProviderErrorKind> {
    Some(match code {
        "authentication_error" | "invalid_api_key" | "UNAUTHENTICATED" => Authentication,
        "permission_error" | "permission_denied" | "PERMISSION_DENIED" => Permission,
        "billing_error" | "insufficient_quota" | "billing_hard_limit_reached" => QuotaExhausted,
        "not_found_error" | "model_not_found" | "NOT_FOUND" => NotFound,
        "context_length_exceeded" | "string_above_max_length" => ContextTooLong,
        "request_too_large" => RequestTooLarge,
        "rate_limit_error" | "rate_limit_exceeded" | "RESOURCE_EXHAUSTED" => RateLimited,
        "overloaded_error" | "engine_overloaded" | "server_is_overloaded" | "UNAVAILABLE" => {
            Overloaded
        }
        "timeout_error" => Server,
        _ => return None,
    })
}

fn by_status(status: u16) -> Option<ProviderErrorKind> {
    Some(match status {
        400 | 405 | 406 | 415 | 422 => InvalidRequest,
        401 => Authentication,
        402 => QuotaExhausted,
        403 => Permission,
        404 | 410 => NotFound,
        413 => RequestTooLarge,
        429 => RateLimited,
        503 | 529 => Overloaded,
        // The SDKs of both providers retry these two like a failure of the server.
        408 | 409 | 500..=599 => Server,
        _ => return None,
    })
}

fn vague(code: &str) -> Option<ProviderErrorKind> {
    Some(match code {
        "invalid_request_error" | "INVALID_ARGUMENT" => InvalidRequest,
        "api_error" | "server_error" | "internal_error" | "INTERNAL" => Server,
        _ => return None,
    })
}

/// The sentence refines a kind that is used for more than one thing.
fn by_words(kind: ProviderErrorKind, message: &str) -> ProviderErrorKind {
    let message = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    match kind {
        InvalidRequest | RateLimited | Permission if says(QUOTA_WORDS) => QuotaExhausted,
        InvalidRequest | RequestTooLarge | Server | Other if says(CONTEXT_WORDS) => ContextTooLong,
        kind => kind,
    }
}
