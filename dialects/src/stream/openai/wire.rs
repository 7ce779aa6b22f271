//! The chunks of OpenAI's stream as they are on the wire, read leniently where providers differ.

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
pub(super) struct Chunk {
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    pub(super) choices: Option<Vec<Choice>>,
    pub(super) usage: Option<Value>,
    pub(super) error: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    #[serde(default)]
    pub(super) index: u64,
    pub(super) delta: Option<Delta>,
    pub(super) finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Delta {
    content: Option<Value>,
    refusal: Option<Value>,
    reasoning_content: Option<Value>,
    reasoning: Option<Value>,
    pub(super) tool_calls: Option<Vec<ToolCallFragment>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ToolCallFragment {
    pub(super) index: Option<u64>,
    pub(super) id: Option<String>,
    pub(super) function: Option<FunctionFragment>,
    extra_content: Option<Value>,
}

impl ToolCallFragment {
    /// Gemini's proof of the thought behind the call.
    pub(super) fn thought_signature(&self) -> Option<String> {
        plain(self.extra_content.as_ref()?.pointer("/google/thought_signature"))
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct FunctionFragment {
    pub(super) name: Option<String>,
    /// A piece of text; some providers give the object itself.
    pub(super) arguments: Option<Value>,
}

impl Delta {
    /// Text for the user: a string, or the `text` of a list of parts.
    pub(super) fn content_text(&self) -> Option<String> {
        let text = match self.content.as_ref()? {
            Value::String(text) => text.clone(),
            Value::Array(parts) => {
                parts.iter().filter_map(|part| part.get("text")?.as_str()).collect()
            }
            _ => return None,
        };
        Some(text).filter(|text| !text.is_empty())
    }

    /// The model's words when it declines; they stand in place of an answer.
    pub(super) fn refusal_text(&self) -> Option<String> {
        plain(self.refusal.as_ref())
    }

    /// Reasoning goes by two names. A provider that gives both gives the same text twice. Mistral
    /// has it among the parts of the content instead.
    pub(super) fn thinking(&self) -> Option<String> {
        plain(self.reasoning_content.as_ref())
            .or_else(|| plain(self.reasoning.as_ref()))
            .or_else(|| self.content.as_ref().and_then(thinking_parts))
    }
}

fn plain(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The texts inside parts like `{"type": "thinking", "thinking": [{"type": "text", "text": …}]}`.
fn thinking_parts(content: &Value) -> Option<String> {
    let inside = |part: &Value| Some(part.get("thinking")?.as_array()?.clone());
    let parts = content.as_array()?.iter().filter_map(inside).flatten();
    let text: String =
        parts.filter_map(|part| Some(part.get("text")?.as_str()?.to_owned())).collect();
    Some(text).filter(|text| !text.is_empty())
}
