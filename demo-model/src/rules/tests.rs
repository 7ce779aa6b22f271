use serde_json::json;

use super::*;

fn conversation(entries: Vec<Entry>) -> Conversation {
    let tools = ["bash", "read", "write", "edit"].map(str::to_owned).to_vec();
    Conversation { model: "demo".into(), tools, entries, bytes: 0 }
}

fn user(text: &str) -> Entry {
    Entry::User(text.into())
}

fn after(message: &str) -> Answer {
    answer(&conversation(vec![user(message)]))
}

#[test]
fn plain_chat_echoes_and_says_what_it_is() {
    let answer = after("Hello, crab");
    assert!(answer.text.contains("Hello, crab"));
    assert!(answer.text.contains("demo model"));
    assert!(answer.calls.is_empty() && answer.thinking.is_none());
}

#[test]
fn commands_become_tool_calls() {
    for (message, tool, arguments) in [
        ("run uname -a", "bash", json!({"command": "uname -a"})),
        ("Please run `ls -l | wc -l`", "bash", json!({"command": "ls -l | wc -l"})),
        ("read notes.md", "read", json!({"path": "notes.md"})),
        (
            "write notes.md buy milk\nand bread",
            "write",
            json!({"path": "notes.md", "content": "buy milk\nand bread"}),
        ),
        (
            "edit a/b.txt replace \"milk\" with \"oat milk\"",
            "edit",
            json!({"path": "a/b.txt", "old": "milk", "new": "oat milk"}),
        ),
    ] {
        let answer = after(message);
        assert_eq!(answer.calls.len(), 1, "{message}");
        assert_eq!(answer.calls[0].tool, tool, "{message}");
        assert_eq!(Value::Object(answer.calls[0].arguments.clone()), arguments, "{message}");
    }
}

#[test]
fn sentences_that_only_look_like_commands_are_chat() {
    for message in ["running is fun", "read this", "write me a poem", "edit that", "run", "runé"] {
        assert!(after(message).calls.is_empty(), "{message}");
    }
}

#[test]
fn a_tool_that_is_not_offered_is_not_called() {
    let mut asked = conversation(vec![user("run ls")]);
    asked.tools.clear();
    let answer = answer(&asked);
    assert!(answer.calls.is_empty());
    assert!(answer.text.contains("bash"));
}

#[test]
fn tool_output_is_told() {
    let call = after("run echo crab").calls.remove(0);
    let result = ToolResult { call: call.id.clone(), output: "crab\n".into(), failed: false };
    let entries = vec![user("run echo crab"), Entry::Call(call.clone()), Entry::Result(result)];
    let told = answer(&conversation(entries));
    assert!(told.text.contains("`echo crab`") && told.text.contains("```text\ncrab\n```"));
    assert!(told.calls.is_empty());

    let failed = ToolResult { call: call.id.clone(), output: "no".into(), failed: true };
    let told = answer(&conversation(vec![user("x"), Entry::Call(call), Entry::Result(failed)]));
    assert!(told.text.contains("failed"));
}

#[test]
fn all_results_of_one_answer_are_told() {
    let result = |id: &str| {
        Entry::Result(ToolResult { call: id.into(), output: format!("out-{id}"), failed: false })
    };
    let told = answer(&conversation(vec![user("x"), result("a"), result("b")]));
    assert!(told.text.contains("out-a") && told.text.contains("out-b"));
}

#[test]
fn memory_is_the_history() {
    let entries = vec![
        user("my name is Ada"),
        Entry::Assistant("You said…".into()),
        user("the sea is wide"),
        Entry::Assistant("You said…".into()),
        user("What was my first message?"),
    ];
    assert!(answer(&conversation(entries.clone())).text.contains("my name is Ada"));
    let mut before = entries;
    before.push(user("and what did I say before?"));
    assert!(answer(&conversation(before)).text.contains("What was my first message?"));
    for question in ["what did I say first", "Which was the first thing I told you?"] {
        let asked = vec![user("one"), user(question)];
        assert!(answer(&conversation(asked)).text.contains("\"one\""), "{question}");
    }
}

#[test]
fn thinking_is_apart_from_the_text() {
    let answer = after("think about shells");
    assert!(answer.thinking.unwrap().contains("shells"));
    assert!(answer.text.contains("shells"));
}

#[test]
fn call_ids_differ_within_a_conversation() {
    let first = after("run a");
    let entries = vec![
        user("run a"),
        Entry::Call(first.calls[0].clone()),
        Entry::Result(ToolResult {
            call: first.calls[0].id.clone(),
            output: String::new(),
            failed: false,
        }),
        Entry::Assistant("done".into()),
        user("run a"),
    ];
    assert_ne!(answer(&conversation(entries)).calls[0].id, first.calls[0].id);
}

#[test]
fn long_and_awkward_texts_are_quoted_safely() {
    let long = "ä".repeat(QUOTE_BYTES_MAX);
    assert!(after(&long).text.len() < 2 * QUOTE_BYTES_MAX);
    assert!(fenced("a ``` b").starts_with("````text\n"));
}
