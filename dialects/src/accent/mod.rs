//! How a provider or a model deviates from the dialect that it speaks.
//!
//! Invariant: an accent is data from [`table`] and [`claude`]; no other place knows a provider's or a
//! model's name. What neither table knows gets the least that every server takes.

mod claude;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use claude::Claude;

/// What to heed when a request is written for one provider and model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accent {
    pub(crate) output_limit: OutputLimit,
    pub(crate) effort: Effort,
    pub(crate) claude: Claude,
    pub(crate) quirks: &'static [Quirk],
}

/// The member of a Chat Completions request that limits the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputLimit {
    /// What `OpenAI` itself asks for; its reasoning models refuse the older name.
    MaxCompletionTokens,
    /// What most others know.
    MaxTokens,
}

/// How `OpenAI`'s two formats are asked to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Not at all: the model does not think, always does, or refuses to be asked.
    Unasked,
    /// `reasoning_effort` in Chat Completions, `reasoning.effort` in Responses.
    Levels(Levels),
    /// `reasoning.effort` in both.
    Nested(Levels),
    /// `thinking.type` switches and `reasoning_effort` says how much.
    Switched(Levels),
}

/// The provider's words for off, low, medium and high. Where thinking cannot be turned off, the first
/// is the least that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Levels {
    pub(crate) off: &'static str,
    pub(crate) low: &'static str,
    pub(crate) medium: &'static str,
    pub(crate) high: &'static str,
}

/// A deviation that is there or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quirk {
    /// Refuses `stream_options`, and counts tokens without being asked.
    NoStreamOptions,
    /// Chat Completions takes tools only with `reasoning_effort` `none`.
    ToolsOnlyWithoutEffort,
    /// Responses gives and takes encrypted reasoning.
    EncryptedReasoning,
    /// Chat Completions takes Anthropic's `cache_control` on parts of text.
    CacheControl,
    /// Takes `prompt_cache_key`, which keeps a conversation near its cached prefix.
    PromptCacheKey,
    /// Ids of tool calls have exactly nine letters and digits.
    NineCharacterIds,
    /// Answers with tool calls must come back with their `reasoning_content`, be it empty.
    ReasoningContent,
    /// Tool calls must come back with a thought signature.
    ThoughtSignatures,
    /// Tool schemas may hold neither `$schema` nor `additionalProperties`.
    PlainSchemas,
}

impl Accent {
    /// The accent of `model`, spelled as `provider` spells it; `provider` is its name in the settings.
    pub fn of(provider: &str, model: &str) -> Self {
        let name = model.to_ascii_lowercase();
        Self { claude: Claude::of(&name), ..table::find(provider, &name) }
    }

    pub(crate) fn has(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }
}

/// The name without the names of makers before it.
fn last_part(model: &str) -> &str {
    model.rsplit('/').next().unwrap_or(model)
}
