//! Which models think: the one that is named, and those that stand in for it.

use protocol::Problem;
use protocol::turn::{ModelChoice, ThinkingLevel};

use super::providers::{self, Provider};
use super::reader::{Reader, wrong};
use crate::limits::{FALLBACK_MODELS_MAX, OUTPUT_TOKENS_DEFAULT};
use crate::models::{self, UNKNOWN};

/// The setting that names the model.
pub(super) const MODEL: &str = "MODEL";

/// The same by moltworker's name.
const GATEWAY_MODEL: &str = "CF_AI_GATEWAY_MODEL";

/// The models that stand in.
const FALLBACKS: &str = "MODEL_FALLBACKS";

const THINKING_WORDS: &[(&str, ThinkingLevel)] = &[
    ("off", ThinkingLevel::Off),
    ("low", ThinkingLevel::Low),
    ("medium", ThinkingLevel::Medium),
    ("high", ThinkingLevel::High),
];

/// What the owner wants of every model.
struct Wishes {
    owner_models: String,
    thinking: Option<ThinkingLevel>,
    output_tokens: u32,
}

/// The models of all turns.
pub(super) struct Choices {
    /// The first choice, or why there is none.
    pub(super) model: Result<ModelChoice, Problem>,
    /// Those that are asked when it fails, in order.
    pub(super) fallbacks: Vec<ModelChoice>,
    /// The owner's lines of the table of models.
    pub(super) owner_models: String,
}

/// The provider before the slash of the setting that names the model; what a key that is given for
/// "the gateway" belongs to.
pub(super) fn gateway_key_of(reader: &Reader<'_>) -> String {
    let named = reader.text(GATEWAY_MODEL).and_then(|text| split(&text).ok());
    named.map_or_else(|| "anthropic".to_owned(), |(provider, _)| provider)
}

/// Reads the models.
pub(super) fn read(reader: &mut Reader<'_>, providers: &[Provider], has_gateway: bool) -> Choices {
    let owner_models = reader.text("MODELS").unwrap_or_default();
    for why in models::wrong_lines(&owner_models) {
        reader.wrong("MODELS", why);
    }
    let thinking = reader.word("THINKING", THINKING_WORDS);
    let output_tokens =
        reader.checked("MAX_OUTPUT_TOKENS", OUTPUT_TOKENS_DEFAULT, |text| match text.parse() {
            Ok(tokens) if tokens > 0 => Ok(tokens),
            _ => Err(format!("{text:?} is no number of tokens")),
        });
    let wishes = Wishes { owner_models, thinking, output_tokens };
    let choose = |setting: &str, name: &str| choice(setting, name, providers, &wishes, has_gateway);
    let model = match first(reader) {
        Some((setting, name)) => choose(setting, &name),
        None => providers::default_model(providers).and_then(|name| choose(MODEL, &name)),
    };
    if let Err(problem) = &model {
        reader.note(problem.clone());
    }
    let mut fallbacks = Vec::new();
    for name in reader.text(FALLBACKS).unwrap_or_default().split(',') {
        if name.trim().is_empty() {
            continue;
        }
        match choose(FALLBACKS, name.trim()) {
            Ok(choice) if fallbacks.len() < FALLBACK_MODELS_MAX => fallbacks.push(choice),
            Ok(_) => {
                reader.wrong(FALLBACKS, format!("it names more than {FALLBACK_MODELS_MAX} models"));
                break;
            }
            Err(problem) => reader.note(problem),
        }
    }
    Choices { model, fallbacks, owner_models: wishes.owner_models }
}

fn first(reader: &Reader<'_>) -> Option<(&'static str, String)> {
    [MODEL, GATEWAY_MODEL].into_iter().find_map(|name| reader.text(name).map(|text| (name, text)))
}

/// A model by its name, which is `provider/model`.
fn choice(
    setting: &str,
    name: &str,
    providers: &[Provider],
    wishes: &Wishes,
    has_gateway: bool,
) -> Result<ModelChoice, Problem> {
    let (provider_name, model) = split(name).map_err(|why| wrong(setting, why))?;
    let provider = providers
        .iter()
        .find(|provider| provider.name == provider_name)
        .ok_or_else(|| providers::missing(setting, &provider_name, has_gateway))?;
    let known = models::find(&wishes.owner_models, provider.name, &model).unwrap_or(UNKNOWN);
    Ok(ModelChoice {
        provider: provider.name.to_owned(),
        api: provider.api(&model),
        max_output_tokens: wishes.output_tokens.min(known.output_tokens),
        context_tokens: known.context_tokens,
        // What is not known of an unknown model is left to its provider.
        thinking: wishes.thinking.filter(|_| known.thinking),
        images: known.images,
        model,
    })
}

/// The provider and the model of a name. A name of Workers AI needs no provider before it.
fn split(name: &str) -> Result<(String, String), String> {
    if name.starts_with("@cf/") {
        return Ok(("workers-ai".into(), name.to_owned()));
    }
    let (provider, model) = name
        .split_once('/')
        .ok_or_else(|| format!("{name:?} is not of the form provider/model"))?;
    if model.is_empty() || !model.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("there is no model's name behind the slash of {name:?}"));
    }
    Ok((providers::canonical(provider).to_owned(), model.to_owned()))
}
