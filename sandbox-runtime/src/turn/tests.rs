//! The loop as a pure machine: whatever the model answers and wherever the process dies, the log
//! stays sound and the turn ends.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use protocol::TurnId;
use protocol::session::{
    AssistantMessage, Block, Item, Outcome, Stop, ToolArguments, ToolFinished, ToolStatus, Usage,
    UserMessage,
};

use super::history::History;
use super::state::TurnState;
use super::step::{Action, next};
use crate::limits::{MODEL_CALLS_MAX, TOOL_CALLS_MAX, TURN_WALL_MAX};

fn turn() -> TurnId {
    "t".parse().unwrap()
}

fn user() -> Item {
    Item::User(UserMessage { channel: "web".into(), event: "e".into(), text: "go".into() })
}

fn said(text: &str) -> Block {
    Block::Text { text: text.into() }
}

fn call(name: &str, arguments: ToolArguments) -> Block {
    Block::ToolCall { call: name.parse().unwrap(), name: "bash".into(), arguments }
}

fn object() -> ToolArguments {
    ToolArguments::Object(serde_json::Map::new())
}

fn assistant(blocks: Vec<Block>, stop: Stop) -> Item {
    Item::Assistant(AssistantMessage {
        blocks,
        stop,
        model: "p/m".into(),
        usage: Usage::default(),
        instead_of: None,
    })
}

fn finished(call: &str, status: ToolStatus) -> Item {
    let call = call.parse().unwrap();
    Item::ToolFinished(ToolFinished {
        call,
        status,
        output: "out".into(),
        images: Vec::new(),
        duration_ms: 0,
    })
}

fn started(call: &str) -> Item {
    Item::ToolStarted { call: call.parse().unwrap(), name: "bash".into() }
}

fn state(items: &[Item]) -> TurnState {
    let mut state = TurnState::new();
    for item in items {
        state.apply(item);
    }
    state
}

#[track_caller]
fn check(items: &[Item], expected: &str) {
    let action = next(&state(items), Duration::ZERO, false);
    let found = match &action {
        Action::CallModel => "ask".to_owned(),
        Action::RunTool(open) => format!("run {}", open.call),
        Action::CloseInterrupted(calls) => format!("close {calls:?}"),
        Action::Refuse(call, refusal) => format!("refuse {call} {refusal:?}"),
        Action::End(Outcome::Failed { problem }) => format!("fail {:?}", problem.code),
        Action::End(outcome) => format!("end {outcome:?}"),
        Action::Done(_) => "done".to_owned(),
    };
    assert_eq!(found, expected);
}

#[test]
fn an_empty_turn_fails() {
    check(&[], "fail BadRequest");
}

#[test]
fn a_message_is_answered() {
    check(&[user()], "ask");
    check(&[user(), user()], "ask");
}

#[test]
fn how_the_model_stopped_decides_how_the_turn_ends() {
    use Stop::{EndTurn, MaxTokens, Other, Pause, Refusal, ToolUse};
    for (stop, with_text, without_text) in [
        (EndTurn, "end Completed", "fail ModelNoAnswer"),
        (MaxTokens, "end Completed", "fail ModelNoAnswer"),
        (Other, "end Completed", "fail ModelNoAnswer"),
        (ToolUse, "end Completed", "fail ModelNoAnswer"),
        (Refusal, "fail ModelNoAnswer", "fail ModelNoAnswer"),
        (Stop::Cancelled, "end Cancelled", "end Cancelled"),
        (Pause, "ask", "ask"),
    ] {
        check(&[user(), assistant(vec![said("yes")], stop)], with_text);
        check(&[user(), assistant(vec![said(" \n")], stop)], without_text);
    }
}

#[test]
fn calls_run_in_order_and_then_the_model_is_asked() {
    let answer = assistant(vec![call("a", object()), call("b", object())], Stop::ToolUse);
    let ok = |call| finished(call, ToolStatus::Ok);
    let mut items = vec![user(), answer];
    check(&items, "run a");
    items.extend([started("a"), ok("a")]);
    check(&items, "run b");
    items.extend([started("b"), ok("b")]);
    check(&items, "ask");
}

#[test]
fn a_started_call_is_closed_and_never_run_again() {
    let answer = assistant(vec![call("a", object()), call("b", object())], Stop::ToolUse);
    let mut items = vec![user(), answer, started("a")];
    check(&items, "close [CallId(\"a\")]");
    items.push(finished("a", ToolStatus::Interrupted));
    check(&items, "run b");
}

#[test]
fn malformed_calls_are_refused_for_the_right_reason() {
    let broken = || ToolArguments::Malformed("{\"a".into());
    let answer = |stop| assistant(vec![call("a", object()), call("b", broken())], stop);
    let until_b = |stop| [user(), answer(stop), finished("a", ToolStatus::Ok)];
    check(&until_b(Stop::ToolUse), "refuse b Malformed(\"{\\\"a\")");
    check(&until_b(Stop::MaxTokens), "refuse b Cut");
}

#[test]
fn a_cancelled_turn_begins_nothing_but_keeps_a_whole_answer() {
    let cancelled = |items: &[Item]| next(&state(items), Duration::ZERO, true);
    let calls = assistant(vec![call("a", object())], Stop::ToolUse);
    assert_eq!(cancelled(&[user()]), Action::End(Outcome::Cancelled));
    assert_eq!(cancelled(&[user(), calls.clone()]), Action::End(Outcome::Cancelled));
    let close = Action::CloseInterrupted(vec!["a".parse().unwrap()]);
    assert_eq!(cancelled(&[user(), calls, started("a")]), close);
    let answer = assistant(vec![said("yes")], Stop::EndTurn);
    assert_eq!(cancelled(&[user(), answer]), Action::End(Outcome::Completed));
}

#[test]
fn an_hour_is_enough() {
    let action = next(&state(&[user()]), TURN_WALL_MAX, false);
    assert!(matches!(action, Action::End(Outcome::Failed { .. })), "{action:?}");
}

/// One answer of a random model.
fn any_answer() -> impl Strategy<Value = (Vec<bool>, bool, Stop)> {
    let stop = prop_oneof![
        Just(Stop::EndTurn),
        Just(Stop::ToolUse),
        Just(Stop::MaxTokens),
        Just(Stop::Pause),
        Just(Stop::Refusal),
        Just(Stop::Other),
    ];
    // Calls, each well formed or not; whether there is text; why it stopped.
    (proptest::collection::vec(any::<bool>(), 0..4), any::<bool>(), stop)
}

/// The driver without its effects: what counts but is not appended is lost when it dies.
struct Machine {
    log: Vec<Item>,
    pending: Vec<Item>,
    state: TurnState,
    calls_made: usize,
}

impl Machine {
    fn add(&mut self, item: Item) {
        self.state.apply(&item);
        self.pending.push(item);
    }

    fn flush(&mut self) {
        self.log.append(&mut self.pending);
    }

    fn die(&mut self) {
        self.pending.clear();
        let mut history = History::default();
        for item in &self.log {
            history.push(turn(), item.clone());
        }
        self.state = TurnState::of(&history, &turn());
    }

    fn answer(&mut self, (calls, has_text, stop): (Vec<bool>, bool, Stop)) {
        let mut blocks = Vec::new();
        if has_text {
            blocks.push(said("text"));
        }
        for is_whole in calls {
            self.calls_made += 1;
            let arguments = if is_whole { object() } else { ToolArguments::Malformed("{".into()) };
            blocks.push(call(&format!("c{}", self.calls_made), arguments));
        }
        self.add(assistant(blocks, stop));
    }

    /// One action. `dies` at its most dangerous instant: after the effect, before its record.
    fn step(&mut self, answer: (Vec<bool>, bool, Stop), dies: bool) -> Option<Outcome> {
        match next(&self.state, Duration::ZERO, false) {
            Action::Done(outcome) => {
                self.flush();
                return Some(outcome);
            }
            Action::End(outcome) => self.add(Item::TurnEnded { outcome }),
            Action::CloseInterrupted(calls) => {
                for call in calls {
                    self.add(finished(call.as_str(), ToolStatus::Interrupted));
                }
            }
            Action::Refuse(call, _) => self.add(finished(call.as_str(), ToolStatus::Refused)),
            Action::RunTool(open) => {
                self.add(started(open.call.as_str()));
                self.flush();
                if !dies {
                    self.add(finished(open.call.as_str(), ToolStatus::Ok));
                }
            }
            Action::CallModel => {
                self.flush();
                self.answer(answer);
            }
        }
        if dies {
            self.die();
        }
        None
    }
}

proptest! {
    #[test]
    fn the_log_stays_sound_wherever_the_process_dies(
        answers in proptest::collection::vec(any_answer(), 1..20),
        deaths in proptest::collection::vec(proptest::bool::weighted(0.2), 1..40),
    ) {
        let mut machine = Machine {
            log: vec![user()], pending: Vec::new(), state: state(&[user()]), calls_made: 0,
        };
        let mut answers = answers.iter().cycle();
        let mut deaths = deaths.into_iter();
        let steps_max = 4 * (MODEL_CALLS_MAX + TOOL_CALLS_MAX) as usize + 40;
        let mut outcome = None;
        for _ in 0..steps_max {
            let dies = deaths.next().unwrap_or(false);
            outcome = machine.step(answers.next().unwrap().clone(), dies);
            if outcome.is_some() {
                break;
            }
        }
        prop_assert!(outcome.is_some(), "the turn does not end");
        assert_sound(&machine.log)?;
        prop_assert_eq!(&state(&machine.log), &machine.state);
    }
}

fn assert_sound(log: &[Item]) -> Result<(), TestCaseError> {
    let mut starts = HashMap::new();
    let mut ends = HashMap::new();
    for item in log {
        match item {
            Item::ToolStarted { call, .. } => *starts.entry(call).or_insert(0) += 1,
            Item::ToolFinished(end) => *ends.entry(&end.call).or_insert(0) += 1,
            _ => {}
        }
    }
    prop_assert!(starts.values().chain(ends.values()).all(|count| *count == 1), "{log:#?}");
    let is_bound = matches!(log.last(), Some(Item::TurnEnded { outcome: Outcome::Failed { .. } }));
    prop_assert!(is_bound || starts.keys().all(|call| ends.contains_key(call)));
    let is_end = |item: &&Item| matches!(item, Item::TurnEnded { .. });
    prop_assert_eq!(log.iter().filter(is_end).count(), 1);
    prop_assert!(log.last().is_some_and(|item| is_end(&item)));
    Ok(())
}
