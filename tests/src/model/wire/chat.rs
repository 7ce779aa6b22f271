//! `OpenAI` Chat Completions (<https://platform.openai.com/docs/api-reference/chat-streaming>).

use serde_json::{Value, json};

use super::{Counts, event, pieces};

pub(super) fn text(text: &str) -> Vec<String> {
    pieces(text).map(|piece| event(&chunk(&json!({ "content": piece }), None))).collect()
}

pub(super) fn text_end(more: &str, counts: Counts) -> Vec<String> {
    let mut events = text(more);
    events.extend(end("stop", counts));
    events
}

pub(super) fn tool(id: &str, name: &str, arguments: &str, counts: Counts) -> Vec<String> {
    let mut events = tool_begin(id, name, arguments);
    events.extend(end("tool_calls", counts));
    events
}

pub(super) fn tool_begin(id: &str, name: &str, arguments: &str) -> Vec<String> {
    let call = json!({ "tool_calls": [{
        "index": 0, "id": id, "type": "function",
        "function": { "name": name, "arguments": arguments },
    }]});
    vec![event(&chunk(&call, None))]
}

fn chunk(delta: &Value, finish: Option<&str>) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "scripted",
        "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }],
    })
}

fn end(finish: &str, counts: Counts) -> Vec<String> {
    let usage = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "scripted", "choices": [],
        "usage": {
            "prompt_tokens": counts.total_input(),
            "completion_tokens": counts.output,
            "total_tokens": counts.total_input() + counts.output,
            "prompt_tokens_details": { "cached_tokens": counts.cache_read },
        },
    });
    vec![event(&chunk(&json!({}), Some(finish))), event(&usage), "data: [DONE]\n\n".to_owned()]
}
