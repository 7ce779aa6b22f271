//! What real providers refuse in a request. A double that takes everything would hide it.
//!
//! Anthropic: <https://docs.anthropic.com/en/api/messages>, `OpenAI`:
//! <https://platform.openai.com/docs/api-reference/chat/create>.

use std::collections::BTreeSet;

use serde_json::Value;

use super::wire::Format;

/// Why a provider would answer this request with 400; `None` when it would not.
pub(crate) fn complaint(body: &Value, format: Format) -> Option<String> {
    let name = if format == Format::Responses { "input" } else { "messages" };
    let messages = body[name].as_array().filter(|messages| !messages.is_empty());
    let Some(messages) = messages else { return Some("there are no messages".into()) };
    if body["model"].as_str().is_none_or(str::is_empty) {
        return Some("no model is named".into());
    }
    match format {
        Format::Anthropic => anthropic(body, messages),
        Format::OpenAi => openai(messages),
        Format::Responses => responses(messages),
    }
}

/// Every call has its output, and none comes twice
/// (<https://platform.openai.com/docs/api-reference/responses/create>).
fn responses(items: &[Value]) -> Option<String> {
    let mut open = BTreeSet::new();
    for (place, item) in items.iter().enumerate() {
        let id = item["call_id"].as_str().unwrap_or_default().to_owned();
        match item["type"].as_str() {
            Some("function_call") => {
                if !open.insert(id.clone()) {
                    return Some(format!("item {place} calls {id:?} again"));
                }
            }
            Some("function_call_output") => {
                if !open.remove(&id) {
                    return Some(format!("item {place} answers {id:?}, which was not asked"));
                }
            }
            Some("reasoning") => {}
            Some("message") | None if !item["content"].is_null() => {}
            kind => return Some(format!("item {place} is of the kind {kind:?}")),
        }
    }
    (!open.is_empty()).then(|| format!("{open:?} are not answered"))
}

fn anthropic(body: &Value, messages: &[Value]) -> Option<String> {
    if body["max_tokens"].as_u64().is_none_or(|tokens| tokens == 0) {
        return Some("max_tokens is missing".into());
    }
    if messages.first().is_none_or(|first| first["role"] != "user") {
        return Some("the first message is not the user's".into());
    }
    let mut open = BTreeSet::new();
    for (place, message) in messages.iter().enumerate() {
        let blocks = blocks(message);
        let is_last = place + 1 == messages.len();
        if blocks.is_empty() && !(is_last && message["role"] == "assistant") {
            return Some(format!("message {place} is empty"));
        }
        let empty = |block: &&Value| block["type"] == "text" && is_blank(&block["text"]);
        if blocks.iter().any(|block| empty(&block)) {
            return Some(format!("message {place} has an empty text block"));
        }
        let answered = ids(&blocks, "tool_result", "tool_use_id");
        if answered != open {
            return Some(format!("message {place} answers {answered:?}, asked were {open:?}"));
        }
        open = ids(&blocks, "tool_use", "id");
    }
    (!open.is_empty()).then(|| format!("{open:?} are not answered"))
}

fn openai(messages: &[Value]) -> Option<String> {
    let mut open = BTreeSet::new();
    for (place, message) in messages.iter().enumerate() {
        if message["role"] == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default().to_owned();
            if !open.remove(&id) {
                return Some(format!("message {place} answers {id:?}, which was not asked"));
            }
            continue;
        }
        if !open.is_empty() {
            return Some(format!("message {place} comes before {open:?} are answered"));
        }
        let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
        if calls.is_empty() && is_blank(&message["content"]) && blocks(message).is_empty() {
            return Some(format!("message {place} is empty"));
        }
        open.extend(calls.iter().filter_map(|call| call["id"].as_str()).map(str::to_owned));
    }
    (!open.is_empty()).then(|| format!("{open:?} are not answered"))
}

/// A message's blocks; a plain text counts as one.
fn blocks(message: &Value) -> Vec<Value> {
    match &message["content"] {
        Value::Array(blocks) => blocks.clone(),
        Value::String(text) if !text.is_empty() => {
            vec![serde_json::json!({ "type": "text", "text": text })]
        }
        _ => Vec::new(),
    }
}

fn is_blank(text: &Value) -> bool {
    text.as_str().is_none_or(|text| text.trim().is_empty())
}

fn ids(blocks: &[Value], kind: &str, name: &str) -> BTreeSet<String> {
    let of_kind = blocks.iter().filter(|block| block["type"] == kind);
    of_kind.filter_map(|block| block[name].as_str()).map(str::to_owned).collect()
}
