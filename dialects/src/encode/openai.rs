//! The request of OpenAI Chat Completions
//! (<https://platform.openai.com/docs/api-reference/chat/create>).
//!
//! Invariant: only what every compatible provider takes: text as one string where there is no
//! image, tool results as text, no thinking.

use serde::Serialize;
use serde_json::Value;

use super::runs::{Run, arrange};
use super::{EncodeError, result_text, with_object};
use crate::conversation::{
    AssistantBlock, ModelRequest, ToolArguments, ToolResult, ToolSpec, UserBlock,
};

/// Between texts that become one string.
const PARAGRAPH: &str = "\n\n";

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_completion_tokens: u32,
    stream: bool,
    stream_options: StreamOptions,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Typed<Function<'a>>>,
    messages: Vec<WireMessage<'a>>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

/// `{"type": "function", "function": …}`, around a tool as well as around a call.
#[derive(Serialize)]
#[serde(tag = "type", rename = "function")]
struct Typed<T> {
    function: T,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a Value,
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "snake_case")]
enum WireMessage<'a> {
    System {
        content: &'a str,
    },
    User {
        content: UserContent<'a>,
    },
    Assistant {
        /// `null` when there are only tool calls.
        content: Option<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<Call<'a>>,
    },
    Tool {
        tool_call_id: &'a str,
        content: String,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
enum UserContent<'a> {
    Text(String),
    Parts(Vec<Part<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: ImageUrl },
}

#[derive(Serialize)]
struct ImageUrl {
    url: String,
}

#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
    #[serde(flatten)]
    called: Typed<Called<'a>>,
}

#[derive(Serialize)]
struct Called<'a> {
    name: &'a str,
    /// JSON as text.
    arguments: String,
}

pub(super) fn encode(request: &ModelRequest) -> Result<Vec<u8>, EncodeError> {
    let runs = arrange(&request.messages, replayed);
    if runs.is_empty() {
        return Err(EncodeError::NothingToSend);
    }
    let mut messages = Vec::new();
    if !request.system.trim().is_empty() {
        messages.push(WireMessage::System { content: &request.system });
    }
    for run in runs {
        match run {
            Run::User { results, blocks } => {
                messages.extend(results.into_iter().map(tool_message));
                messages.extend(user_message(&blocks));
            }
            Run::Assistant(blocks) => messages.push(assistant_message(&blocks)?),
        }
    }
    let body = Body {
        model: &request.model,
        max_completion_tokens: request.max_output_tokens,
        stream: true,
        stream_options: StreamOptions { include_usage: true },
        tools: request.tools.iter().map(tool).collect(),
        messages,
    };
    Ok(serde_json::to_vec(&body)?)
}

fn replayed(answer: &[AssistantBlock]) -> Vec<&AssistantBlock> {
    let is_replayed = |block: &&AssistantBlock| {
        matches!(block, AssistantBlock::Text { .. } | AssistantBlock::ToolCall { .. })
    };
    answer.iter().filter(is_replayed).collect()
}

fn tool(spec: &ToolSpec) -> Typed<Function<'_>> {
    Typed {
        function: Function {
            name: &spec.name,
            description: &spec.description,
            parameters: &spec.input_schema,
        },
    }
}

fn tool_message(result: &ToolResult) -> WireMessage<'_> {
    WireMessage::Tool { tool_call_id: &result.call_id, content: result_text(result) }
}

fn user_message<'a>(blocks: &[&'a UserBlock]) -> Option<WireMessage<'a>> {
    if blocks.is_empty() {
        return None;
    }
    let texts: Option<Vec<_>> = blocks.iter().map(|block| text_of(block)).collect();
    let content = match texts {
        Some(texts) => UserContent::Text(texts.join(PARAGRAPH)),
        None => UserContent::Parts(blocks.iter().map(|block| part(block)).collect()),
    };
    Some(WireMessage::User { content })
}

fn text_of(block: &UserBlock) -> Option<&str> {
    match block {
        UserBlock::Text { text } => Some(text),
        UserBlock::Image { .. } => None,
    }
}

fn part(block: &UserBlock) -> Part<'_> {
    match block {
        UserBlock::Text { text } => Part::Text { text },
        UserBlock::Image { media_type, base64 } => Part::ImageUrl {
            image_url: ImageUrl { url: format!("data:{media_type};base64,{base64}") },
        },
    }
}

fn assistant_message<'a>(blocks: &[&'a AssistantBlock]) -> Result<WireMessage<'a>, EncodeError> {
    let mut texts = Vec::new();
    let mut tool_calls = Vec::new();
    for block in blocks {
        match block {
            AssistantBlock::Text { text } => texts.push(text.as_str()),
            AssistantBlock::ToolCall { id, name, arguments } => {
                tool_calls.push(call(id, name, arguments)?);
            }
            AssistantBlock::Thinking { .. } | AssistantBlock::RedactedThinking { .. } => {}
        }
    }
    let content = (!texts.is_empty()).then(|| texts.join(PARAGRAPH));
    Ok(WireMessage::Assistant { content, tool_calls })
}

fn call<'a>(
    id: &'a str,
    name: &'a str,
    arguments: &ToolArguments,
) -> Result<Call<'a>, EncodeError> {
    let arguments = with_object(arguments, serde_json::to_string)?;
    Ok(Call { id, called: Typed { function: Called { name, arguments } } })
}
