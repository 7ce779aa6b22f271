//! What `dev` says when the agent can be talked to.

use anyhow::Error;
use serde_json::json;

use super::converse::Greeting;
use super::stack::Stack;
use super::{Ready, milliseconds};
use crate::console;

fn model(greeting: Option<&Greeting>) -> &str {
    let named = greeting.map(|greeting| greeting.model.as_str()).filter(|name| !name.is_empty());
    named.unwrap_or("none yet")
}

/// For a person. `greeting` is what the agent says of itself, if it does.
pub(super) fn to_person(stack: &Stack, greeting: Option<&Greeting>) {
    let line = |text: &str| console::print(text);
    line("");
    line(&format!("  Pagurus is at http://127.0.0.1:{}", stack.port()));
    line("");
    line(&format!("  state   {} (remove it to start anew)", stack.state()));
    line(&format!("  logs    {}", stack.logs()));
    line(&format!("  token   {} (for programs: restic, curl)", stack.token()));
    if stack.demo() {
        line("  model   the demo model: fixed rules, not an AI. For a real one put");
        line("          ANTHROPIC_API_KEY=… or OPENAI_API_KEY=… into .dev.vars and start again");
    } else {
        line(&format!("  model   {}; MODEL=provider/name chooses another", model(greeting)));
        line("  money   capped for each task, day and month: /usage shows caps and what is spent");
    }
    for problem in greeting.iter().flat_map(|greeting| &greeting.problems) {
        line(&format!("  wrong   {problem}"));
    }
    for said in stack.engine_says() {
        line(&format!("  engine  {}", said.trim()));
    }
    line("");
    line("  Ctrl-C stops everything.");
}

/// Why there is no stack, or no answer, for a program.
pub(super) fn failure_as_json(error: &Error) {
    let event = json!({"event": "error", "reason": format!("{error:#}")});
    console::print(&event.to_string());
}

/// For a program.
pub(super) fn as_json(stack: &Stack, ready: &Ready) {
    let event = json!({
        "event": "ready",
        "url": format!("http://127.0.0.1:{}", stack.port()),
        "state": stack.state(),
        "logs": stack.logs(),
        "token_file": stack.token(),
        "demo_model": stack.demo(),
        "build_ms": milliseconds(ready.build_time),
        "ready_ms": milliseconds(ready.start_time),
    });
    console::print(&event.to_string());
}
