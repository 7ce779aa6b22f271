//! A whole answer of a model, as the log keeps it.
//!
//! Invariant: the calls of one turn have different names, whatever the provider named them.

use std::collections::HashSet;

use dialects::{AssistantBlock, Completion, StopReason};
use protocol::limits::ID_BYTES_MAX;
use protocol::session::{AssistantMessage, Block, Stop, ToolArguments, Usage};
use protocol::turn::ModelChoice;
use protocol::{CallId, Problem};

use super::failure;
use super::state::TurnState;
use crate::limits::CALL_NAME_SUFFIX_MAX;

/// Room for a suffix that makes a name unique.
const SUFFIX_BYTES: usize = 8;

/// The `provider/model` that an answer is signed with.
pub fn signature(choice: &ModelChoice) -> String {
    format!("{}/{}", choice.provider, choice.model)
}

/// Who answers, and in whose place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaker {
    /// The `provider/model` that answers.
    pub model: String,
    /// The `provider/model` that was to answer, where another one does.
    pub instead_of: Option<String>,
}

impl Speaker {
    /// `choice`, where `first` was the user's choice.
    pub fn of(choice: &ModelChoice, first: &ModelChoice) -> Self {
        let (model, first) = (signature(choice), signature(first));
        let instead_of = (model != first).then_some(first);
        Self { model, instead_of }
    }
}

/// The log's form of an answer.
pub fn message(
    completion: Completion,
    speaker: &Speaker,
    state: &TurnState,
) -> Result<AssistantMessage, Problem> {
    let stop = match completion.stop {
        StopReason::EndTurn | StopReason::StopSequence => Stop::EndTurn,
        StopReason::ToolUse => Stop::ToolUse,
        StopReason::MaxTokens => Stop::MaxTokens,
        StopReason::PauseTurn => Stop::Pause,
        StopReason::Refusal | StopReason::ContentFilter => Stop::Refusal,
        StopReason::ContextWindowExceeded => Stop::Other,
        StopReason::Other(reason) => {
            tracing::warn!(reason, "the model stopped for a reason that has no name here");
            Stop::Other
        }
    };
    let mut names = state.call_ids.clone();
    let blocks = completion
        .blocks
        .into_iter()
        .map(|block| match block {
            AssistantBlock::Text { text } => Ok(Block::Text { text }),
            AssistantBlock::Thinking { text, signature } => Ok(Block::Thinking { text, signature }),
            AssistantBlock::RedactedThinking { data } => Ok(Block::RedactedThinking { data }),
            AssistantBlock::ToolCall { id, name, arguments } => Ok(Block::ToolCall {
                call: unique(&id, &mut names).ok_or_else(failure::internal)?,
                name,
                arguments: match arguments {
                    dialects::ToolArguments::Object(map) => ToolArguments::Object(map),
                    dialects::ToolArguments::Malformed(text) => ToolArguments::Malformed(text),
                },
            }),
        })
        .collect::<Result<_, Problem>>()?;
    let usage = Usage {
        input_tokens: completion.usage.input_tokens,
        output_tokens: completion.usage.output_tokens,
        cache_read_tokens: completion.usage.cache_read_tokens,
        cache_write_tokens: completion.usage.cache_write_tokens,
    };
    let Speaker { model, instead_of } = speaker.clone();
    Ok(AssistantMessage { blocks, stop, model, usage, instead_of })
}

/// What had been said of an answer that the user stopped.
pub fn cancelled(said: String, speaker: Speaker) -> AssistantMessage {
    AssistantMessage {
        blocks: vec![Block::Text { text: said }],
        stop: Stop::Cancelled,
        model: speaker.model,
        usage: Usage::default(),
        instead_of: speaker.instead_of,
    }
}

/// A name for a call: the provider's, with what an identifier cannot hold replaced, and with a
/// number where the turn has that name already (some providers count from 0 in every answer).
fn unique(id: &str, names: &mut HashSet<CallId>) -> Option<CallId> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    let mut name: String = id.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    name.truncate(ID_BYTES_MAX - SUFFIX_BYTES);
    if name.is_empty() {
        name.push_str("call");
    }
    (1..=CALL_NAME_SUFFIX_MAX)
        .filter_map(|n| if n == 1 { name.parse() } else { format!("{name}-{n}").parse() }.ok())
        .find(|call: &CallId| names.insert(call.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_calls_are_made_to_fit_and_to_differ() {
        let mut names = HashSet::new();
        let mut name = |id: &str| unique(id, &mut names).unwrap().to_string();
        assert_eq!(name("toolu_1"), "toolu_1");
        assert_eq!(name("call_0"), "call_0");
        assert_eq!(name("call_0"), "call_0-2");
        assert_eq!(name("call_0"), "call_0-3");
        assert_eq!(name("functions/bash 0|ä"), "functions_bash_0__");
        assert_eq!(name(""), "call");
        assert_eq!(name(&"x".repeat(500)).len(), ID_BYTES_MAX - SUFFIX_BYTES);
        assert_eq!(name(&"x".repeat(500)).len(), ID_BYTES_MAX - SUFFIX_BYTES + 2);
    }
}
