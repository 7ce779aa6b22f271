//! The request of OpenAI Responses
//! (<https://platform.openai.com/docs/api-reference/responses/create>).
//!
//! Invariants: nothing is kept at the provider (`store` is false), so every request holds the whole
//! conversation; reasoning goes back as it came, encrypted, and only with something after it in its
//! answer.
//!
//! Ids of messages and calls are left out: with one, the API asks for the very reasoning item that
//! stood before it, which a shortened conversation may no longer hold.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use super::runs::{Run, arrange};
use super::{EncodeError, prompt_cache_key, result_text, with_object, word};
use crate::accent::{Accent, Effort, Quirk};
use crate::conversation::{
    AssistantBlock, Image, ModelRequest, ToolArguments, ToolResult, ToolSpec, UserBlock,
};
use crate::reasoning::{self, Reasoning};

/// What `include` asks for; without it a stateless request loses the model's reasoning
/// (<https://platform.openai.com/docs/guides/reasoning#encrypted-reasoning-items>).
const ENCRYPTED_REASONING: &str = "reasoning.encrypted_content";

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_output_tokens: u32,
    stream: bool,
    store: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    include: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Asked>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_cache_key: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    instructions: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    input: Vec<Item<'a>>,
}

/// How much to reason. A summary is not asked for: the API refuses that to organisations that have
/// not proved who they are.
#[derive(Serialize)]
struct Asked {
    effort: &'static str,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "function")]
struct Tool<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a Value,
    /// Strict schemas must name every property as required, which ours do not.
    strict: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Item<'a> {
    Message { role: &'static str, content: Content<'a> },
    Reasoning { id: String, summary: Vec<Summary>, encrypted_content: String },
    FunctionCall { call_id: &'a str, name: &'a str, arguments: String },
    FunctionCallOutput { call_id: &'a str, output: Output<'a> },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Output<'a> {
    Text(String),
    Parts(Vec<Part<'a>>),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(&'a str),
    Parts(Vec<Part<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    InputText { text: Cow<'a, str> },
    InputImage { image_url: String },
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary_text")]
struct Summary {
    text: String,
}

pub(super) fn encode(accent: &Accent, request: &ModelRequest) -> Result<Vec<u8>, EncodeError> {
    let mut input = Vec::new();
    for run in arrange(&request.messages, replayed) {
        match run {
            Run::User { results, blocks } => {
                input.extend(results.into_iter().map(call_output));
                input.extend(user_message(&blocks));
            }
            Run::Assistant(blocks) => {
                for block in blocks {
                    input.extend(assistant_item(block)?);
                }
            }
        }
    }
    if input.is_empty() {
        return Err(EncodeError::NothingToSend);
    }
    let system = &request.system;
    let body = Body {
        model: &request.model,
        max_output_tokens: request.max_output_tokens,
        stream: true,
        store: false,
        include: if accent.has(Quirk::EncryptedReasoning) { &[ENCRYPTED_REASONING] } else { &[] },
        reasoning: reasoning(accent, request),
        prompt_cache_key: prompt_cache_key(accent, request),
        instructions: if system.trim().is_empty() { "" } else { system },
        tools: request.tools.iter().map(tool).collect(),
        input,
    };
    Ok(serde_json::to_vec(&body)?)
}

fn reasoning(accent: &Accent, request: &ModelRequest) -> Option<Asked> {
    match accent.effort {
        Effort::Unasked => None,
        Effort::Levels(levels) | Effort::Nested(levels) | Effort::Switched(levels) => {
            request.thinking.map(|level| Asked { effort: word(levels, level) })
        }
    }
}

fn replayed(answer: &[AssistantBlock]) -> Vec<&AssistantBlock> {
    let mut blocks: Vec<_> = answer.iter().filter(|block| is_replayed(block)).collect();
    while blocks.last().is_some_and(|block| matches!(block, AssistantBlock::Thinking { .. })) {
        blocks.pop();
    }
    blocks
}

fn is_replayed(block: &AssistantBlock) -> bool {
    match block {
        AssistantBlock::Text { text } => !text.trim().is_empty(),
        AssistantBlock::ToolCall { .. } => true,
        AssistantBlock::Thinking { .. } => reasoning_of(block).is_some(),
        AssistantBlock::RedactedThinking { .. } => false,
    }
}

fn reasoning_of(block: &AssistantBlock) -> Option<Reasoning> {
    match block {
        AssistantBlock::Thinking { text, signature: Some(signature) } => {
            reasoning::unpack(text, signature)
        }
        _ => None,
    }
}

fn tool(spec: &ToolSpec) -> Tool<'_> {
    Tool {
        name: &spec.name,
        description: &spec.description,
        parameters: &spec.input_schema,
        strict: false,
    }
}

fn assistant_item(block: &AssistantBlock) -> Result<Option<Item<'_>>, EncodeError> {
    Ok(match block {
        AssistantBlock::Text { text } => {
            Some(Item::Message { role: "assistant", content: Content::Text(text) })
        }
        AssistantBlock::ToolCall { id, name, arguments } => Some(call(id, name, arguments)?),
        AssistantBlock::Thinking { .. } => reasoning_of(block).map(|item| Item::Reasoning {
            id: item.id,
            summary: item.summary.into_iter().map(|text| Summary { text }).collect(),
            encrypted_content: item.encrypted_content,
        }),
        AssistantBlock::RedactedThinking { .. } => None,
    })
}

fn call<'a>(
    call_id: &'a str,
    name: &'a str,
    arguments: &ToolArguments,
) -> Result<Item<'a>, EncodeError> {
    let arguments = with_object(arguments, serde_json::to_string)?;
    Ok(Item::FunctionCall { call_id, name, arguments })
}

fn call_output(result: &ToolResult) -> Item<'_> {
    let text = result_text(result);
    let output = if result.images.is_empty() {
        Output::Text(text)
    } else {
        let text = (!text.is_empty()).then(|| Part::InputText { text: text.into() });
        Output::Parts(text.into_iter().chain(result.images.iter().map(image_part)).collect())
    };
    Item::FunctionCallOutput { call_id: &result.call_id, output }
}

fn user_message<'a>(blocks: &[&'a UserBlock]) -> Option<Item<'a>> {
    let content = match blocks {
        [] => return None,
        [UserBlock::Text { text }] => Content::Text(text),
        blocks => Content::Parts(blocks.iter().map(|block| part(block)).collect()),
    };
    Some(Item::Message { role: "user", content })
}

fn part(block: &UserBlock) -> Part<'_> {
    match block {
        UserBlock::Text { text } => Part::InputText { text: text.into() },
        UserBlock::Image(image) => image_part(image),
    }
}

fn image_part(image: &Image) -> Part<'_> {
    Part::InputImage { image_url: image.url() }
}
