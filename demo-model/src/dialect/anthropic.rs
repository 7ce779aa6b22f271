//! Anthropic Messages, <https://docs.anthropic.com/en/api/messages-streaming>.

use serde_json::{Map, Value, json};

use super::pieces::pieces;
use super::{RequestError, texts};
use crate::conversation::{Answer, Call, Conversation, Entry, ToolResult};

/// The names of the offered tools.
pub(super) fn tools(request: &Value) -> Vec<String> {
    let tools = request.get("tools").and_then(Value::as_array);
    let names = tools.into_iter().flatten().filter_map(|tool| tool.get("name")?.as_str());
    names.map(str::to_owned).collect()
}

/// The conversation.
pub(super) fn entries(messages: &[Value]) -> Result<Vec<Entry>, RequestError> {
    let mut entries = Vec::new();
    for message in messages {
        let content = message.get("content").ok_or(RequestError::Part("content"))?;
        let user = match message.get("role").and_then(Value::as_str) {
            Some("user") => true,
            Some("assistant") => false,
            _ => return Err(RequestError::Part("role")),
        };
        match content {
            Value::String(text) => entries.push(spoken(user, text.clone())),
            Value::Array(blocks) => {
                for block in blocks {
                    entries.extend(entry(user, block)?);
                }
            }
            _ => return Err(RequestError::Part("content")),
        }
    }
    Ok(entries)
}

fn spoken(user: bool, text: String) -> Entry {
    if user { Entry::User(text) } else { Entry::Assistant(text) }
}

/// The entry of a block; images, thinking and the like make none.
fn entry(user: bool, block: &Value) -> Result<Option<Entry>, RequestError> {
    let text = |name: &'static str| {
        let value = block.get(name).and_then(Value::as_str);
        value.map(str::to_owned).ok_or(RequestError::Part(name))
    };
    Ok(match block.get("type").and_then(Value::as_str) {
        Some("text") => Some(spoken(user, text("text")?)),
        Some("tool_use") => {
            let arguments = block.get("input").and_then(Value::as_object);
            let arguments = arguments.cloned().ok_or(RequestError::Part("input"))?;
            Some(Entry::Call(Call { id: text("id")?, tool: text("name")?, arguments }))
        }
        Some("tool_result") => Some(Entry::Result(ToolResult {
            call: text("tool_use_id")?,
            output: texts(block.get("content").unwrap_or(&Value::Null)).join("\n"),
            failed: block.get("is_error") == Some(&Value::Bool(true)),
        })),
        Some(_) => None,
        None => return Err(RequestError::Part("type")),
    })
}

/// The answer as a stream.
pub(super) fn frames(conversation: &Conversation, answer: &Answer) -> Vec<String> {
    let usage = json!({"input_tokens": conversation.input_tokens(), "output_tokens": 1});
    let message = json!({
        "id": format!("msg_demo_{}", conversation.entries.len()), "type": "message",
        "role": "assistant", "model": conversation.model, "content": [], "stop_reason": null,
        "stop_sequence": null, "usage": usage,
    });
    let mut frames = vec![frame("message_start", json!({"message": message}))];
    let mut blocks = Blocks { frames: &mut frames, index: 0 };
    if let Some(thinking) = &answer.thinking {
        let mut deltas: Vec<Value> = pieces(thinking)
            .map(|piece| json!({"type": "thinking_delta", "thinking": piece}))
            .collect();
        deltas.push(json!({"type": "signature_delta", "signature": "ZGVtbw=="}));
        blocks.add(&json!({"type": "thinking", "thinking": "", "signature": ""}), deltas);
    }
    if !answer.text.is_empty() {
        let deltas = pieces(&answer.text).map(|piece| json!({"type": "text_delta", "text": piece}));
        blocks.add(&json!({"type": "text", "text": ""}), deltas.collect());
    }
    for call in &answer.calls {
        let start = json!({
            "type": "tool_use", "id": call.id, "name": call.tool, "input": Map::new(),
        });
        let arguments = call.arguments_text();
        let deltas = pieces(&arguments)
            .map(|piece| json!({"type": "input_json_delta", "partial_json": piece}));
        blocks.add(&start, deltas.collect());
    }
    let reason = if answer.calls.is_empty() { "end_turn" } else { "tool_use" };
    frames.push(frame(
        "message_delta",
        json!({
            "delta": {"stop_reason": reason, "stop_sequence": null},
            "usage": {"output_tokens": answer.output_tokens()},
        }),
    ));
    frames.push(frame("message_stop", json!({})));
    frames
}

/// Numbers the blocks of a message.
struct Blocks<'a> {
    frames: &'a mut Vec<String>,
    index: usize,
}

impl Blocks<'_> {
    fn add(&mut self, start: &Value, deltas: Vec<Value>) {
        let index = self.index;
        let start = json!({"index": index, "content_block": start});
        self.frames.push(frame("content_block_start", start));
        for delta in deltas {
            let delta = json!({"index": index, "delta": delta});
            self.frames.push(frame("content_block_delta", delta));
        }
        self.frames.push(frame("content_block_stop", json!({"index": index})));
        self.index += 1;
    }
}

fn frame(event: &str, mut data: Value) -> String {
    if let Some(data) = data.as_object_mut() {
        data.insert("type".to_owned(), event.into());
    }
    format!("event: {event}\ndata: {data}\n\n")
}
