//! What a turn does next: a pure function of where it stands.
//!
//! Invariants: a call that was started is never run again; calls run one after the other in the
//! order in which the model made them; a turn ends at the latest when it reaches one of its bounds.

use std::time::Duration;

use protocol::session::{Outcome, Stop, ToolArguments};
use protocol::{CallId, Problem, ProblemCode};

use super::failure;
use super::state::{Last, OpenCall, TurnState};
use crate::limits::{MODEL_CALLS_MAX, TOOL_CALLS_MAX, TURN_WALL_MAX};

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Ask the model.
    CallModel,
    /// Start this call, or refuse it when the tool will not have it.
    RunTool(OpenCall),
    /// Tell the model that these calls were started and their end was never seen.
    CloseInterrupted(Vec<CallId>),
    /// Tell the model that this call was not run.
    Refuse(CallId, Refusal),
    /// Write the turn's end.
    End(Outcome),
    /// Nothing: the end is written already.
    Done(Outcome),
}

/// Why a call is not run, as far as the log alone can tell.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// Its arguments are not a JSON object.
    Malformed(String),
    /// The answer reached the output limit in the middle of the call.
    Cut,
}

/// What a turn that stands at `state` does next, `elapsed` after it was taken up. One that the user
/// has `cancelled` ends, but an answer that is there already stands.
pub fn next(state: &TurnState, elapsed: Duration, cancelled: bool) -> Action {
    match &state.last {
        Last::Ended(outcome) => return Action::Done(outcome.clone()),
        Last::Nothing => return Action::End(failed(failure::nothing_to_do())),
        Last::Unanswered | Last::Answer { .. } => {}
    }
    let interrupted: Vec<CallId> =
        state.open_calls.iter().filter(|open| open.started).map(|open| open.call.clone()).collect();
    if !interrupted.is_empty() {
        return Action::CloseInterrupted(interrupted);
    }
    let action = match (&state.last, state.open_calls.first()) {
        (_, Some(open)) => next_call(state, open, elapsed),
        (Last::Answer { stop, has_text }, None) => after_answer(state, *stop, *has_text, elapsed),
        (_, None) => ask(state, elapsed),
    };
    if cancelled && !matches!(action, Action::End(_)) {
        return Action::End(Outcome::Cancelled);
    }
    action
}

/// Whether messages that came meanwhile join the turn before this action: where the model would be
/// asked, or would not be asked again although it could.
pub fn takes_messages(action: &Action) -> bool {
    matches!(action, Action::CallModel | Action::End(Outcome::Completed))
}

fn next_call(state: &TurnState, open: &OpenCall, elapsed: Duration) -> Action {
    if let Some(problem) = bound(elapsed, state.tool_calls, TOOL_CALLS_MAX, "tool calls") {
        return Action::End(failed(problem));
    }
    match &open.arguments {
        ToolArguments::Malformed(_) if state.last_stop == Stop::MaxTokens => {
            Action::Refuse(open.call.clone(), Refusal::Cut)
        }
        ToolArguments::Malformed(text) => {
            Action::Refuse(open.call.clone(), Refusal::Malformed(text.clone()))
        }
        ToolArguments::Object(_) => Action::RunTool(open.clone()),
    }
}

/// An answer without calls ends the turn, unless the model only paused.
fn after_answer(state: &TurnState, stop: Stop, has_text: bool, elapsed: Duration) -> Action {
    let outcome = match (stop, has_text) {
        (Stop::Pause, _) => return ask(state, elapsed),
        (Stop::Cancelled, _) => Outcome::Cancelled,
        (Stop::Refusal, _) => failed(failure::declined()),
        (_, true) => Outcome::Completed,
        (Stop::MaxTokens, false) => failed(failure::output_limit()),
        (_, false) => failed(failure::empty_answer()),
    };
    Action::End(outcome)
}

fn ask(state: &TurnState, elapsed: Duration) -> Action {
    match bound(elapsed, state.model_calls, MODEL_CALLS_MAX, "questions to the model") {
        Some(problem) => Action::End(failed(problem)),
        None => Action::CallModel,
    }
}

fn bound(elapsed: Duration, count: u32, max: u32, what: &str) -> Option<Problem> {
    let reached = if elapsed >= TURN_WALL_MAX {
        format!("{} minutes", TURN_WALL_MAX.as_secs() / 60)
    } else if count >= max {
        format!("{max} {what}")
    } else {
        return None;
    };
    let message = format!("The task was stopped after {reached}, the most that one turn may take.");
    Some(Problem::new(ProblemCode::TurnBound, message).remedy("Say \"go on\" to continue it."))
}

fn failed(problem: Problem) -> Outcome {
    Outcome::Failed { problem }
}
