//! Anthropic Messages (<https://docs.anthropic.com/en/api/messages-streaming>).

use serde_json::{Value, json};

use super::{Counts, event, pieces};

pub(super) fn text_begin(text: &str, counts: Counts) -> Vec<String> {
    let mut events = start(counts);
    events.push(block(&json!({ "type": "text", "text": "" })));
    events.extend(more(text));
    events
}

pub(super) fn text_end(text: &str, counts: Counts) -> Vec<String> {
    let mut events: Vec<String> = more(text).collect();
    events.extend(end("end_turn", counts));
    events
}

pub(super) fn tool(id: &str, name: &str, arguments: &str, counts: Counts) -> Vec<String> {
    let mut events = tool_begin(id, name, arguments, counts);
    events.extend(end("tool_use", counts));
    events
}

pub(super) fn tool_begin(id: &str, name: &str, arguments: &str, counts: Counts) -> Vec<String> {
    let call = json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
    let piece = json!({ "type": "input_json_delta", "partial_json": arguments });
    let mut events = start(counts);
    events.push(block(&call));
    events.push(delta(&piece));
    events
}

fn start(counts: Counts) -> Vec<String> {
    vec![event(&json!({ "type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "scripted", "content": [],
        "usage": {
            "input_tokens": counts.input,
            "cache_read_input_tokens": counts.cache_read,
            "cache_creation_input_tokens": counts.cache_write,
            "output_tokens": 1,
        },
    }}))]
}

fn block(block: &Value) -> String {
    event(&json!({ "type": "content_block_start", "index": 0, "content_block": block }))
}

fn delta(delta: &Value) -> String {
    event(&json!({ "type": "content_block_delta", "index": 0, "delta": delta }))
}

fn more(text: &str) -> impl Iterator<Item = String> {
    pieces(text).map(|piece| delta(&json!({ "type": "text_delta", "text": piece })))
}

fn end(stop: &str, counts: Counts) -> Vec<String> {
    let end = [
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({
            "type": "message_delta",
            "delta": { "stop_reason": stop },
            "usage": { "output_tokens": counts.output },
        }),
        json!({ "type": "message_stop" }),
    ];
    end.iter().map(event).collect()
}
