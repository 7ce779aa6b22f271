//! What the model answers: the events of a stream and the whole that they add up to.

use crate::conversation::AssistantBlock;

/// Something to show or to count while an answer arrives. The [`Completion`] is what counts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamEvent {
    /// The model has begun.
    Started {
        /// The model as the provider names it; empty when it does not say.
        model: String,
    },
    /// More text for the user.
    TextDelta(String),
    /// More reasoning.
    ThinkingDelta(String),
    /// The model has begun to write a tool call. Its arguments come with the completion.
    ToolCallStarted {
        /// Position among the answer's tool calls, from 0.
        index: usize,
        /// The call's id, the same as in the completion.
        id: String,
        /// The tool's name.
        name: String,
    },
    /// What the provider has counted so far; replaces earlier counts.
    Usage(Usage),
    /// The provider has said that the answer is whole. An OpenAI-compatible provider may close the
    /// stream without saying so; then only `finish` tells.
    Finished,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The blocks in the order in which the model produced them; may be empty.
    pub blocks: Vec<AssistantBlock>,
    /// Why the model stopped.
    pub stop: StopReason,
    /// What the provider counted; zero where it does not count.
    pub usage: Usage,
    /// The model as the provider names it; empty when it does not say.
    pub model: String,
}

/// Why the model stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// It had said what it had to say.
    EndTurn,
    /// It reached the output limit; the last block may be cut.
    MaxTokens,
    /// It wrote a stop sequence.
    StopSequence,
    /// It waits for tool results. Given exactly when a regular end comes with tool calls.
    ToolUse,
    /// It paused a long step of its own; send the conversation again to let it go on.
    PauseTurn,
    /// It declined.
    Refusal,
    /// The context window is full; the last block may be cut.
    ContextWindowExceeded,
    /// The provider's filter stopped it; the last block may be cut.
    ContentFilter,
    /// A reason that has no name here, as the provider spells it.
    Other(String),
}

impl StopReason {
    /// Whether the answer may have been cut in the middle of a block.
    pub fn cuts_output(&self) -> bool {
        matches!(
            self,
            Self::MaxTokens | Self::Refusal | Self::ContextWindowExceeded | Self::ContentFilter
        )
    }

    /// Providers disagree on the reason of an answer with tool calls: some say `stop`. What is in
    /// the answer decides.
    pub(crate) fn settled(self, has_tool_calls: bool) -> Self {
        match self {
            Self::EndTurn | Self::ToolUse if has_tool_calls => Self::ToolUse,
            Self::ToolUse => Self::EndTurn,
            other => other,
        }
    }
}

/// Tokens, as the provider counted them. Each input token is in exactly one of the three input
/// counts, whatever the dialect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Input tokens neither read from nor written to a cache.
    pub input_tokens: u64,
    /// Output tokens, reasoning included.
    pub output_tokens: u64,
    /// Input tokens read from the provider's cache.
    pub cache_read_tokens: u64,
    /// Input tokens written to the provider's cache. Zero with OpenAI, which does not tell.
    pub cache_write_tokens: u64,
}

impl Usage {
    /// All that the model read: how full the context was.
    pub fn total_input_tokens(&self) -> u64 {
        self.input_tokens
            .saturating_add(self.cache_read_tokens)
            .saturating_add(self.cache_write_tokens)
    }
}
