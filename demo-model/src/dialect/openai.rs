//! OpenAI Chat Completions, <https://platform.openai.com/docs/api-reference/chat-streaming>.

use serde_json::{Map, Value, json};

use super::pieces::pieces;
use super::{RequestError, texts};
use crate::conversation::{Answer, Call, Conversation, Entry, ToolResult};

/// The names of the offered tools.
pub(super) fn tools(request: &Value) -> Vec<String> {
    let tools = request.get("tools").and_then(Value::as_array);
    let name = |tool: &Value| tool.get("function")?.get("name")?.as_str().map(str::to_owned);
    tools.into_iter().flatten().filter_map(name).collect()
}

/// The conversation; system and developer messages are instructions, not conversation.
pub(super) fn entries(messages: &[Value]) -> Result<Vec<Entry>, RequestError> {
    let mut entries = Vec::new();
    for message in messages {
        let content = texts(message.get("content").unwrap_or(&Value::Null));
        match message.get("role").and_then(Value::as_str) {
            Some("system" | "developer") => {}
            Some("user") => entries.extend(content.into_iter().map(Entry::User)),
            Some("assistant") => {
                entries.extend(content.into_iter().map(Entry::Assistant));
                let calls = message.get("tool_calls").and_then(Value::as_array);
                for call in calls.into_iter().flatten() {
                    entries.push(Entry::Call(read_call(call)?));
                }
            }
            Some("tool") => entries.push(Entry::Result(ToolResult {
                call: text(message, "tool_call_id")?,
                output: content.join("\n"),
                failed: false,
            })),
            _ => return Err(RequestError::Part("role")),
        }
    }
    Ok(entries)
}

fn read_call(call: &Value) -> Result<Call, RequestError> {
    let function = call.get("function").ok_or(RequestError::Part("function"))?;
    // Arguments that are not an object were the model's own mistake; the rules only quote them.
    let arguments = text(function, "arguments")?;
    let arguments: Map<String, Value> = serde_json::from_str(&arguments).unwrap_or_default();
    Ok(Call { id: text(call, "id")?, tool: text(function, "name")?, arguments })
}

fn text(object: &Value, name: &'static str) -> Result<String, RequestError> {
    let value = object.get(name).and_then(Value::as_str);
    value.map(str::to_owned).ok_or(RequestError::Part(name))
}

/// The answer as a stream. Usage is told in any case; a client that did not ask ignores it.
pub(super) fn frames(conversation: &Conversation, answer: &Answer) -> Vec<String> {
    let mut deltas = vec![json!({"role": "assistant", "content": ""})];
    // Not OpenAI's own, but what the compatible providers with visible reasoning send.
    let thinking = answer.thinking.as_deref().unwrap_or_default();
    deltas.extend(pieces(thinking).map(|piece| json!({"reasoning_content": piece})));
    deltas.extend(pieces(&answer.text).map(|piece| json!({"content": piece})));
    for (index, call) in answer.calls.iter().enumerate() {
        let function = json!({"name": call.tool, "arguments": ""});
        let start =
            json!({"index": index, "id": call.id, "type": "function", "function": function});
        deltas.push(json!({"tool_calls": [start]}));
        for piece in pieces(&call.arguments_text()) {
            let more = json!({"index": index, "function": {"arguments": piece}});
            deltas.push(json!({"tool_calls": [more]}));
        }
    }
    let reason = if answer.calls.is_empty() { "stop" } else { "tool_calls" };
    let choice = |delta: Value, reason: Value| json!([{"index": 0, "delta": delta, "finish_reason": reason}]);
    let mut frames: Vec<String> = deltas
        .into_iter()
        .map(|delta| chunk(conversation, &choice(delta, Value::Null), &Value::Null))
        .collect();
    frames.push(chunk(conversation, &choice(json!({}), reason.into()), &Value::Null));
    let (input, output) = (conversation.input_tokens(), answer.output_tokens());
    let usage = json!({
        "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
    });
    frames.push(chunk(conversation, &json!([]), &usage));
    frames.push("data: [DONE]\n\n".to_owned());
    frames
}

fn chunk(conversation: &Conversation, choices: &Value, usage: &Value) -> String {
    let chunk = json!({
        "id": format!("chatcmpl-demo-{}", conversation.entries.len()),
        "object": "chat.completion.chunk", "created": 0, "model": conversation.model,
        "choices": choices, "usage": usage,
    });
    format!("data: {chunk}\n\n")
}
