//! Requests are written, and streams read back, by the crate that the agent itself uses.

use dialects::{
    AssistantBlock, Message, ModelRequest, StopReason, StreamDecoder, ToolArguments, ToolSpec,
    UserBlock,
};
use serde_json::{Map, json};

use super::*;
use crate::conversation::{Call, Entry, ToolResult};

const BOTH: [(Dialect, dialects::Dialect); 2] = [
    (Dialect::Anthropic, dialects::Dialect::AnthropicMessages),
    (Dialect::OpenAi, dialects::Dialect::OpenAiChat),
];

fn arguments() -> Map<String, Value> {
    let arguments = json!({"command": "echo \"Grüße\" && ls", "timeout_seconds": 5});
    arguments.as_object().unwrap().clone()
}

fn call(id: &str) -> Call {
    Call { id: id.into(), tool: "bash".into(), arguments: arguments() }
}

fn decoded(ours: Dialect, theirs: dialects::Dialect, answer: &Answer) -> dialects::Completion {
    let conversation = Conversation { model: "demo".into(), bytes: 400, ..Conversation::default() };
    let mut decoder = StreamDecoder::new(theirs);
    for frame in ours.frames(&conversation, answer) {
        decoder.feed(frame.as_bytes()).unwrap();
    }
    decoder.finish().unwrap()
}

#[test]
fn every_kind_of_answer_is_decoded_whole() {
    let answer = Answer {
        thinking: Some("A shell, perhaps?".into()),
        text: "I will look — 🦀.".into(),
        calls: vec![call("one"), call("two")],
    };
    for (ours, theirs) in BOTH {
        let completion = decoded(ours, theirs, &answer);
        assert_eq!(completion.stop, StopReason::ToolUse);
        assert_eq!(completion.model, "demo");
        assert_eq!(completion.usage.input_tokens, 100);
        assert_eq!(completion.usage.output_tokens, answer.output_tokens() as u64);
        let [thinking, text, one, two] = completion.blocks.as_slice() else {
            panic!("{ours:?}: {:?}", completion.blocks);
        };
        let AssistantBlock::Thinking { text: thought, .. } = thinking else {
            panic!("{thinking:?}")
        };
        assert_eq!(thought, "A shell, perhaps?");
        assert_eq!(*text, AssistantBlock::Text { text: answer.text.clone() });
        for (block, id) in [(one, "one"), (two, "two")] {
            let expected = AssistantBlock::ToolCall {
                id: id.into(),
                name: "bash".into(),
                arguments: ToolArguments::Object(arguments()),
            };
            assert_eq!(*block, expected);
        }
    }
}

#[test]
fn a_plain_answer_ends_its_turn() {
    let answer = Answer { text: "Hello.".into(), ..Answer::default() };
    for (ours, theirs) in BOTH {
        let completion = decoded(ours, theirs, &answer);
        assert_eq!(completion.stop, StopReason::EndTurn);
        assert_eq!(completion.blocks, [AssistantBlock::Text { text: "Hello.".into() }]);
    }
}

#[test]
fn the_agents_requests_are_understood() {
    let tool = ToolSpec {
        name: "bash".into(),
        description: "Runs a command.".into(),
        input_schema: json!({"type": "object"}),
    };
    let said = |text: &str| Message::User(vec![UserBlock::Text { text: text.into() }]);
    let request = ModelRequest {
        model: "demo".into(),
        system: "Be a crab.".into(),
        messages: vec![
            said("first"),
            Message::Assistant(vec![
                AssistantBlock::Text { text: "Looking.".into() },
                AssistantBlock::ToolCall {
                    id: "one".into(),
                    name: "bash".into(),
                    arguments: ToolArguments::Object(arguments()),
                },
            ]),
            Message::ToolResults(vec![dialects::ToolResult {
                call_id: "one".into(),
                content: "a file".into(),
                images: Vec::new(),
                is_error: false,
            }]),
        ],
        tools: vec![tool],
        max_output_tokens: 100,
        thinking: None,
        cache_key: None,
    };
    for (ours, theirs) in BOTH {
        let body = dialects::encode(theirs, &dialects::Accent::of("compatible", "demo"), &request)
            .unwrap();
        let conversation = ours.read(&body).unwrap();
        assert_eq!(conversation.tools, ["bash"]);
        assert_eq!(
            conversation.entries,
            [
                Entry::User("first".into()),
                Entry::Assistant("Looking.".into()),
                Entry::Call(call("one")),
                Entry::Result(ToolResult {
                    call: "one".into(),
                    output: "a file".into(),
                    failed: false,
                }),
            ],
            "{ours:?}"
        );
    }
}

#[test]
fn one_frame_is_one_event() {
    let conversation = Conversation::default();
    let answer = Answer { text: "two\n\nparagraphs".into(), ..Answer::default() };
    for (ours, _) in BOTH {
        for frame in ours.frames(&conversation, &answer) {
            assert!(frame.ends_with("\n\n") && frame.trim_end().matches("\n\n").count() == 0);
        }
    }
}
