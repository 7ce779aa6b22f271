//! What a careful model does next, told by the conversation alone. Pure.
//!
//! A message that holds `task:<name>` asks for three steps: write a file, have a side effect outside
//! the workspace, add a line to another file; then `done <name>` is said. A step is never done again
//! unless a look has shown that it is missing, and there is a look only where the runtime says that
//! a call was interrupted or that files were lost.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// What the model does.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// Calls the shell or writes a file.
    Call {
        /// The call's id.
        id: String,
        /// The tool.
        name: &'static str,
        /// Its arguments.
        arguments: Value,
    },
    /// Says something, which ends the turn.
    Say(String),
}

/// How sure the model is of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Missing,
    Doubtful,
    Done,
}

const STEPS: usize = 3;
/// How the runtime's note about lost files begins.
const LOST: &str = "[The container was lost before";

#[derive(Debug)]
struct Task {
    name: String,
    steps: [Step; STEPS],
    calls: usize,
    said: bool,
}

/// Where the side effects are counted: one file per task.
pub(super) type Effects<'a> = &'a str;

/// What the model does next in a conversation, given as the messages of an Anthropic request.
pub(super) fn next(messages: &[Value], effects: Effects<'_>) -> Action {
    let mut reader = Reader::default();
    for message in messages {
        for block in blocks(message) {
            reader.read(&message["role"], &block);
        }
    }
    reader.decide(effects)
}

#[derive(Debug, Default)]
struct Reader {
    tasks: Vec<Task>,
    /// The call of each open id: task, step, and whether it only looks.
    open: BTreeMap<String, (String, usize, bool)>,
    /// Why the last call was not run, when it was not.
    stuck: Option<String>,
}

impl Reader {
    fn read(&mut self, role: &Value, block: &Value) {
        match block["type"].as_str() {
            Some("text") if role == "user" => self.hear(text(block)),
            Some("text") => {
                for task in &mut self.tasks {
                    task.said |= text(block).split_whitespace().any(|word| word == task.name);
                }
            }
            Some("tool_use") => {
                let id = block["id"].as_str().unwrap_or_default();
                if let Some(call) = parse(id) {
                    if let Some(task) = self.tasks.iter_mut().find(|task| task.name == call.0) {
                        task.calls += 1;
                    }
                    self.open.insert(id.to_owned(), call);
                }
            }
            Some("tool_result") => self.result(block),
            _ => {}
        }
    }

    fn hear(&mut self, text: &str) {
        self.stuck = None;
        if text.starts_with(LOST) {
            for task in &mut self.tasks {
                if text.contains(&task.name) || text.contains(" earlier ones") {
                    task.doubt();
                }
            }
        }
        for word in text.split_whitespace() {
            let Some(name) = word.strip_prefix("task:") else { continue };
            if !self.tasks.iter().any(|task| task.name == name) {
                let (name, steps) = (name.to_owned(), [Step::Missing; STEPS]);
                self.tasks.push(Task { name, steps, calls: 0, said: false });
            }
        }
    }

    fn result(&mut self, block: &Value) {
        let id = block["tool_use_id"].as_str().unwrap_or_default();
        let Some((name, step, looks)) = self.open.remove(id) else { return };
        let content = match &block["content"] {
            Value::String(text) => text.clone(),
            other => blocks(&json!({ "content": other })).iter().map(text).collect(),
        };
        let failed = block["is_error"] == true;
        let Some(task) = self.tasks.iter_mut().find(|task| task.name == name) else { return };
        let Some(state) = task.steps.get_mut(step) else { return };
        *state = match (failed, looks) {
            (false, false) => Step::Done,
            (false, true) if content.starts_with("present") => Step::Done,
            (true, _) if looks || content.starts_with("Interrupted") => Step::Doubtful,
            (false, true) | (true, _) => Step::Missing,
        };
        let known = ["Interrupted", "Not run: the container", "This call was not run"];
        if failed && !known.iter().any(|note| content.starts_with(note)) {
            self.stuck = Some(content);
        }
    }

    fn decide(&self, effects: Effects<'_>) -> Action {
        if let Some(why) = &self.stuck {
            return Action::Say(format!("I am stuck: {why}"));
        }
        for task in &self.tasks {
            let open = |step: &Step| *step != Step::Done;
            if let Some(step) = task.steps.iter().position(open) {
                let looks = task.steps.get(step) == Some(&Step::Doubtful);
                return task.call(step, looks, effects);
            }
        }
        let done: Vec<String> = self
            .tasks
            .iter()
            .filter(|task| !task.said)
            .map(|task| format!("done {}", task.name))
            .collect();
        Action::Say(if done.is_empty() { "Nothing is left to do.".into() } else { done.join(" ") })
    }
}

impl Task {
    fn doubt(&mut self) {
        for step in self.steps.iter_mut().filter(|step| **step == Step::Done) {
            *step = Step::Doubtful;
            self.said = false;
        }
    }

    fn call(&self, step: usize, looks: bool, effects: Effects<'_>) -> Action {
        let name = &self.name;
        let verb = if looks { "look" } else { "do" };
        let id = format!("c_{name}_{step}_{verb}_{}", self.calls);
        let seen = |test: String| format!("{test} && echo present || echo absent");
        let bash = |command: String| ("bash", json!({ "command": command }));
        let (name, arguments) = match (step, looks) {
            (0, false) => ("write", json!({ "path": format!("work/{name}.txt"), "content": name })),
            (0, true) => bash(seen(format!("[ -s work/{name}.txt ]"))),
            // The pause leaves time for a fault between the effect and the call's end.
            (1, false) => bash(format!("echo {name} >> '{effects}/{name}'; sleep 0.05")),
            (1, true) => bash(seen(format!("[ -s '{effects}/{name}' ]"))),
            (_, false) => bash(format!(": {name}; echo {name} >> work/lines.{}", session(name))),
            (_, true) => bash(seen(format!("grep -qx {name} work/lines.{}", session(name)))),
        };
        Action::Call { id, name, arguments }
    }
}

/// The session that a task belongs to: what stands before the first dash.
pub(super) fn session(task: &str) -> &str {
    task.split('-').next().unwrap_or(task)
}

/// Task, step and whether it looks, as a call's id says.
fn parse(id: &str) -> Option<(String, usize, bool)> {
    let mut parts = id.strip_prefix("c_")?.split('_');
    let (name, step, verb) = (parts.next()?, parts.next()?, parts.next()?);
    Some((name.to_owned(), step.parse().ok()?, verb == "look"))
}

fn blocks(message: &Value) -> Vec<Value> {
    match &message["content"] {
        Value::Array(blocks) => blocks.clone(),
        Value::String(text) => vec![json!({ "type": "text", "text": text })],
        _ => Vec::new(),
    }
}

fn text(block: &Value) -> &str {
    block["text"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> Value {
        json!({ "role": "user", "content": text })
    }

    /// Plays on: `answer` gives each call's result and whether it is an error.
    fn play(
        messages: &mut Vec<Value>,
        steps: usize,
        mut answer: impl FnMut(&str) -> (String, bool),
    ) -> Vec<String> {
        let mut seen = Vec::new();
        for _ in 0..steps {
            match next(messages, "/out") {
                Action::Say(text) => {
                    messages.push(json!({ "role": "assistant", "content": text }));
                    seen.push(text);
                    break;
                }
                Action::Call { id, name, arguments } => {
                    let (content, is_error) = answer(&id);
                    messages.push(json!({ "role": "assistant", "content": [
                        { "type": "tool_use", "id": id, "name": name, "input": arguments }
                    ]}));
                    messages.push(json!({ "role": "user", "content": [
                        { "type": "tool_result", "tool_use_id": id, "content": content,
                          "is_error": is_error }
                    ]}));
                    seen.push(id);
                }
            }
        }
        seen
    }

    #[test]
    fn a_task_is_three_steps_and_a_word() {
        let mut messages = vec![user("task:s1-a please")];
        let seen = play(&mut messages, 9, |_| ("ok".into(), false));
        assert_eq!(seen, ["c_s1-a_0_do_0", "c_s1-a_1_do_1", "c_s1-a_2_do_2", "done s1-a"]);
        assert_eq!(play(&mut messages, 9, |_| panic!("no call")), ["Nothing is left to do."]);
    }

    #[test]
    fn an_interrupted_step_is_looked_at_before_it_is_done_again() {
        let mut messages = vec![user("task:s1-a")];
        let seen = play(&mut messages, 9, |id| match id {
            "c_s1-a_1_do_1" => ("Interrupted: who knows".into(), true),
            "c_s1-a_1_look_2" => ("absent\n".into(), false),
            _ => ("ok".into(), false),
        });
        assert_eq!(seen[1..4], ["c_s1-a_1_do_1", "c_s1-a_1_look_2", "c_s1-a_1_do_3"]);
    }

    #[test]
    fn lost_files_are_looked_at_and_only_what_is_missing_is_done_again() {
        let mut messages = vec![user("task:s1-a")];
        play(&mut messages, 9, |_| ("ok".into(), false));
        messages.push(user("[The container was lost before these: write s1-a]"));
        let seen = play(&mut messages, 9, |id| match id {
            "c_s1-a_0_look_3" => ("absent".into(), false),
            _ => ("present".into(), false),
        });
        let expected =
            ["c_s1-a_0_look_3", "c_s1-a_0_do_4", "c_s1-a_1_look_5", "c_s1-a_2_look_6", "done s1-a"];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_refusal_is_said_and_not_tried_for_ever() {
        let mut messages = vec![user("task:s1-a")];
        let seen = play(&mut messages, 9, |_| ("no store".into(), true));
        assert_eq!(seen, ["c_s1-a_0_do_0", "I am stuck: no store"]);
        messages.push(user("go on"));
        assert_eq!(play(&mut messages, 1, |_| ("ok".into(), false)), ["c_s1-a_0_do_1"]);
    }
}
