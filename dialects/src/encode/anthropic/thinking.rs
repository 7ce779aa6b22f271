//! How Anthropic Messages is asked to think, by the model's generation.
//!
//! Invariant: nothing is asked that the model refuses: no budget without room for the answer, no
//! budget inside a tool loop that began without thinking.

use serde::Serialize;

use crate::accent::{Claude, Levels};
use crate::conversation::{AssistantBlock, Message, ModelRequest, ThinkingLevel};
use crate::encode::word;
use crate::limits::{THINKING_BUDGET_MIN, THINKING_BUDGETS, THINKING_OUTPUT_DIVISOR};

/// The `anthropic-beta` without which a request may not say what becomes of a bound block
/// (<https://platform.claude.com/docs/en/build-with-claude/preserved-thinking/fix-bound-to-a-different-conversation>).
pub(in crate::encode) const BLOCK_BINDING: &str = "thinking-binding-controls-2026-08-01";

const EFFORTS: Levels = Levels { off: "low", low: "low", medium: "medium", high: "high" };

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Thinking {
    Disabled,
    Enabled {
        budget_tokens: u32,
    },
    Adaptive {
        /// Newer models show nothing of their reasoning unless they are asked to.
        display: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        block_binding: Option<BlockBinding>,
    },
}

#[derive(Serialize)]
pub(super) struct BlockBinding {
    prefix_mismatch_behavior: &'static str,
}

#[derive(Serialize)]
pub(super) struct OutputConfig {
    effort: &'static str,
}

/// What to say about thinking and about effort.
pub(super) fn ask(
    claude: Claude,
    request: &ModelRequest,
) -> (Option<Thinking>, Option<OutputConfig>) {
    let effort = request.thinking.map(|level| OutputConfig { effort: word(EFFORTS, level) });
    match (claude, request.thinking) {
        (Claude::PrefixBound, _) => (Some(adaptive(true)), effort),
        (_, None) | (Claude::Unasked, _) => (None, None),
        (Claude::Budget, Some(level)) => (budget(level, request), None),
        (Claude::Adaptive, Some(ThinkingLevel::Off)) => (Some(Thinking::Disabled), None),
        (Claude::Adaptive | Claude::AlwaysAdaptive, Some(_)) => (Some(adaptive(false)), effort),
    }
}

fn adaptive(bound: bool) -> Thinking {
    let block_binding = bound.then_some(BlockBinding { prefix_mismatch_behavior: "drop_block" });
    Thinking::Adaptive { display: "summarized", block_binding }
}

fn budget(level: ThinkingLevel, request: &ModelRequest) -> Option<Thinking> {
    let [low, medium, high] = THINKING_BUDGETS;
    let wanted = match level {
        ThinkingLevel::Off => return Some(Thinking::Disabled),
        ThinkingLevel::Low => low,
        ThinkingLevel::Medium => medium,
        ThinkingLevel::High => high,
    };
    let budget_tokens = wanted.min(request.max_output_tokens / THINKING_OUTPUT_DIVISOR);
    let possible = budget_tokens >= THINKING_BUDGET_MIN && !began_without(&request.messages);
    possible.then_some(Thinking::Enabled { budget_tokens })
}

/// Whether the request goes on with a tool loop whose last answer has no thinking to replay, as when
/// another model gave it. The API refuses to begin thinking there.
fn began_without(messages: &[Message]) -> bool {
    let Some(last) = messages.iter().rposition(|message| matches!(message, Message::Assistant(_)))
    else {
        return false;
    };
    let is_loop = matches!(messages.get(last + 1), Some(Message::ToolResults(_)));
    let Some(Message::Assistant(blocks)) = messages.get(last) else {
        return false;
    };
    let thinks = |block: &AssistantBlock| {
        matches!(
            block,
            AssistantBlock::Thinking { signature: Some(_), .. }
                | AssistantBlock::RedactedThinking { .. }
        )
    };
    is_loop && !blocks.first().is_some_and(thinks)
}
