//! The request of Anthropic Messages (<https://docs.anthropic.com/en/api/messages>).
//!
//! Invariants: at most [`CACHE_BREAKPOINTS_MAX`](crate::limits::CACHE_BREAKPOINTS_MAX) cache
//! breakpoints, none on a thinking block; signed thinking goes back verbatim and in place.
//!
//! A tool's result is a string, or a list where it has images.
//!
//! Thinking without a signature came from another API and is left out, and so is thinking with
//! nothing after it in its message: the API refuses both.

mod thinking;

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value};

pub(super) use self::thinking::BLOCK_BINDING;
use self::thinking::{OutputConfig, Thinking};
use super::runs::{Run, arrange};
use super::{EncodeError, with_object};
use crate::accent::Accent;
use crate::conversation::{AssistantBlock, Image, ModelRequest, ToolResult, ToolSpec, UserBlock};
use crate::limits::CACHED_MESSAGES_MAX;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Cached<Tool<'a>>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Cached<Block<'a>>>,
    messages: Vec<WireMessage<'a>>,
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    description: &'a str,
    input_schema: &'a Value,
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    content: Vec<Cached<Block<'a>>>,
}

/// Something that may end a cached prefix.
#[derive(Serialize)]
struct Cached<T> {
    #[serde(flatten)]
    value: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum CacheControl {
    Ephemeral,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text {
        text: &'a str,
    },
    Image {
        source: ImageSource<'a>,
    },
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    RedactedThinking {
        data: &'a str,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: &'a str,
        input: Map<String, Value>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        content: Option<ResultContent<'a>>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
enum ResultContent<'a> {
    Text(&'a str),
    Blocks(Vec<Block<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "base64")]
struct ImageSource<'a> {
    media_type: &'a str,
    data: &'a str,
}

impl<T> Cached<T> {
    fn new(value: T) -> Self {
        Self { value, cache_control: None }
    }
}

pub(super) fn encode(accent: &Accent, request: &ModelRequest) -> Result<Vec<u8>, EncodeError> {
    let mut messages: Vec<_> =
        arrange(&request.messages, replayed).into_iter().map(message).collect();
    if messages.is_empty() {
        return Err(EncodeError::NothingToSend);
    }
    let mut tools: Vec<_> = request.tools.iter().map(tool).collect();
    let mut system = Vec::new();
    if !request.system.trim().is_empty() {
        system.push(Cached::new(Block::Text { text: &request.system }));
    }
    // Tools come before the system prompt in the cached prefix, so one breakpoint serves both.
    match (system.last_mut(), tools.last_mut()) {
        (Some(last), _) => last.cache_control = Some(CacheControl::Ephemeral),
        (None, Some(last)) => last.cache_control = Some(CacheControl::Ephemeral),
        (None, None) => {}
    }
    mark_messages(&mut messages);
    let (thinking, output_config) = thinking::ask(accent.claude, request);
    let body = Body {
        model: &request.model,
        max_tokens: request.max_output_tokens,
        stream: true,
        thinking,
        output_config,
        tools,
        system,
        messages,
    };
    Ok(serde_json::to_vec(&body)?)
}

fn mark_messages(messages: &mut [WireMessage<'_>]) {
    let users = messages.iter_mut().rev().filter(|message| message.role == "user");
    for message in users.take(CACHED_MESSAGES_MAX) {
        if let Some(block) = message.content.last_mut() {
            block.cache_control = Some(CacheControl::Ephemeral);
        }
    }
}

fn tool(spec: &ToolSpec) -> Cached<Tool<'_>> {
    Cached::new(Tool {
        name: &spec.name,
        description: &spec.description,
        input_schema: &spec.input_schema,
    })
}

fn replayed(answer: &[AssistantBlock]) -> Vec<&AssistantBlock> {
    let unsigned =
        |block: &&AssistantBlock| matches!(block, AssistantBlock::Thinking { signature: None, .. });
    let mut blocks: Vec<_> = answer.iter().filter(|block| !unsigned(block)).collect();
    while blocks.last().is_some_and(|block| is_thinking(block)) {
        blocks.pop();
    }
    blocks
}

fn is_thinking(block: &AssistantBlock) -> bool {
    matches!(block, AssistantBlock::Thinking { .. } | AssistantBlock::RedactedThinking { .. })
}

fn message(run: Run<'_>) -> WireMessage<'_> {
    let (role, content): (_, Vec<_>) = match run {
        Run::User { results, blocks } => {
            let results = results.into_iter().map(tool_result);
            ("user", results.chain(blocks.into_iter().map(user_block)).collect())
        }
        Run::Assistant(blocks) => {
            ("assistant", blocks.into_iter().filter_map(assistant_block).collect())
        }
    };
    WireMessage { role, content: content.into_iter().map(Cached::new).collect() }
}

fn user_block(block: &UserBlock) -> Block<'_> {
    match block {
        UserBlock::Text { text } => Block::Text { text },
        UserBlock::Image(image) => image_block(image),
    }
}

fn image_block(image: &Image) -> Block<'_> {
    Block::Image { source: ImageSource { media_type: &image.media_type, data: &image.base64 } }
}

fn tool_result(result: &ToolResult) -> Block<'_> {
    let text = Some(result.content.as_str()).filter(|text| !text.is_empty());
    let content = if result.images.is_empty() {
        text.map(ResultContent::Text)
    } else {
        let text = text.map(|text| Block::Text { text });
        let images = result.images.iter().map(image_block);
        Some(ResultContent::Blocks(text.into_iter().chain(images).collect()))
    };
    Block::ToolResult {
        tool_use_id: accepted_id(&result.call_id),
        content,
        is_error: result.is_error,
    }
}

fn assistant_block(block: &AssistantBlock) -> Option<Block<'_>> {
    Some(match block {
        AssistantBlock::Text { text } => Block::Text { text },
        AssistantBlock::Thinking { signature: None, .. } => return None,
        AssistantBlock::Thinking { text, signature: Some(signature) } => {
            Block::Thinking { thinking: text, signature }
        }
        AssistantBlock::RedactedThinking { data } => Block::RedactedThinking { data },
        AssistantBlock::ToolCall { id, name, arguments } => {
            Block::ToolUse { id: accepted_id(id), name, input: with_object(arguments, Map::clone) }
        }
    })
}

/// The API takes only letters, digits, `_` and `-` in an id; other providers' may hold more.
fn accepted_id(id: &str) -> Cow<'_, str> {
    let accepted = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if id.chars().all(accepted) {
        Cow::Borrowed(id)
    } else {
        Cow::Owned(id.chars().map(|c| if accepted(c) { c } else { '_' }).collect())
    }
}
