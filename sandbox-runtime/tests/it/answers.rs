//! Answers in Anthropic's wire format, as its documentation describes them.

use serde_json::{Value, json};

use crate::fake_edge::Answer;

/// A text.
pub(crate) fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

/// A tool call.
pub(crate) fn call(id: &str, name: &str, arguments: &Value) -> Value {
    json!({ "type": "tool_use", "id": id, "name": name, "input": arguments.to_string() })
}

/// A call of `bash`.
pub(crate) fn bash(id: &str, command: &str) -> Value {
    call(id, "bash", &json!({ "command": command }))
}

/// A tool call whose arguments are this text.
pub(crate) fn raw_call(id: &str, name: &str, arguments: &str) -> Value {
    json!({ "type": "tool_use", "id": id, "name": name, "input": arguments })
}

/// A signed thought.
pub(crate) fn thinking(text: &str, signature: &str) -> Value {
    json!({ "type": "thinking", "thinking": text, "signature": signature })
}

/// A whole answer that ends the turn.
pub(crate) fn says(words: &str) -> Answer {
    Answer::Body(stream(&[text(words)], "end_turn"))
}

/// A whole answer that waits for tools.
pub(crate) fn asks(blocks: &[Value]) -> Answer {
    Answer::Body(stream(blocks, "tool_use"))
}

/// A whole stream.
pub(crate) fn stream(blocks: &[Value], stop: &str) -> String {
    let mut events = beginning(blocks);
    events += &event(&json!({
        "type": "message_delta",
        "delta": { "stop_reason": stop, "stop_sequence": null },
        "usage": { "output_tokens": 7 },
    }));
    events + &event(&json!({ "type": "message_stop" }))
}

/// A stream up to before its end.
pub(crate) fn beginning(blocks: &[Value]) -> String {
    let mut events = event(&json!({
        "type": "message_start",
        "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-test",
            "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": { "input_tokens": 5, "output_tokens": 1 },
        },
    }));
    for (index, block) in blocks.iter().enumerate() {
        let (start, deltas) = parts(block);
        events += &event(&json!({
            "type": "content_block_start", "index": index, "content_block": start,
        }));
        for delta in deltas {
            events += &event(&json!({
                "type": "content_block_delta", "index": index, "delta": delta,
            }));
        }
        events += &event(&json!({ "type": "content_block_stop", "index": index }));
    }
    events
}

fn parts(block: &Value) -> (Value, Vec<Value>) {
    match block["type"].as_str().unwrap() {
        "text" => {
            let words = block["text"].as_str().unwrap().split_inclusive(' ');
            let deltas = words.map(|word| json!({ "type": "text_delta", "text": word })).collect();
            (json!({ "type": "text", "text": "" }), deltas)
        }
        "thinking" => {
            let deltas = vec![
                json!({ "type": "thinking_delta", "thinking": block["thinking"] }),
                json!({ "type": "signature_delta", "signature": block["signature"] }),
            ];
            (json!({ "type": "thinking", "thinking": "", "signature": "" }), deltas)
        }
        "tool_use" => {
            let start = json!({
                "type": "tool_use", "id": block["id"], "name": block["name"], "input": {},
            });
            (start, vec![json!({ "type": "input_json_delta", "partial_json": block["input"] })])
        }
        other => panic!("no such block: {other}"),
    }
}

pub(crate) fn event(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap())
}
