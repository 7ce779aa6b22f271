//! `OpenAI` Responses (<https://platform.openai.com/docs/api-reference/responses-streaming>).

use serde_json::{Value, json};

use super::{Counts, event, pieces};

const MESSAGE_ID: &str = "msg_1";

pub(super) fn text_begin(text: &str) -> Vec<String> {
    let item = json!({
        "type": "message", "id": MESSAGE_ID, "status": "in_progress", "role": "assistant",
        "content": [],
    });
    let part = json!({ "type": "output_text", "text": "", "annotations": [] });
    let mut events = start(&item);
    events.push(event(&json!({
        "type": "response.content_part.added", "item_id": MESSAGE_ID, "output_index": 0,
        "content_index": 0, "part": part,
    })));
    events.extend(more(text));
    events
}

pub(super) fn text_end(text: &str, before: &str, counts: Counts) -> Vec<String> {
    let whole = format!("{before}{text}");
    let item = json!({
        "type": "message", "id": MESSAGE_ID, "status": "completed", "role": "assistant",
        "content": [{ "type": "output_text", "text": whole, "annotations": [] }],
    });
    let mut events: Vec<String> = more(text).collect();
    events.push(event(&json!({
        "type": "response.output_text.done", "item_id": MESSAGE_ID, "output_index": 0,
        "content_index": 0, "text": whole,
    })));
    events.extend(end(&item, counts));
    events
}

pub(super) fn tool(id: &str, name: &str, arguments: &str, counts: Counts) -> Vec<String> {
    let mut events = tool_begin(id, name, arguments);
    events.push(event(&json!({
        "type": "response.function_call_arguments.done", "item_id": item_id(id),
        "output_index": 0, "arguments": arguments,
    })));
    events.extend(end(&call(id, name, arguments, "completed"), counts));
    events
}

pub(super) fn tool_begin(id: &str, name: &str, arguments: &str) -> Vec<String> {
    let mut events = start(&call(id, name, "", "in_progress"));
    events.push(event(&json!({
        "type": "response.function_call_arguments.delta", "item_id": item_id(id),
        "output_index": 0, "delta": arguments,
    })));
    events
}

fn item_id(call: &str) -> String {
    format!("fc_{call}")
}

fn call(id: &str, name: &str, arguments: &str, status: &str) -> Value {
    json!({
        "type": "function_call", "id": item_id(id), "call_id": id, "name": name,
        "arguments": arguments, "status": status,
    })
}

fn start(item: &Value) -> Vec<String> {
    let response = json!({
        "id": "resp_1", "object": "response", "status": "in_progress", "model": "scripted",
        "output": [], "usage": null,
    });
    vec![
        event(&json!({ "type": "response.created", "response": response })),
        event(&json!({ "type": "response.in_progress", "response": response })),
        event(&json!({ "type": "response.output_item.added", "output_index": 0, "item": item })),
    ]
}

fn more(text: &str) -> impl Iterator<Item = String> {
    pieces(text).map(|piece| {
        event(&json!({
            "type": "response.output_text.delta", "item_id": MESSAGE_ID, "output_index": 0,
            "content_index": 0, "delta": piece,
        }))
    })
}

fn end(item: &Value, counts: Counts) -> Vec<String> {
    let response = json!({
        "id": "resp_1", "object": "response", "status": "completed", "model": "scripted",
        "output": [item],
        "usage": {
            "input_tokens": counts.total_input(),
            "input_tokens_details": { "cached_tokens": counts.cache_read },
            "output_tokens": counts.output,
            "output_tokens_details": { "reasoning_tokens": 0 },
            "total_tokens": counts.total_input() + counts.output,
        },
    });
    vec![
        event(&json!({ "type": "response.output_item.done", "output_index": 0, "item": item })),
        event(&json!({ "type": "response.completed", "response": response })),
    ]
}
