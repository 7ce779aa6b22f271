//! What the model sees: the fixed prompt and as much of the log as fits.
//!
//! Invariants: the request is a pure function of the prompt, the records and the chosen model, so
//! the same log always gives the same bytes; it holds no clock. The text that the model reads is in
//! `prompts/`.

mod fit;
mod lost;
mod prompt;
mod render;
#[cfg(test)]
mod tests;

use dialects::ModelRequest;
use protocol::TurnId;
use protocol::turn::{ModelChoice, ThinkingLevel};

pub use fit::Fit;
pub use prompt::Prompt;

use crate::limits::{BYTES_PER_TOKEN, CONTEXT_MARGIN_DIVISOR};
use crate::turn::history::{Entry, History};

/// The request that asks `choice` to go on with the last turn of the history, of which `fit` may leave
/// out more than the estimate asks.
pub fn build(
    prompt: &Prompt,
    history: &History,
    current: &TurnId,
    choice: &ModelChoice,
    fit: Fit,
) -> ModelRequest {
    let entries: Vec<&Entry> = history.entries().collect();
    let turns = whole_turns(&entries, current);
    let room = room_bytes(prompt, choice);
    let sizes: Vec<usize> =
        turns.iter().map(|turn| turn.iter().map(|entry| fit::size(entry)).sum()).collect();
    let dropped = fit::turns_to_drop(&sizes, room);
    let (dropped, room) = fit.apply(dropped, sizes.len(), room);
    let is_incomplete = dropped > 0 || history.is_trimmed();
    ModelRequest {
        model: choice.model.clone(),
        system: prompt.system.clone(),
        messages: render::messages(
            turns.get(dropped..).unwrap_or_default(),
            is_incomplete,
            choice,
            room,
        ),
        tools: prompt.tools.clone(),
        max_output_tokens: choice.max_output_tokens,
        thinking: choice.thinking.map(thinking),
        cache_key: None,
    }
}

fn thinking(level: ThinkingLevel) -> dialects::ThinkingLevel {
    match level {
        ThinkingLevel::Off => dialects::ThinkingLevel::Off,
        ThinkingLevel::Low => dialects::ThinkingLevel::Low,
        ThinkingLevel::Medium => dialects::ThinkingLevel::Medium,
        ThinkingLevel::High => dialects::ThinkingLevel::High,
    }
}

/// The entries by turn, without turns whose beginning was forgotten. The current one stays in any
/// case.
fn whole_turns<'a, 'b>(entries: &'b [&'a Entry], current: &TurnId) -> Vec<&'b [&'a Entry]> {
    entries
        .chunk_by(|a, b| a.turn == b.turn)
        .filter(|turn| {
            turn.first().is_some_and(|first| first.begins_turn() || first.turn == *current)
        })
        .collect()
}

/// The bytes of records that fit beside the fixed prompt and the answer.
fn room_bytes(prompt: &Prompt, choice: &ModelChoice) -> usize {
    let context = usize::try_from(choice.context_tokens).unwrap_or(usize::MAX);
    let output = usize::try_from(choice.max_output_tokens).unwrap_or(usize::MAX);
    let tokens = context
        .saturating_sub(output)
        .saturating_sub(prompt.tokens())
        .saturating_sub(context / CONTEXT_MARGIN_DIVISOR);
    tokens.saturating_mul(BYTES_PER_TOKEN)
}
