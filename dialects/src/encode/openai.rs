//! The request of OpenAI Chat Completions
//! (<https://platform.openai.com/docs/api-reference/chat/create>).
//!
//! Invariant: only what every compatible provider takes, unless the accent says more: text as one
//! string where there is neither image nor cache breakpoint, tool results as text, no thinking.
//!
//! The format has no images in tool results; they follow as the user's.

mod body;

use std::borrow::Cow;

use serde_json::Value;

use self::body::{
    Body, Call, Called, Content, Function, ImageUrl, Message, Nested, Part, Signed, StreamOptions,
    Switch, Typed,
};
use super::runs::{Run, arrange};
use super::{EncodeError, prompt_cache_key, result_text, with_object, word};
use crate::accent::{Accent, Effort, OutputLimit, Quirk};
use crate::conversation::{
    AssistantBlock, ModelRequest, ThinkingLevel, ToolArguments, ToolResult, ToolSpec, UserBlock,
};
use crate::limits::CACHED_MESSAGES_MAX;
use crate::reasoning;

/// Between texts that become one string.
const PARAGRAPH: &str = "\n\n";

/// Stands for the signatures of an answer that has none because another model gave it, as the provider
/// documents. An answer of its own has one, on the first of its calls
/// (<https://ai.google.dev/gemini-api/docs/thought-signatures>).
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// Keywords of JSON Schema that [`Quirk::PlainSchemas`] leaves out.
const SCHEMA_KEYWORDS_LEFT_OUT: [&str; 2] = ["$schema", "additionalProperties"];

pub(super) fn encode(accent: &Accent, request: &ModelRequest) -> Result<Vec<u8>, EncodeError> {
    let select = if accent.has(Quirk::ReasoningContent) {
        replayed_with_thinking
    } else if accent.has(Quirk::ThoughtSignatures) {
        replayed_with_signatures
    } else {
        replayed
    };
    let runs = arrange(&request.messages, select);
    if runs.is_empty() {
        return Err(EncodeError::NothingToSend);
    }
    let mut messages = Vec::new();
    if !request.system.trim().is_empty() {
        messages.push(Message::System { content: Content::Text((&request.system).into()) });
    }
    for run in runs {
        match run {
            Run::User { results, blocks } => {
                messages.extend(results.iter().map(|result| tool_message(accent, result)));
                messages.extend(user_message(&results, &blocks));
            }
            Run::Assistant(blocks) => messages.push(assistant_message(accent, &blocks)?),
        }
    }
    if accent.has(Quirk::CacheControl) {
        mark(&mut messages);
    }
    let limit = request.max_output_tokens;
    let counts_if_asked = !accent.has(Quirk::NoStreamOptions);
    let mut body = Body {
        model: &request.model,
        max_completion_tokens: None,
        max_tokens: None,
        stream: true,
        stream_options: counts_if_asked.then_some(StreamOptions { include_usage: true }),
        reasoning_effort: None,
        reasoning: None,
        thinking: None,
        prompt_cache_key: prompt_cache_key(accent, request),
        tools: request.tools.iter().map(|spec| tool(accent, spec)).collect(),
        messages,
    };
    match accent.output_limit {
        OutputLimit::MaxCompletionTokens => body.max_completion_tokens = Some(limit),
        OutputLimit::MaxTokens => body.max_tokens = Some(limit),
    }
    ask_to_think(&mut body, accent, request.thinking);
    Ok(serde_json::to_vec(&body)?)
}

fn ask_to_think(body: &mut Body<'_>, accent: &Accent, thinking: Option<ThinkingLevel>) {
    if accent.has(Quirk::ToolsOnlyWithoutEffort) && !body.tools.is_empty() {
        body.reasoning_effort = Some("none");
        return;
    }
    let Some(level) = thinking else {
        return;
    };
    match accent.effort {
        Effort::Unasked => {}
        Effort::Levels(levels) => body.reasoning_effort = Some(word(levels, level)),
        Effort::Nested(levels) => body.reasoning = Some(Nested { effort: word(levels, level) }),
        Effort::Switched(_) if level == ThinkingLevel::Off => {
            body.thinking = Some(Switch::Disabled);
        }
        Effort::Switched(levels) => {
            body.thinking = Some(Switch::Enabled);
            body.reasoning_effort = Some(word(levels, level));
        }
    }
}

/// Sets breakpoints where Anthropic's own format has them: on the system prompt and on the last
/// messages of the user.
fn mark(messages: &mut [Message<'_>]) {
    let mut left = CACHED_MESSAGES_MAX;
    for message in messages.iter_mut().rev() {
        match message {
            Message::User { content } if left > 0 => {
                content.mark();
                left -= 1;
            }
            Message::System { content } => content.mark(),
            _ => {}
        }
    }
}

fn replayed(answer: &[AssistantBlock]) -> Vec<&AssistantBlock> {
    let is_replayed = |block: &&AssistantBlock| {
        matches!(block, AssistantBlock::Text { .. } | AssistantBlock::ToolCall { .. })
    };
    answer.iter().filter(is_replayed).collect()
}

/// The thinking is asked for only beside tool calls.
fn replayed_with_thinking(answer: &[AssistantBlock]) -> Vec<&AssistantBlock> {
    if !answer.iter().any(|block| matches!(block, AssistantBlock::ToolCall { .. })) {
        return replayed(answer);
    }
    let is_redacted =
        |block: &&AssistantBlock| matches!(block, AssistantBlock::RedactedThinking { .. });
    answer.iter().filter(|block| !is_redacted(block)).collect()
}

fn replayed_with_signatures(answer: &[AssistantBlock]) -> Vec<&AssistantBlock> {
    let is_replayed = |block: &&AssistantBlock| match block {
        AssistantBlock::Text { .. } | AssistantBlock::ToolCall { .. } => true,
        AssistantBlock::Thinking { .. } => thought_signature(block).is_some(),
        AssistantBlock::RedactedThinking { .. } => false,
    };
    answer.iter().filter(is_replayed).collect()
}

fn thought_signature(block: &AssistantBlock) -> Option<String> {
    match block {
        AssistantBlock::Thinking { signature, .. } => reasoning::unpack_call(signature.as_deref()?),
        _ => None,
    }
}

fn tool<'a>(accent: &Accent, spec: &'a ToolSpec) -> Typed<Function<'a>> {
    let mut parameters = Cow::Borrowed(&spec.input_schema);
    if accent.has(Quirk::PlainSchemas) {
        make_plain(parameters.to_mut());
    }
    let (name, description) = (&spec.name, &spec.description);
    Typed { function: Function { name, description, parameters } }
}

/// Takes the keywords out of a schema. A property may have one of their names: it is an object where
/// the keyword is text or a truth value.
fn make_plain(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            for keyword in SCHEMA_KEYWORDS_LEFT_OUT {
                if members.get(keyword).is_some_and(|value| !value.is_object()) {
                    members.remove(keyword);
                }
            }
            members.values_mut().for_each(make_plain);
        }
        Value::Array(values) => values.iter_mut().for_each(make_plain),
        _ => {}
    }
}

fn tool_message<'a>(accent: &Accent, result: &'a ToolResult) -> Message<'a> {
    Message::Tool { tool_call_id: call_id(accent, &result.call_id), content: result_text(result) }
}

fn user_message<'a>(results: &[&'a ToolResult], blocks: &[&'a UserBlock]) -> Option<Message<'a>> {
    let shown = results.iter().flat_map(|result| &result.images);
    let mut parts: Vec<_> = shown.map(|image| image_part(image.url())).collect();
    let texts: Option<Vec<_>> = blocks.iter().map(|block| text_of(block)).collect();
    let content = match texts {
        Some(texts) if parts.is_empty() && texts.is_empty() => return None,
        Some(texts) if parts.is_empty() => Content::Text(texts.join(PARAGRAPH).into()),
        _ => {
            parts.extend(blocks.iter().map(|block| part(block)));
            Content::Parts(parts)
        }
    };
    Some(Message::User { content })
}

fn text_of(block: &UserBlock) -> Option<&str> {
    match block {
        UserBlock::Text { text } => Some(text),
        UserBlock::Image(_) => None,
    }
}

fn part(block: &UserBlock) -> Part<'_> {
    match block {
        UserBlock::Text { text } => Part::Text { text: text.into(), cache_control: None },
        UserBlock::Image(image) => image_part(image.url()),
    }
}

fn image_part(url: String) -> Part<'static> {
    Part::ImageUrl { image_url: ImageUrl { url } }
}

fn assistant_message<'a>(
    accent: &Accent,
    blocks: &[&'a AssistantBlock],
) -> Result<Message<'a>, EncodeError> {
    let (mut texts, mut thoughts, mut tool_calls) = (Vec::new(), Vec::new(), Vec::new());
    let is_signed = blocks.iter().any(|block| thought_signature(block).is_some());
    let mut signature = None;
    for block in blocks {
        match block {
            AssistantBlock::Text { text } => texts.push(text.as_str()),
            AssistantBlock::Thinking { text, .. } => {
                signature = thought_signature(block);
                thoughts.push(text.as_str());
            }
            AssistantBlock::RedactedThinking { .. } => {}
            AssistantBlock::ToolCall { id, name, arguments } => {
                let mut call = call(accent, id, name, arguments)?;
                if accent.has(Quirk::ThoughtSignatures) {
                    let stand_in = || (!is_signed).then(|| NO_SIGNATURE.to_owned());
                    call.extra_content = signature.take().or_else(stand_in).map(Signed::new);
                }
                tool_calls.push(call);
            }
        }
    }
    let content = (!texts.is_empty()).then(|| texts.join(PARAGRAPH));
    let is_asked = accent.has(Quirk::ReasoningContent) && !tool_calls.is_empty();
    let reasoning_content = is_asked.then(|| thoughts.join(PARAGRAPH));
    Ok(Message::Assistant { content, reasoning_content, tool_calls })
}

fn call<'a>(
    accent: &Accent,
    id: &'a str,
    name: &'a str,
    arguments: &ToolArguments,
) -> Result<Call<'a>, EncodeError> {
    let arguments = with_object(arguments, serde_json::to_string)?;
    let called = Typed { function: Called { name, arguments } };
    Ok(Call { id: call_id(accent, id), called, extra_content: None })
}

/// An id in the form that the provider takes. The same id always gives the same one, so that calls
/// and results still belong together.
fn call_id<'a>(accent: &Accent, id: &'a str) -> Cow<'a, str> {
    const BYTES: usize = 9;
    let fits = id.len() == BYTES && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if fits || !accent.has(Quirk::NineCharacterIds) {
        return id.into();
    }
    // FNV-1a, https://datatracker.ietf.org/doc/draft-eastlake-fnv/: ids of one conversation only
    // have to differ.
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // 36 bits of it, four to a digit.
    format!("{:09x}", hash >> 28).into()
}
