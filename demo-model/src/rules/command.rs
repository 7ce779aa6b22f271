//! What a message asks for.

use serde_json::{Map, Value};

/// A request that the rules know.
#[derive(Debug, PartialEq)]
pub(super) enum Command<'a> {
    /// Call a tool.
    Tool {
        /// The tool.
        tool: &'static str,
        /// What it is called with.
        arguments: Map<String, Value>,
        /// Said before.
        saying: String,
    },
    /// Think about something.
    Think(&'a str),
    /// What was the first message?
    FirstMessage,
    /// What was the message before this one?
    PreviousMessage,
    /// What can you do?
    Introduce,
    /// Anything else.
    Chat,
}

/// Understands a message.
pub(super) fn parse(message: &str) -> Command<'_> {
    let message = message.trim();
    let message = after_word(message, "please").unwrap_or(message);
    let lower = message.to_lowercase();
    if let Some(command) = tool(message) {
        return command;
    }
    if let Some(subject) = after_word(message, "think") {
        let subject = after_word(subject, "about").unwrap_or(subject);
        return Command::Think(if subject.is_empty() { "nothing" } else { subject });
    }
    if ["help", "help!", "what can you do?"].contains(&lower.as_str()) {
        return Command::Introduce;
    }
    let asks = lower.contains("what") || lower.contains("which") || lower.contains('?');
    match () {
        () if asks && lower.contains("first") && mentions_saying(&lower) => Command::FirstMessage,
        () if asks && lower.contains("before") && mentions_saying(&lower) => {
            Command::PreviousMessage
        }
        () => Command::Chat,
    }
}

fn mentions_saying(lower: &str) -> bool {
    ["message", " say", "said", "write", "wrote", "thing", "tell", "told"]
        .iter()
        .any(|word| lower.contains(word))
}

fn tool(message: &str) -> Option<Command<'_>> {
    if let Some(command) = after_word(message, "run").map(unquoted).filter(|c| !c.is_empty()) {
        let saying = format!("I will run `{command}`.");
        return Some(call("bash", [("command", command)], saying));
    }
    if let Some(path) = after_word(message, "read").map(unquoted).filter(|p| is_path(p)) {
        return Some(call("read", [("path", path)], format!("I will read `{path}`.")));
    }
    if let Some((path, content)) = after_word(message, "write").and_then(path_and_rest) {
        let saying = format!("I will write `{path}`.");
        return Some(call("write", [("path", path), ("content", content)], saying));
    }
    let (path, change) = after_word(message, "edit").and_then(path_and_rest)?;
    let change = after_word(change, "replace")?;
    let (old, new) = change.split_once(" with ")?;
    let arguments = [("path", path), ("old", unquoted(old)), ("new", unquoted(new))];
    Some(call("edit", arguments, format!("I will edit `{path}`.")))
}

fn call<const N: usize>(
    tool: &'static str,
    arguments: [(&str, &str); N],
    saying: String,
) -> Command<'static> {
    let arguments = arguments.into_iter().map(|(name, value)| (name.to_owned(), value.into()));
    Command::Tool { tool, arguments: arguments.collect(), saying }
}

/// The rest of a text that begins with this word, in any case.
fn after_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(word.len())?;
    let ends = rest.is_empty() || rest.starts_with([' ', '\n', '\t', ':', ',']);
    (ends && head.eq_ignore_ascii_case(word))
        .then(|| rest.trim_start_matches([' ', '\n', '\t', ':', ',']).trim_end())
}

fn path_and_rest(text: &str) -> Option<(&str, &str)> {
    let (path, rest) = text.split_once(char::is_whitespace)?;
    let path = unquoted(path.trim_end_matches(':'));
    let rest = rest.trim_start();
    (is_path(path) && !rest.is_empty()).then_some((path, rest))
}

/// One word that a sentence would not have at this place: `read this` is chat.
fn is_path(text: &str) -> bool {
    !text.contains(char::is_whitespace) && text.contains(['.', '/'])
}

/// Without the quotes or backticks around it.
fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let inside = ['`', '"', '\''].iter().find_map(|quote| {
        text.strip_prefix(*quote)?.strip_suffix(*quote).filter(|inside| !inside.contains(*quote))
    });
    inside.unwrap_or(text)
}
