//! The generations of Claude, which differ in how they are asked to think. They are the same at
//! Anthropic and behind every gateway, so the model's name alone decides.
//!
//! Sources: <https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking>,
//! <https://platform.claude.com/docs/en/build-with-claude/extended-thinking>,
//! <https://platform.claude.com/docs/en/build-with-claude/preserved-thinking/prefix-checks>,
//! <https://openrouter.ai/docs/cookbook/evaluate-and-optimize/model-migrations/claude-5-5>.

use super::last_part;

/// How a model that speaks Anthropic Messages is asked to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claude {
    /// Not a Claude, or one from before thinking: nothing is asked.
    Unasked,
    /// By a budget of tokens.
    Budget,
    /// Adaptive, with an effort; can be turned off.
    Adaptive,
    /// Adaptive, with an effort; refuses to be turned off.
    AlwaysAdaptive,
    /// Like [`Claude::AlwaysAdaptive`]. Besides, a thinking block is refused when anything before it
    /// has changed, unless the request asks that it be dropped then. A history that no longer fits is
    /// shortened, so every request must ask.
    PrefixBound,
}

/// The first row that begins the name decides; a name that none begins is taken for a newer one.
const GENERATIONS: &[(&str, Claude)] = &[
    ("claude-2", Claude::Unasked),
    ("claude-instant", Claude::Unasked),
    ("claude-3-7", Claude::Budget),
    ("claude-3", Claude::Unasked),
    ("claude-opus-4-6", Claude::Adaptive),
    ("claude-opus-4-7", Claude::Adaptive),
    ("claude-opus-4-8", Claude::Adaptive),
    ("claude-sonnet-4-6", Claude::Adaptive),
    ("claude-opus-4", Claude::Budget),
    ("claude-sonnet-4", Claude::Budget),
    ("claude-haiku-4", Claude::Budget),
];

/// Names that are the beginnings of newer ones, and so must match whole, apart from a date.
const EXACT: &[(&str, Claude)] = &[
    ("claude-opus-5", Claude::Adaptive),
    ("claude-sonnet-5", Claude::Adaptive),
    ("claude-fable-5", Claude::AlwaysAdaptive),
    ("claude-mythos-5", Claude::AlwaysAdaptive),
    ("claude-mythos-preview", Claude::AlwaysAdaptive),
];

impl Claude {
    /// Of a model's name in lower case. Gateways write `claude-opus-4.8` for `claude-opus-4-8`.
    pub(crate) fn of(model: &str) -> Self {
        let name = last_part(model).replace('.', "-");
        if !name.starts_with("claude-") {
            return Self::Unasked;
        }
        let undated = without_date(&name);
        EXACT
            .iter()
            .find(|(exact, _)| *exact == undated)
            .or_else(|| GENERATIONS.iter().find(|(start, _)| name.starts_with(start)))
            .map_or(Self::PrefixBound, |(_, claude)| *claude)
    }
}

fn without_date(name: &str) -> &str {
    let is_date = |part: &str| part.len() == 8 && part.bytes().all(|byte| byte.is_ascii_digit());
    match name.rsplit_once('-') {
        Some((rest, last)) if is_date(last) => rest,
        _ => name,
    }
}
