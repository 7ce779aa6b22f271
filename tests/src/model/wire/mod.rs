//! The wire formats of the scripted model: answers as streams of events, refusals as bodies.

mod anthropic;
mod chat;
mod responses;

use serde_json::{Value, json};

/// The format of one call, told by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Anthropic Messages.
    Anthropic,
    /// `OpenAI` Chat Completions.
    OpenAi,
    /// `OpenAI` Responses.
    Responses,
}

impl Format {
    pub(crate) fn of(path: &str) -> Self {
        if path.ends_with("/messages") {
            Self::Anthropic
        } else if path.ends_with("/responses") {
            Self::Responses
        } else {
            Self::OpenAi
        }
    }
}

/// Tokens that an answer says were used, each in one count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Input that has nothing to do with a cache.
    pub input: u64,
    /// Output.
    pub output: u64,
    /// Input read from a cache.
    pub cache_read: u64,
    /// Input written to a cache, which only Anthropic tells.
    pub cache_write: u64,
}

impl Counts {
    /// What the call of this number counts whose body has so many bytes: different from call to
    /// call, so that sums that agree agree for a reason.
    pub(crate) fn of(number: usize, bytes: usize, format: Format) -> Self {
        let (number, bytes) = (number as u64, bytes as u64);
        let cache_write = if format == Format::Anthropic { number % 5 } else { 0 };
        Self { input: bytes / 7, output: 3 + number % 11, cache_read: number * 13, cache_write }
    }

    /// All input.
    fn total_input(&self) -> u64 {
        self.input + self.cache_read + self.cache_write
    }
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, more| Self {
            input: sum.input + more.input,
            output: sum.output + more.output,
            cache_read: sum.cache_read + more.cache_read,
            cache_write: sum.cache_write + more.cache_write,
        })
    }
}

/// How an answer is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Voice {
    /// In this format.
    pub(crate) format: Format,
    /// With these counts.
    pub(crate) counts: Counts,
}

impl Voice {
    /// One that counts nothing.
    pub(crate) fn plain(format: Format) -> Self {
        Self { format, counts: Counts::default() }
    }
}

/// A whole answer that says `text`.
pub(crate) fn text_events(text: &str, voice: Voice) -> Vec<String> {
    let mut events = text_begin(text, voice);
    events.extend(text_end("", text, voice));
    events
}

/// The beginning of an answer: `text` in pieces, and no end.
pub(crate) fn text_begin(text: &str, voice: Voice) -> Vec<String> {
    match voice.format {
        Format::OpenAi => chat::text(text),
        Format::Anthropic => anthropic::text_begin(text, voice.counts),
        Format::Responses => responses::text_begin(text),
    }
}

/// The rest of an answer that [`text_begin`] began: more text, then the end. `before` is what was
/// said already.
pub(crate) fn text_end(text: &str, before: &str, voice: Voice) -> Vec<String> {
    match voice.format {
        Format::OpenAi => chat::text_end(text, voice.counts),
        Format::Anthropic => anthropic::text_end(text, voice.counts),
        Format::Responses => responses::text_end(text, before, voice.counts),
    }
}

/// A call of one tool, under this id.
pub(crate) fn tool_events(id: &str, name: &str, arguments: &Value, voice: Voice) -> Vec<String> {
    let text = arguments.to_string();
    match voice.format {
        Format::OpenAi => chat::tool(id, name, &text, voice.counts),
        Format::Anthropic => anthropic::tool(id, name, &text, voice.counts),
        Format::Responses => responses::tool(id, name, &text, voice.counts),
    }
}

/// The beginning of a call: half of its arguments, and no end.
pub(crate) fn tool_begin(id: &str, name: &str, arguments: &Value, voice: Voice) -> Vec<String> {
    let text = arguments.to_string();
    let half = text.floor_char_boundary(text.len() / 2);
    let half = text.get(..half).unwrap_or_default();
    match voice.format {
        Format::OpenAi => chat::tool_begin(id, name, half),
        Format::Anthropic => anthropic::tool_begin(id, name, half, voice.counts),
        Format::Responses => responses::tool_begin(id, name, half),
    }
}

/// An error event in the middle of a stream.
pub(crate) fn error_event(format: Format) -> String {
    let error = match format {
        Format::Anthropic => json!({
            "type": "error",
            "error": { "type": "overloaded_error", "message": "Overloaded" },
        }),
        Format::OpenAi => json!({
            "error": { "type": "server_error", "message": "The server had an error", "code": null },
        }),
        Format::Responses => json!({
            "type": "error", "code": "server_error", "message": "The server had an error",
            "param": null, "sequence_number": 9,
        }),
    };
    event(&error)
}

/// The sign of life that a provider sends while its model thinks.
pub(crate) fn ping(format: Format) -> String {
    match format {
        Format::Anthropic => event(&json!({ "type": "ping" })),
        Format::OpenAi | Format::Responses => ": still at work\n\n".to_owned(),
    }
}

/// The body with which a provider refuses under this status, in its usual words.
pub(crate) fn refusal(status: u16, format: Format) -> Value {
    refusal_saying(status, format, None)
}

/// The same in other words.
pub(crate) fn refusal_saying(status: u16, format: Format, said: Option<&str>) -> Value {
    let (kind, usual) = match status {
        400 => ("invalid_request_error", "max_tokens: must be positive"),
        401 => ("authentication_error", "invalid x-api-key"),
        403 => ("permission_error", "Your API key does not have permission"),
        404 => ("not_found_error", "model: scripted"),
        429 => ("rate_limit_error", "This request would exceed your rate limit"),
        529 => ("overloaded_error", "Overloaded"),
        _ => ("api_error", "Internal server error"),
    };
    let message = said.unwrap_or(usual);
    match format {
        Format::Anthropic => json!({
            "type": "error",
            "error": { "type": kind, "message": message },
            "request_id": "req_scripted",
        }),
        Format::OpenAi | Format::Responses => {
            let code = match status {
                401 => json!("invalid_api_key"),
                404 => json!("model_not_found"),
                429 => json!("rate_limit_exceeded"),
                _ => Value::Null,
            };
            let kind = if status < 500 { "invalid_request_error" } else { "server_error" };
            json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
        }
    }
}

fn event(value: &Value) -> String {
    match value.get("type").and_then(Value::as_str) {
        Some(name) => format!("event: {name}\ndata: {value}\n\n"),
        None => format!("data: {value}\n\n"),
    }
}

/// A text in pieces of about three words.
fn pieces(text: &str) -> impl Iterator<Item = String> {
    let words: Vec<&str> = text.split_inclusive(' ').collect();
    words.chunks(3).map(<[&str]>::concat).collect::<Vec<_>>().into_iter()
}
