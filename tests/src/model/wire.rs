//! The two wire formats of the scripted model: answers as streams of events, refusals as bodies.

use serde_json::{Value, json};

/// The format of one call, told by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Anthropic Messages.
    Anthropic,
    /// `OpenAI` Chat Completions.
    OpenAi,
}

impl Format {
    pub(crate) fn of(path: &str) -> Self {
        if path.ends_with("/messages") { Self::Anthropic } else { Self::OpenAi }
    }
}

/// A whole answer that says `text`.
pub(crate) fn text_events(text: &str, format: Format) -> Vec<String> {
    let mut events = text_begin(text, format);
    events.extend(text_end("", format));
    events
}

/// The beginning of an answer: `text` in pieces, and no end.
pub(crate) fn text_begin(text: &str, format: Format) -> Vec<String> {
    match format {
        Format::OpenAi => openai_text(text),
        Format::Anthropic => {
            let mut events = anthropic_start();
            events.push(anthropic_block(&json!({ "type": "text", "text": "" })));
            events.extend(anthropic_text(text));
            events
        }
    }
}

/// The rest of an answer that [`text_begin`] began: more text, then the end.
pub(crate) fn text_end(text: &str, format: Format) -> Vec<String> {
    match format {
        Format::OpenAi => {
            let mut events = openai_text(text);
            events.push(event(&chunk(&json!({}), Some("stop"))));
            events.extend(openai_end());
            events
        }
        Format::Anthropic => {
            let mut events = anthropic_text(text);
            events.extend(anthropic_end("end_turn"));
            events
        }
    }
}

/// A call of one tool, under this id.
pub(crate) fn tool_events(id: &str, name: &str, arguments: &Value, format: Format) -> Vec<String> {
    let mut events = tool_call(id, name, &arguments.to_string(), format);
    match format {
        Format::OpenAi => {
            events.push(event(&chunk(&json!({}), Some("tool_calls"))));
            events.extend(openai_end());
        }
        Format::Anthropic => events.extend(anthropic_end("tool_use")),
    }
    events
}

/// The beginning of a call: half of its arguments, and no end.
pub(crate) fn tool_begin(id: &str, name: &str, arguments: &Value, format: Format) -> Vec<String> {
    let text = arguments.to_string();
    let half = text.floor_char_boundary(text.len() / 2);
    tool_call(id, name, text.get(..half).unwrap_or_default(), format)
}

fn tool_call(id: &str, name: &str, arguments: &str, format: Format) -> Vec<String> {
    match format {
        Format::OpenAi => {
            let call = json!({ "tool_calls": [{
                "index": 0, "id": id, "type": "function",
                "function": { "name": name, "arguments": arguments },
            }]});
            vec![event(&chunk(&call, None))]
        }
        Format::Anthropic => {
            let block = json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
            let delta = json!({ "type": "input_json_delta", "partial_json": arguments });
            let mut events = anthropic_start();
            events.push(anthropic_block(&block));
            events.push(anthropic_delta(&delta));
            events
        }
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
    };
    event(&error)
}

/// The sign of life that a provider sends while its model thinks.
pub(crate) fn ping(format: Format) -> String {
    match format {
        Format::Anthropic => event(&json!({ "type": "ping" })),
        Format::OpenAi => ": still at work\n\n".to_owned(),
    }
}

/// The body with which a provider refuses under this status.
pub(crate) fn refusal(status: u16, format: Format) -> Value {
    let (kind, message) = match status {
        400 => ("invalid_request_error", "max_tokens: must be positive"),
        401 => ("authentication_error", "invalid x-api-key"),
        403 => ("permission_error", "Your API key does not have permission"),
        404 => ("not_found_error", "model: scripted"),
        429 => ("rate_limit_error", "This request would exceed your rate limit"),
        529 => ("overloaded_error", "Overloaded"),
        _ => ("api_error", "Internal server error"),
    };
    match format {
        Format::Anthropic => json!({
            "type": "error",
            "error": { "type": kind, "message": message },
            "request_id": "req_scripted",
        }),
        Format::OpenAi => {
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

fn anthropic_start() -> Vec<String> {
    vec![event(&json!({ "type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "scripted",
        "content": [], "usage": { "input_tokens": 10, "output_tokens": 1 },
    }}))]
}

fn anthropic_block(block: &Value) -> String {
    event(&json!({ "type": "content_block_start", "index": 0, "content_block": block }))
}

fn anthropic_delta(delta: &Value) -> String {
    event(&json!({ "type": "content_block_delta", "index": 0, "delta": delta }))
}

fn anthropic_text(text: &str) -> Vec<String> {
    pieces(text)
        .map(|piece| anthropic_delta(&json!({ "type": "text_delta", "text": piece })))
        .collect()
}

fn anthropic_end(stop: &str) -> Vec<String> {
    let end = [
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({
            "type": "message_delta",
            "delta": { "stop_reason": stop },
            "usage": { "output_tokens": 5 },
        }),
        json!({ "type": "message_stop" }),
    ];
    end.iter().map(event).collect()
}

fn chunk(delta: &Value, finish: Option<&str>) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "scripted",
        "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }],
    })
}

fn openai_text(text: &str) -> Vec<String> {
    pieces(text).map(|piece| event(&chunk(&json!({ "content": piece }), None))).collect()
}

fn openai_end() -> Vec<String> {
    let usage = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "scripted", "choices": [],
        "usage": { "prompt_tokens": 10, "completion_tokens": 5 },
    });
    vec![event(&usage), "data: [DONE]\n\n".to_owned()]
}
