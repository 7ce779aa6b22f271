//! What a request to a model asks for, as far as it decides about money. Pure.
//!
//! Invariant: a body is passed on only if every member of it is one that our own requests have, once;
//! so nothing in it can make the provider do, and bill, more than what was looked at.

use std::borrow::Cow;

use dialects::Dialect;
use protocol::{Problem, ProblemCode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::limits::{IMAGE_TOKENS_MAX, REQUEST_BYTES_PER_TOKEN};

/// What is asked of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// The model's name at the provider.
    pub(super) model: String,
    /// About how many tokens go in, and seldom more.
    pub(super) input_tokens: u64,
    /// The most that it may give out.
    pub(super) output_tokens: u64,
}

/// A tool on offer. Tools that the provider runs itself are billed on their own.
#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<Cow<'a, str>>,
}

/// Anthropic Messages, <https://docs.anthropic.com/en/api/messages>.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the members that are allowed")]
struct Anthropic<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    max_tokens: u64,
    stream: bool,
    messages: IgnoredAny,
    system: Option<IgnoredAny>,
    #[serde(borrow, default)]
    tools: Vec<Tool<'a>>,
    tool_choice: Option<IgnoredAny>,
    thinking: Option<IgnoredAny>,
    output_config: Option<IgnoredAny>,
    cache_control: Option<IgnoredAny>,
}

/// `OpenAI` Chat Completions, <https://platform.openai.com/docs/api-reference/chat/create>.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the members that are allowed")]
struct Chat<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    stream: bool,
    stream_options: Option<IgnoredAny>,
    messages: IgnoredAny,
    #[serde(borrow, default)]
    tools: Vec<Tool<'a>>,
    tool_choice: Option<IgnoredAny>,
    parallel_tool_calls: Option<IgnoredAny>,
    reasoning_effort: Option<IgnoredAny>,
    reasoning: Option<IgnoredAny>,
    thinking: Option<IgnoredAny>,
    prompt_cache_key: Option<IgnoredAny>,
}

/// `OpenAI` Responses, <https://platform.openai.com/docs/api-reference/responses/create>.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the members that are allowed")]
struct Responses<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    max_output_tokens: u64,
    stream: bool,
    store: Option<bool>,
    input: IgnoredAny,
    instructions: Option<IgnoredAny>,
    #[serde(borrow, default)]
    tools: Vec<Tool<'a>>,
    tool_choice: Option<IgnoredAny>,
    parallel_tool_calls: Option<IgnoredAny>,
    reasoning: Option<IgnoredAny>,
    include: Option<IgnoredAny>,
    prompt_cache_key: Option<IgnoredAny>,
}

/// Reads a request's body.
pub(super) fn read(dialect: Dialect, body: &[u8]) -> Result<Asked, Problem> {
    let (model, output_tokens, stream, tools) = match dialect {
        Dialect::AnthropicMessages => {
            let body: Anthropic<'_> = parse(body)?;
            (body.model, body.max_tokens, body.stream, body.tools)
        }
        Dialect::OpenAiChat => {
            let body: Chat<'_> = parse(body)?;
            let most = body.max_tokens.max(body.max_completion_tokens);
            let most = most.ok_or_else(|| refused("it sets no limit to the answer"))?;
            (body.model, most, body.stream, body.tools)
        }
        Dialect::OpenAiResponses => {
            let body: Responses<'_> = parse(body)?;
            (body.model, body.max_output_tokens, body.stream, body.tools)
        }
    };
    if !stream {
        return Err(refused("it does not ask for a stream"));
    }
    let own = ["function", "custom"];
    if let Some(tool) =
        tools.iter().filter_map(|tool| tool.kind.as_deref()).find(|kind| !own.contains(kind))
    {
        return Err(refused(format!("it offers {tool:?}, a tool that the provider runs")));
    }
    Ok(Asked { model: model.into_owned(), input_tokens: input_tokens(body), output_tokens })
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(refused)
}

fn refused(why: impl std::fmt::Display) -> Problem {
    let message = format!("The request to the model is not one that the edge passes on: {why}.");
    Problem::new(ProblemCode::BadRequest, message)
}

/// About how many tokens a body has, and seldom less. An image counts by itself, whatever its bytes.
fn input_tokens(body: &[u8]) -> u64 {
    let bytes = body.len() as u64;
    let images = images(body);
    let text = bytes.saturating_sub(images.bytes);
    text.div_ceil(REQUEST_BYTES_PER_TOKEN).saturating_add(images.count * IMAGE_TOKENS_MAX)
}

/// The images of a request.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Images {
    count: u64,
    bytes: u64,
}

fn images(body: &[u8]) -> Images {
    // Few requests have any; the others are not taken apart a second time.
    let marker = b"base64";
    if !body.windows(marker.len()).any(|window| window == marker) {
        return Images::default();
    }
    // The body was read once already.
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return Images::default() };
    let mut images = Images::default();
    for name in ["messages", "input"] {
        count_images(body.get(name).unwrap_or(&Value::Null), &mut images);
    }
    images
}

/// Images are objects of these types, in the content of messages and of tools' results; text never
/// is, so none can pass for one.
fn count_images(value: &Value, images: &mut Images) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| count_images(value, images)),
        Value::Object(map) => {
            let kind = map.get("type").and_then(Value::as_str).unwrap_or_default();
            if matches!(kind, "image" | "image_url" | "input_image") {
                images.count += 1;
                images.bytes += image_bytes(map);
            } else {
                for name in ["content", "output"] {
                    count_images(map.get(name).unwrap_or(&Value::Null), images);
                }
            }
        }
        _ => {}
    }
}

/// The bytes of an image itself, wherever its dialect has it.
fn image_bytes(image: &serde_json::Map<String, Value>) -> u64 {
    let at = |value: Option<&Value>| value.and_then(Value::as_str).map_or(0, str::len);
    let nested = |name: &str, field: &str| at(image.get(name).and_then(|inner| inner.get(field)));
    let bytes = nested("source", "data") + nested("image_url", "url") + at(image.get("image_url"));
    bytes as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use Dialect::{AnthropicMessages, OpenAiChat, OpenAiResponses};
    use dialects::{Accent, Image, Message, ModelRequest, ThinkingLevel, ToolSpec, UserBlock};
    use serde_json::json;

    fn asked(dialect: Dialect, body: &Value) -> Result<Asked, Problem> {
        read(dialect, body.to_string().as_bytes())
    }

    fn anthropic() -> Value {
        json!({ "model": "m", "max_tokens": 10, "stream": true, "messages": [] })
    }

    #[test]
    fn a_member_that_our_requests_have_not_is_refused() {
        assert!(asked(AnthropicMessages, &anthropic()).is_ok());
        for (dialect, body, member) in [
            (AnthropicMessages, anthropic(), "service_tier"),
            (AnthropicMessages, anthropic(), "mcp_servers"),
            (
                OpenAiChat,
                json!({ "model": "m", "max_tokens": 1, "stream": true, "messages": [] }),
                "n",
            ),
            (
                OpenAiResponses,
                json!({ "model": "m", "max_output_tokens": 1, "stream": true, "input": [] }),
                "background",
            ),
        ] {
            assert!(asked(dialect, &body).is_ok(), "{body}");
            let mut more = body.clone();
            more[member] = json!(1);
            let problem = asked(dialect, &more).unwrap_err();
            assert_eq!(problem.code, ProblemCode::BadRequest);
            assert!(problem.message.contains(member), "{problem}");
        }
    }

    #[test]
    fn a_member_that_decides_about_money_stands_once() {
        let twice =
            br#"{"model":"cheap","max_tokens":1,"stream":true,"messages":[],"model":"dear"}"#;
        assert!(read(AnthropicMessages, twice).is_err());
        let twice =
            br#"{"model":"m","max_tokens":1,"stream":true,"messages":[],"max_tokens":999999}"#;
        assert!(read(AnthropicMessages, twice).is_err());
        let both = json!({ "model": "m", "max_tokens": 1, "max_completion_tokens": 99,
            "stream": true, "messages": [] });
        assert_eq!(asked(OpenAiChat, &both).unwrap().output_tokens, 99);
    }

    #[test]
    fn an_answer_without_a_limit_or_a_stream_is_refused() {
        let unlimited = json!({ "model": "m", "stream": true, "messages": [] });
        assert!(asked(OpenAiChat, &unlimited).is_err());
        assert!(asked(AnthropicMessages, &unlimited).is_err());
        let mut whole = anthropic();
        whole["stream"] = json!(false);
        assert!(asked(AnthropicMessages, &whole).is_err());
    }

    #[test]
    fn tools_that_the_provider_runs_are_refused() {
        let mut body = anthropic();
        body["tools"] = json!([{ "name": "bash", "input_schema": {} }]);
        assert!(asked(AnthropicMessages, &body).is_ok());
        body["tools"] = json!([{ "type": "web_search_20250305", "name": "web_search" }]);
        assert!(asked(AnthropicMessages, &body).unwrap_err().message.contains("web_search"));
    }

    fn request(blocks: Vec<UserBlock>) -> ModelRequest {
        ModelRequest {
            model: "m".into(),
            system: "Be brief.".into(),
            messages: vec![Message::User(blocks)],
            tools: vec![ToolSpec {
                name: "bash".into(),
                description: "Runs.".into(),
                input_schema: json!({ "type": "object" }),
            }],
            max_output_tokens: 77,
            thinking: None,
            cache_key: Some("web".into()),
        }
    }

    #[test]
    fn an_image_counts_by_itself_and_text_that_looks_like_one_by_its_length() {
        let picture = "A".repeat(400_000);
        let image =
            UserBlock::Image(Image { media_type: "image/png".into(), base64: picture.clone() });
        let fake = UserBlock::Text { text: format!("{{\"type\":\"image\"}};base64,{picture}") };
        for dialect in [AnthropicMessages, OpenAiChat, OpenAiResponses] {
            let tokens = |blocks| {
                let accent = Accent::of("openai", "gpt-5.1");
                let body = dialects::encode(dialect, &accent, &request(blocks)).unwrap();
                read(dialect, &body).unwrap().input_tokens
            };
            let text = UserBlock::Text { text: "What is this?".into() };
            assert!(tokens(vec![text.clone(), image.clone()]) < 2 * IMAGE_TOKENS_MAX);
            assert!(tokens(vec![text, fake.clone()]) > 100_000);
        }
    }

    #[test]
    fn what_our_own_encoders_write_is_passed_on() {
        let levels = [None, Some(ThinkingLevel::Off), Some(ThinkingLevel::High)];
        let names = crate::models::known_names();
        assert!(names.len() > 80);
        for (provider, model) in names {
            let accent = Accent::of(provider, model);
            for (dialect, thinking) in
                Dialect::ALL.into_iter().flat_map(|dialect| levels.map(|level| (dialect, level)))
            {
                let text = UserBlock::Text { text: "hi".into() };
                let request = ModelRequest { thinking, ..request(vec![text]) };
                let body = dialects::encode(dialect, &accent, &request).unwrap();
                let asked = read(dialect, &body).unwrap_or_else(|problem| {
                    panic!("{provider}/{model} in {dialect:?}: {problem}")
                });
                assert_eq!(asked.model, "m");
                assert!(asked.output_tokens >= 77);
            }
        }
    }
}
