//! The rules: from a conversation to an answer.
//!
//! Invariants: the answer depends on the conversation alone; a tool is called only when the request
//! offers it; what the model says about the past it reads from the request.

mod command;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use crate::conversation::{Answer, Call, Conversation, Entry, ToolResult};
use crate::limits::QUOTE_BYTES_MAX;
use command::Command;

const INTRODUCTION: &str = "I am the demo model: fixed rules, not an AI. I can chat a little, \
`run uname -a`, `write notes.md buy milk`, `edit notes.md replace milk with tea`, \
`read notes.md`, `think about hermit crabs`, and tell you what your first message was. \
For a real model set ANTHROPIC_API_KEY or OPENAI_API_KEY and start again.";

/// The answer to a conversation.
pub(crate) fn answer(conversation: &Conversation) -> Answer {
    let results = latest_results(conversation);
    if !results.is_empty() {
        return say(&results
            .iter()
            .map(|result| report(conversation, result))
            .collect::<Vec<_>>()
            .join("\n\n"));
    }
    let Some(message) = conversation.user_messages().next_back() else {
        return say("There is no message. (I am the demo model.)");
    };
    match command::parse(message) {
        Command::Tool { tool, arguments, saying } => call(conversation, tool, arguments, &saying),
        Command::Think(subject) => think(subject),
        Command::FirstMessage => first_message(conversation),
        Command::PreviousMessage => previous_message(conversation),
        Command::Introduce => say(INTRODUCTION),
        Command::Chat => chat(conversation, message),
    }
}

fn say(text: &str) -> Answer {
    Answer { text: text.to_owned(), ..Answer::default() }
}

/// The results that the model has not yet spoken about: those at the very end.
fn latest_results(conversation: &Conversation) -> Vec<&ToolResult> {
    let mut results: Vec<&ToolResult> = conversation
        .entries
        .iter()
        .rev()
        .map_while(|entry| match entry {
            Entry::Result(result) => Some(result),
            Entry::User(_) | Entry::Assistant(_) | Entry::Call(_) => None,
        })
        .collect();
    results.reverse();
    results
}

fn report(conversation: &Conversation, result: &ToolResult) -> String {
    let call = conversation.call(&result.call);
    let tool = call.map_or("tool", |call| call.tool.as_str());
    let argument = |name: &str| {
        let value = call.and_then(|call| call.arguments.get(name)).and_then(Value::as_str);
        value.unwrap_or("?").to_owned()
    };
    let output = quote(result.output.trim_end());
    if result.failed {
        return format!("The {tool} tool failed:\n\n{}", fenced(output));
    }
    match tool {
        "bash" => format!("I ran `{}`. It said:\n\n{}", argument("command"), fenced(output)),
        "read" => format!("`{}` holds:\n\n{}", argument("path"), fenced(output)),
        "write" => format!("I wrote `{}`. ({output})", argument("path")),
        "edit" => format!("I edited `{}`. ({output})", argument("path")),
        _ => format!("The {tool} tool said:\n\n{}", fenced(output)),
    }
}

/// A code block whose fence is longer than any run of backticks inside.
fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{text}\n{fence}")
}

/// As much of a text as an answer repeats.
fn quote(text: &str) -> &str {
    let end = text.floor_char_boundary(QUOTE_BYTES_MAX);
    text.get(..end).unwrap_or(text)
}

fn call(
    conversation: &Conversation,
    tool: &'static str,
    arguments: Map<String, Value>,
    saying: &str,
) -> Answer {
    if !conversation.tools.iter().any(|offered| offered == tool) {
        return say(&format!(
            "I would call the tool `{tool}`, but this request does not offer it."
        ));
    }
    // Unique within the conversation: no two calls have the same number of entries before them.
    let id = format!("demo_call_{}", conversation.entries.len());
    let call = Call { id, tool: tool.to_owned(), arguments };
    Answer { thinking: None, text: saying.to_owned(), calls: vec![call] }
}

fn think(subject: &str) -> Answer {
    Answer {
        thinking: Some(format!(
            "The user wants me to think about {}. I am a demo model, so this thought is written \
             down beforehand. It is shown so that you see how thinking looks.",
            quote(subject)
        )),
        text: format!(
            "I have thought about {}. As a demo model I have nothing to add.",
            quote(subject)
        ),
        calls: Vec::new(),
    }
}

fn first_message(conversation: &Conversation) -> Answer {
    let count = conversation.user_messages().count();
    match conversation.user_messages().next() {
        Some(first) if count > 1 => say(&format!("Your first message was: \"{}\"", quote(first))),
        _ => say("That is your first message. (I am the demo model.)"),
    }
}

fn previous_message(conversation: &Conversation) -> Answer {
    match conversation.user_messages().nth_back(1) {
        Some(previous) => say(&format!("Before that you said: \"{}\"", quote(previous))),
        None => say("That is your first message. (I am the demo model.)"),
    }
}

fn chat(conversation: &Conversation, message: &str) -> Answer {
    let number = conversation.user_messages().count();
    let heard = format!("You said: \"{}\"", quote(message));
    match number {
        0 | 1 => say(&format!("{heard}\n\n{INTRODUCTION}")),
        _ => say(&format!(
            "{heard}\n\nThat is message {number} of our conversation. (I am the demo model; `help` lists what I can do.)"
        )),
    }
}
