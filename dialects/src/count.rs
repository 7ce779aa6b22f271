//! What a provider's `usage` object says, in each dialect.
//!
//! Invariant: each input token is counted once, whichever way the provider splits them.

use serde::Deserialize;
use serde_json::Value;

use crate::answer::Usage;

/// The counts of Anthropic Messages: the three input counts are apart from each other
/// (<https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching>).
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names are the wire's")]
pub(crate) struct AnthropicUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

impl AnthropicUsage {
    /// Counts are running totals, and a later report may leave some out or give 0 for them: each
    /// total is the largest that was reported.
    pub(crate) fn raise(&self, total: &mut Usage) {
        let raise = |total: &mut u64, count: Option<u64>| *total = (*total).max(count.unwrap_or(0));
        raise(&mut total.input_tokens, self.input_tokens);
        raise(&mut total.output_tokens, self.output_tokens);
        raise(&mut total.cache_read_tokens, self.cache_read_input_tokens);
        raise(&mut total.cache_write_tokens, self.cache_creation_input_tokens);
    }
}

/// The counts of Chat Completions. `prompt_tokens` counts cached tokens too. `DeepSeek` gives the
/// cached ones under a name of its own.
pub(crate) fn chat(usage: &Value) -> Usage {
    let cached = number(usage, "/prompt_tokens_details/cached_tokens")
        .or_else(|| number(usage, "/prompt_cache_hit_tokens"));
    let written = number(usage, "/prompt_tokens_details/cache_write_tokens");
    split(number(usage, "/prompt_tokens"), cached, written, number(usage, "/completion_tokens"))
}

/// The counts of Responses. `input_tokens` counts cached tokens too.
pub(crate) fn responses(usage: &Value) -> Usage {
    split(
        number(usage, "/input_tokens"),
        number(usage, "/input_tokens_details/cached_tokens"),
        number(usage, "/input_tokens_details/cache_write_tokens"),
        number(usage, "/output_tokens"),
    )
}

fn number(usage: &Value, pointer: &str) -> Option<u64> {
    usage.pointer(pointer).and_then(Value::as_u64)
}

fn split(
    input: Option<u64>,
    cached: Option<u64>,
    written: Option<u64>,
    output: Option<u64>,
) -> Usage {
    let (cache_read_tokens, cache_write_tokens) = (cached.unwrap_or(0), written.unwrap_or(0));
    Usage {
        input_tokens: input
            .unwrap_or(0)
            .saturating_sub(cache_read_tokens)
            .saturating_sub(cache_write_tokens),
        output_tokens: output.unwrap_or(0),
        cache_read_tokens,
        cache_write_tokens,
    }
}
