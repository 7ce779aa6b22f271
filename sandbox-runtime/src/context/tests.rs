//! What the model is sent, from any log that can come about.

use std::path::Path;

use dialects::{Accent, AssistantBlock, Dialect, Message, ModelRequest, UserBlock};
use proptest::prelude::*;
use protocol::TurnId;
use protocol::session::{
    AssistantMessage, Block, Item, Outcome, Stop, ToolArguments, ToolFinished, ToolStatus, Usage,
    UserMessage,
};
use protocol::turn::{ModelApi, ModelChoice};
use protocol::{Problem, ProblemCode};

use super::{Fit, Prompt, build};
use crate::edge::Http;
use crate::settings::Service;
use crate::tools::Gateway;
use crate::turn::history::History;
use crate::workspace::Workspace;

fn prompt_with(services: &[Service]) -> Prompt {
    let workspace = Workspace::open(Path::new("/")).unwrap();
    let http = Http::new("http://127.0.0.1:1".parse().unwrap()).unwrap();
    let tools = Gateway::new(workspace.clone(), http, Vec::new()).unwrap().specs();
    Prompt::new(&workspace, tools, services)
}

fn prompt() -> Prompt {
    prompt_with(&[])
}

fn choice(context_tokens: u32) -> ModelChoice {
    ModelChoice {
        provider: "p".into(),
        api: ModelApi::AnthropicMessages,
        model: "m".into(),
        max_output_tokens: 1_000,
        context_tokens,
        thinking: None,
        images: false,
    }
}

/// A turn in one line: words of what happened. `u` a message, `t` an answer with text, `c` an
/// answer with two calls, `1` and `2` their ends, `T` a thought, and one of `.!x` the end:
/// completed, failed, stopped.
fn push(history: &mut History, turn: &str, words: &str) {
    let mut calls = 0;
    for word in words.chars() {
        if word == 'c' {
            calls += 1;
        }
        let name = |n: char| format!("{turn}-{calls}-{n}");
        let item = match word {
            'u' => Item::User(UserMessage {
                channel: "web".into(),
                event: turn.into(),
                text: format!("question {turn}"),
            }),
            't' => answer(vec![Block::Text { text: format!("answer {turn}") }]),
            'T' => answer(vec![Block::Thinking { text: "hm".into(), signature: Some("s".into()) }]),
            'c' => answer(['1', '2'].map(|n| tool_call(&name(n))).into()),
            '1' | '2' => Item::ToolFinished(ToolFinished {
                call: name(word).parse().unwrap(),
                status: ToolStatus::Ok,
                output: "o".repeat(400),
                images: Vec::new(),
                duration_ms: 1,
            }),
            '.' => Item::TurnEnded { outcome: Outcome::Completed },
            '!' => Item::TurnEnded {
                outcome: Outcome::Failed { problem: Problem::new(ProblemCode::Internal, "no") },
            },
            'x' => Item::TurnEnded { outcome: Outcome::Cancelled },
            other => panic!("no such word: {other}"),
        };
        history.push(turn.parse().unwrap(), item);
    }
}

fn answer(blocks: Vec<Block>) -> Item {
    let (stop, usage) = (Stop::EndTurn, Usage::default());
    Item::Assistant(AssistantMessage { blocks, stop, model: "p/m".into(), usage, instead_of: None })
}

fn tool_call(name: &str) -> Block {
    let call = name.parse().unwrap();
    let arguments = ToolArguments::Object(serde_json::Map::new());
    Block::ToolCall { call, name: "bash".into(), arguments }
}

fn request(turns: &[&str], context_tokens: u32) -> ModelRequest {
    let mut history = History::default();
    for (n, words) in turns.iter().enumerate() {
        push(&mut history, &format!("t{n}"), words);
    }
    let current: TurnId = format!("t{}", turns.len() - 1).parse().unwrap();
    build(&prompt(), &history, &current, &choice(context_tokens), Fit::Whole)
}

/// One line per message.
fn brief(request: &ModelRequest) -> Vec<String> {
    let line = |message: &Message| match message {
        Message::User(blocks) => {
            let texts = blocks.iter().map(|block| match block {
                UserBlock::Text { text } => text.as_str(),
                UserBlock::Image { .. } => "image",
            });
            format!("user {}", texts.collect::<Vec<_>>().join(" | "))
        }
        Message::Assistant(blocks) => {
            let texts = blocks.iter().map(|block| match block {
                AssistantBlock::Text { text } => text.clone(),
                AssistantBlock::ToolCall { id, .. } => format!("<{id}>"),
                other => format!("{other:?}"),
            });
            format!("assistant {}", texts.collect::<Vec<_>>().join(" "))
        }
        Message::ToolResults(results) => {
            let texts = results.iter().map(|result| {
                let content: String = result.content.chars().take(12).collect();
                format!("{}={content}{}", result.call_id, if result.is_error { "!" } else { "" })
            });
            format!("results {}", texts.collect::<Vec<_>>().join(" "))
        }
    };
    request.messages.iter().map(line).collect()
}

#[test]
fn a_conversation_with_tools() {
    assert_eq!(
        brief(&request(&["uc12t.", "u"], 200_000)),
        [
            "user question t0",
            "assistant <t0-1-1> <t0-1-2>",
            "results t0-1-1=oooooooooooo t0-1-2=oooooooooooo",
            "assistant answer t0",
            "user question t1",
        ]
    );
}

#[test]
fn calls_that_the_end_of_a_turn_left_open_are_closed() {
    let lines = brief(&request(&["uc1x", "u"], 200_000));
    assert_eq!(lines[2], "results t0-1-1=oooooooooooo t0-1-2=This call wa!");
    assert!(lines[3].contains("stopped the turn"), "{lines:?}");
}

#[test]
fn a_turn_too_large_by_itself_loses_its_oldest_outputs() {
    let lines = brief(&request(&["uc12c12c12c12"], 3_400));
    assert!(lines[2].contains("t0-1-1=[This output"), "{lines:#?}");
    assert_eq!(lines[8], "results t0-4-1=oooooooooooo t0-4-2=oooooooooooo");
}

#[test]
fn the_fixed_prompt_stays_within_its_budget() {
    let tokens = prompt().tokens();
    assert!(tokens < 1_500, "the fixed prompt has about {tokens} tokens");
    assert!(!prompt().system.contains("{workspace}"));
}

#[test]
fn an_openai_model_gets_no_signed_thoughts_of_another() {
    let mut history = History::default();
    push(&mut history, "t0", "uTt.");
    push(&mut history, "t1", "u");
    let other = ModelChoice { model: "other".into(), ..choice(200_000) };
    let asked = build(&prompt(), &history, &"t1".parse().unwrap(), &other, Fit::Whole);
    assert!(!format!("{:?}", asked.messages).contains("Thinking"));
    let same = build(&prompt(), &history, &"t1".parse().unwrap(), &choice(200_000), Fit::Whole);
    assert!(format!("{:?}", same.messages).contains("Thinking"));
}

fn any_turn() -> impl Strategy<Value = String> {
    "u((c(12?)?)|t|T){0,5}[.!x]"
}

#[test]
fn an_image_is_shown_to_a_model_that_sees_and_named_to_one_that_does_not() {
    let mut history = History::after(0);
    push(&mut history, "t0", "uc");
    let turn: TurnId = "t0".parse().unwrap();
    let image =
        protocol::session::Image { media_type: "image/png".into(), base64: "A".repeat(80_000) };
    history.push(
        turn.clone(),
        Item::ToolFinished(ToolFinished {
            call: "t0-1-1".parse().unwrap(),
            status: ToolStatus::Ok,
            output: "[an image]".into(),
            images: vec![image],
            duration_ms: 1,
        }),
    );
    // Its bytes are more than the room, its tokens are not.
    let shown = |images| {
        let choice = ModelChoice { images, ..choice(16_000) };
        let asked = build(&prompt(), &history, &turn, &choice, Fit::Whole);
        let Some(Message::ToolResults(results)) = asked.messages.last() else {
            panic!("{:?}", asked.messages);
        };
        (results[0].images.len(), results[0].content.clone())
    };
    assert_eq!(shown(true), (1, "[an image]".to_owned()));
    let (images, content) = shown(false);
    assert_eq!(images, 0);
    assert!(content.starts_with("[an image]\n[An image was left out"), "{content}");
}

proptest! {
    #[test]
    fn every_call_has_its_result_and_every_request_begins_with_a_person(
        turns in proptest::collection::vec(any_turn(), 0..8),
        last in "u(c12|T){0,4}",
        context_tokens in 1_000_u32..8_000,
    ) {
        let words: Vec<&str> = turns.iter().map(String::as_str).chain([last.as_str()]).collect();
        let asked = request(&words, context_tokens);
        prop_assert!(matches!(asked.messages.first(), Some(Message::User(_))));
        let mut expected: Vec<String> = Vec::new();
        for message in &asked.messages {
            match message {
                Message::ToolResults(results) => {
                    let found: Vec<String> = results.iter().map(|r| r.call_id.clone()).collect();
                    prop_assert_eq!(&found, &expected);
                    expected.clear();
                }
                Message::Assistant(blocks) => {
                    prop_assert!(expected.is_empty(), "calls without results: {:?}", expected);
                    expected = blocks.iter().filter_map(|block| match block {
                        AssistantBlock::ToolCall { id, .. } => Some(id.clone()),
                        _ => None,
                    }).collect();
                }
                Message::User(_) => {
                    prop_assert!(expected.is_empty(), "calls without results: {:?}", expected);
                }
            }
        }
        prop_assert!(expected.is_empty());
        for dialect in Dialect::ALL {
            let accent = Accent::of("p", "m");
            prop_assert_eq!(
                dialects::encode(dialect, &accent, &asked).unwrap(),
                dialects::encode(dialect, &accent, &request(&words, context_tokens)).unwrap()
            );
        }
    }
}

#[test]
fn services_are_told_by_name_where_there_are_any() {
    assert!(!prompt().system.contains("via.edge.internal"));
    let service = |host: &str, secret: &str| Service { host: host.into(), secret: secret.into() };
    let services = [service("api.github.com", "GITHUB_TOKEN"), service("*.a.example", "OTHER")];
    let prompt = prompt_with(&services);
    assert!(
        prompt.system.ends_with("\n\n- `api.github.com` (GITHUB_TOKEN)\n- `*.a.example` (OTHER)")
    );
    assert_eq!(prompt.system, prompt_with(&services).system);
    let tokens = prompt.tokens();
    assert!(tokens < 1_700, "the fixed prompt has about {tokens} tokens");
}
