//! Counts an answer that passes by, without decoding it and in constant memory.
//!
//! Works on the raw body of a response, an event stream as well as one JSON document, and looks only
//! at the outermost two levels of each document. What the model or the caller can put into a body
//! unescaped (tool schemas that are echoed, arguments) lies deeper, so neither can add counts.
//!
//! Invariants: how the bytes are split over calls changes nothing; never more than
//! [`METERED_USAGE_BYTES_MAX`](crate::limits::METERED_USAGE_BYTES_MAX) bytes and one name are held;
//! no input is an error.
//!
//! Several reports in one answer are taken together as the stream's reader does it: Anthropic's
//! totals only grow and may leave counts out, so the largest of each stands; the others report all
//! counts each time, and shift tokens from one count to another as they learn more, so the last
//! report stands.

mod scanner;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::Value;

use self::scanner::{Found, Scanner};
use crate::answer::Usage;
use crate::count::{self, AnthropicUsage};
use crate::dialect::Dialect;

/// Watches one response body.
#[derive(Debug)]
pub struct UsageMeter {
    dialect: Dialect,
    scanner: Scanner,
    metered: Metered,
}

/// What an answer has cost so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metered {
    /// Tokens, as the provider counted them; `None` until it says so.
    pub usage: Option<Usage>,
    /// The model as the provider names it.
    pub model: Option<String>,
    /// US dollars, where the provider says so itself, as `OpenRouter` does
    /// (<https://openrouter.ai/docs/use-cases/usage-accounting>).
    pub cost_usd: Option<f64>,
    /// Whether the provider has said that the answer is over. Counts that were reported before that
    /// may be too low.
    pub ended: bool,
}

impl UsageMeter {
    /// A meter for one answer in `dialect`.
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, scanner: Scanner::default(), metered: Metered::default() }
    }

    /// Takes the next bytes of the body.
    pub fn feed(&mut self, bytes: &[u8]) {
        let Self { dialect, scanner, metered } = self;
        scanner.scan(bytes, &mut |found| metered.note(*dialect, found));
    }

    /// What is known so far.
    pub fn metered(&self) -> &Metered {
        &self.metered
    }

    /// What is known at the end of the body.
    pub fn finish(self) -> Metered {
        self.metered
    }
}

impl Metered {
    fn note(&mut self, dialect: Dialect, found: Found<'_>) {
        match found {
            Found::Usage(json) => self.count(dialect, json),
            Found::Model(name) if self.model.is_none() && !name.is_empty() => {
                self.model = serde_json::from_slice(&[b"\"", name, b"\""].concat()).ok();
            }
            Found::Model(_) => {}
            Found::Type(name) => self.ended |= ends(dialect, name),
            Found::Status(name) => {
                let is_end = matches!(name, b"completed" | b"incomplete" | b"failed");
                self.ended |= dialect == Dialect::OpenAiResponses && is_end;
            }
            Found::Stop => self.ended |= dialect != Dialect::OpenAiResponses,
        }
    }

    fn count(&mut self, dialect: Dialect, json: &[u8]) {
        let Ok(usage) = serde_json::from_slice::<Value>(json) else {
            return;
        };
        let counted = match dialect {
            Dialect::AnthropicMessages => {
                AnthropicUsage::deserialize(&usage).ok().map(|reported| {
                    let mut total = self.usage.unwrap_or_default();
                    reported.raise(&mut total);
                    total
                })
            }
            Dialect::OpenAiChat => has(&usage, "prompt_tokens").then(|| count::chat(&usage)),
            Dialect::OpenAiResponses => {
                has(&usage, "input_tokens").then(|| count::responses(&usage))
            }
        };
        if counted.is_some() {
            self.usage = counted;
            let cost = usage.get("cost").and_then(Value::as_f64);
            self.cost_usd = cost.filter(|cost| *cost >= 0.0).or(self.cost_usd);
        }
    }
}

fn has(usage: &Value, count: &str) -> bool {
    usage.get(count).is_some_and(Value::is_u64)
}

fn ends(dialect: Dialect, event: &[u8]) -> bool {
    match dialect {
        Dialect::AnthropicMessages => event == b"message_stop",
        Dialect::OpenAiChat => false,
        Dialect::OpenAiResponses => {
            matches!(event, b"response.completed" | b"response.incomplete" | b"response.failed")
        }
    }
}
