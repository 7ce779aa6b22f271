//! The model providers: a table of those that are known by name, and those of them that the owner
//! has set up.
//!
//! Invariant: a provider is in the list only with everything that it needs to be called.

use dialects::Dialect;
use protocol::turn::ModelApi;
use protocol::{Problem, ProblemCode};

use super::gateway::{Cloudflare, PROVIDER_KEY};
use super::reader::{Reader, wrong};
use super::{Secret, choice};

/// The provider that `cargo xtask dev` offers when there is no key.
pub(super) const DEMO: &str = "demo";

/// The account's API, whose models are of many authors.
const CLOUDFLARE: &str = "cloudflare";

/// A gateway's own endpoint for all providers and for dynamic routes.
const GATEWAY: &str = "gateway";

/// A provider that can be called.
#[derive(Debug)]
pub(crate) struct Provider {
    /// Its name in `/model/<provider>/…` and before the slash in `MODEL`.
    pub(crate) name: &'static str,
    speaks: Speaks,
    /// What the request path is appended to, without a trailing slash.
    pub(crate) base_url: String,
    /// The key that the edge adds; `None` where none is wanted, or a gateway adds it.
    pub(crate) key: Option<Secret>,
    /// Whether the calls pass through the gateway of the settings.
    pub(crate) through_gateway: bool,
    /// Whether nobody sends a bill for it.
    pub(crate) is_free: bool,
}

/// Which API a provider's models are asked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaks {
    /// One for all.
    One(ModelApi),
    /// Each author's own.
    ByAuthor,
}

impl Provider {
    /// The API that this model is asked by.
    pub(crate) fn api(&self, model: &str) -> ModelApi {
        match self.speaks {
            Speaks::One(api) => api,
            Speaks::ByAuthor if model.starts_with("anthropic/") => ModelApi::AnthropicMessages,
            Speaks::ByAuthor if model.starts_with("openai/") => ModelApi::OpenaiResponses,
            Speaks::ByAuthor => ModelApi::OpenaiChat,
        }
    }

    /// Whether it says what each call costs, as `OpenRouter` does
    /// (<https://openrouter.ai/docs/use-cases/usage-accounting>).
    pub(crate) fn reports_cost(&self) -> bool {
        self.name == "openrouter"
    }

    /// Whether its models may be routes that lead to others.
    pub(crate) fn is_route(&self) -> bool {
        self.name == GATEWAY
    }

    /// A provider's name here, given the one that the gateway or a reseller has for it.
    pub(crate) fn canonical(name: &str) -> &str {
        canonical(name)
    }

    /// Where a model of this provider is asked.
    pub(crate) fn endpoint(&self, dialect: Dialect) -> String {
        dialect.endpoint(&self.base_url)
    }

    /// The header that carries the key. Only Anthropic itself, and what passes to it, has a header of
    /// its own.
    pub(crate) fn credential(&self) -> Option<(&'static str, String)> {
        let key = self.key.as_ref()?.expose();
        let own_header = self.speaks == Speaks::One(ModelApi::AnthropicMessages);
        Some(if own_header {
            ("x-api-key", key.to_owned())
        } else {
            ("authorization", format!("Bearer {key}"))
        })
    }
}

/// How a provider is set up by variables.
struct Table {
    name: &'static str,
    speaks: Speaks,
    key: &'static str,
    base_url: &'static str,
    home: Home,
    /// The provider's name at the gateway, with what belongs before the API's own path.
    at_gateway: Option<&'static str>,
    model_default: Option<&'static str>,
}

/// Where a provider is when no base URL is set.
enum Home {
    /// At its own address.
    At(&'static str),
    /// In the owner's Cloudflare account.
    Account,
    /// At the gateway alone.
    Gateway,
    /// Nowhere: the base URL must be set, and is enough.
    Own,
}

const CHAT: Speaks = Speaks::One(ModelApi::OpenaiChat);
const ANTHROPIC: Speaks = Speaks::One(ModelApi::AnthropicMessages);

/// In the order in which one that has a key is chosen when no model is named.
///
/// Base URLs are as each provider documents them; the names at the gateway are those of
/// <https://developers.cloudflare.com/ai-gateway/usage/providers/>.
const PROVIDERS: &[Table] = &[
    Table {
        name: "anthropic",
        speaks: ANTHROPIC,
        key: "ANTHROPIC_API_KEY",
        base_url: "ANTHROPIC_BASE_URL",
        home: Home::At("https://api.anthropic.com"),
        at_gateway: Some("anthropic"),
        model_default: Some("claude-sonnet-5"),
    },
    Table {
        name: "openai",
        speaks: Speaks::One(ModelApi::OpenaiResponses),
        key: "OPENAI_API_KEY",
        base_url: "OPENAI_BASE_URL",
        home: Home::At("https://api.openai.com/v1"),
        at_gateway: Some("openai"),
        model_default: Some("gpt-5.6-terra"),
    },
    Table {
        name: "gemini",
        speaks: CHAT,
        key: "GEMINI_API_KEY",
        base_url: "GEMINI_BASE_URL",
        home: Home::At("https://generativelanguage.googleapis.com/v1beta/openai"),
        at_gateway: Some("google-ai-studio/v1beta/openai"),
        model_default: Some("gemini-3.5-flash"),
    },
    Table {
        name: "openrouter",
        speaks: CHAT,
        key: "OPENROUTER_API_KEY",
        base_url: "OPENROUTER_BASE_URL",
        home: Home::At("https://openrouter.ai/api/v1"),
        at_gateway: Some("openrouter"),
        model_default: Some("anthropic/claude-sonnet-5"),
    },
    Table {
        name: "xai",
        speaks: CHAT,
        key: "XAI_API_KEY",
        base_url: "XAI_BASE_URL",
        home: Home::At("https://api.x.ai/v1"),
        at_gateway: Some("grok/v1"),
        model_default: Some("grok-4.5"),
    },
    Table {
        name: "mistral",
        speaks: CHAT,
        key: "MISTRAL_API_KEY",
        base_url: "MISTRAL_BASE_URL",
        home: Home::At("https://api.mistral.ai/v1"),
        at_gateway: Some("mistral/v1"),
        model_default: Some("mistral-medium-latest"),
    },
    Table {
        name: "deepseek",
        speaks: CHAT,
        key: "DEEPSEEK_API_KEY",
        base_url: "DEEPSEEK_BASE_URL",
        home: Home::At("https://api.deepseek.com/v1"),
        at_gateway: Some("deepseek"),
        model_default: Some("deepseek-v4-pro"),
    },
    Table {
        name: "groq",
        speaks: CHAT,
        key: "GROQ_API_KEY",
        base_url: "GROQ_BASE_URL",
        home: Home::At("https://api.groq.com/openai/v1"),
        at_gateway: Some("groq"),
        model_default: Some("openai/gpt-oss-120b"),
    },
    Table {
        name: "workers-ai",
        speaks: CHAT,
        key: "CLOUDFLARE_API_TOKEN",
        base_url: "WORKERS_AI_BASE_URL",
        home: Home::Account,
        at_gateway: Some("workers-ai/v1"),
        model_default: Some("@cf/openai/gpt-oss-120b"),
    },
    Table {
        name: CLOUDFLARE,
        speaks: Speaks::ByAuthor,
        key: "CLOUDFLARE_API_TOKEN",
        base_url: "CLOUDFLARE_BASE_URL",
        home: Home::Account,
        at_gateway: None,
        model_default: None,
    },
    Table {
        name: GATEWAY,
        speaks: CHAT,
        key: PROVIDER_KEY,
        base_url: "CF_AI_GATEWAY_COMPAT_URL",
        home: Home::Gateway,
        at_gateway: Some("compat"),
        model_default: None,
    },
    Table {
        name: "ollama",
        speaks: CHAT,
        key: "OLLAMA_API_KEY",
        base_url: "OLLAMA_BASE_URL",
        home: Home::Own,
        at_gateway: None,
        model_default: None,
    },
    Table {
        name: "compatible",
        speaks: CHAT,
        key: "COMPATIBLE_API_KEY",
        base_url: "COMPATIBLE_BASE_URL",
        home: Home::Own,
        at_gateway: None,
        model_default: None,
    },
];

/// Settings that say which API a provider speaks, where it is not the same for all.
const APIS: &[(&str, &str)] = &[("openai", "OPENAI_API"), ("compatible", "COMPATIBLE_API")];

const API_WORDS: &[(&str, ModelApi)] = &[
    ("anthropic", ModelApi::AnthropicMessages),
    ("chat", ModelApi::OpenaiChat),
    ("responses", ModelApi::OpenaiResponses),
];

/// Other names of providers, as the gateway and resellers call them.
const ALIASES: &[(&str, &str)] =
    &[("google", "gemini"), ("google-ai-studio", "gemini"), ("grok", "xai"), ("x-ai", "xai")];

/// A provider's name here.
pub(super) fn canonical(name: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, canonical)| canonical)
}

/// Whether a secret of this name is a provider's key.
pub(super) fn is_providers_key(name: &str) -> bool {
    PROVIDERS.iter().any(|table| table.key == name)
}

/// All providers that are set up. `gateway_key_of` is the provider whose key is given under the
/// gateway's name.
pub(super) fn read(
    reader: &mut Reader<'_>,
    cloudflare: &Cloudflare,
    gateway_key_of: &str,
) -> Vec<Provider> {
    let gateway = cloudflare.gateway.as_ref();
    let mut providers = Vec::new();
    for table in PROVIDERS {
        let own_key = reader.key(table.key);
        let key = match gateway {
            Some(_) if own_key.is_none() && table.name == gateway_key_of => {
                reader.key(PROVIDER_KEY)
            }
            _ => own_key,
        };
        let base_url = reader.base_url(table.base_url);
        let is_stored = gateway.is_some_and(|gateway| {
            gateway.stored_keys.iter().any(|name| name == table.name)
                // A dynamic route, or a call by unified billing, needs no provider's key at all.
                || (table.name == GATEWAY && gateway.token.is_some())
        });
        let is_own = matches!(table.home, Home::Own) && base_url.is_some();
        if key.is_none() && !is_stored && !is_own {
            continue;
        }
        let direct = base_url.is_some();
        let Some((base_url, through_gateway)) = address(table, base_url, cloudflare) else {
            continue;
        };
        let speaks = speaks(reader, table, direct);
        let is_free = table.name == "ollama";
        providers.push(Provider {
            name: table.name,
            speaks,
            base_url,
            key,
            through_gateway,
            is_free,
        });
    }
    legacy(reader, &mut providers);
    for name in gateway.into_iter().flat_map(|gateway| &gateway.stored_keys) {
        if !PROVIDERS.iter().any(|table| table.name == name && table.at_gateway.is_some()) {
            let why = format!("the gateway has no provider {name:?}");
            reader.wrong("CF_AI_GATEWAY_STORED_KEYS", why);
        }
    }
    providers
}

/// Where a provider is called, and whether that is the gateway. A base URL of the owner's stands
/// above the gateway.
fn address(
    table: &Table,
    base_url: Option<String>,
    cloudflare: &Cloudflare,
) -> Option<(String, bool)> {
    if let Some(base_url) = base_url {
        return Some((base_url, false));
    }
    if let (Some(gateway), Some(name)) = (&cloudflare.gateway, table.at_gateway) {
        return Some((format!("{}/{name}", gateway.base_url), true));
    }
    match table.home {
        Home::At(base_url) => Some((base_url.to_owned(), false)),
        // The account's API passes through a gateway too, the named one or the default.
        Home::Account => Some((cloudflare.account_api.clone()?, cloudflare.gateway.is_some())),
        Home::Gateway | Home::Own => None,
    }
}

/// What an owner says, or what is usual: another server in `OpenAI`'s place knows the older API.
fn speaks(reader: &mut Reader<'_>, table: &Table, direct: bool) -> Speaks {
    let said = APIS
        .iter()
        .find(|(name, _)| *name == table.name)
        .and_then(|(_, setting)| reader.word(setting, API_WORDS));
    match said {
        Some(api) => Speaks::One(api),
        None if direct && table.name == "openai" => CHAT,
        None => table.speaks,
    }
}

/// The older pair of settings for a gateway, which names one provider by its base URL's end.
fn legacy(reader: &mut Reader<'_>, providers: &mut Vec<Provider>) {
    let (Some(base_url), Some(key)) =
        (reader.base_url("AI_GATEWAY_BASE_URL"), reader.key("AI_GATEWAY_API_KEY"))
    else {
        return;
    };
    let (name, speaks) =
        if base_url.ends_with("/openai") { ("openai", CHAT) } else { ("anthropic", ANTHROPIC) };
    if providers.iter().any(|provider| provider.name == name) {
        return;
    }
    providers.push(Provider {
        name,
        speaks,
        base_url,
        key: Some(key),
        through_gateway: false,
        is_free: false,
    });
}

/// The demonstration, if there is one.
pub(super) fn read_demo(reader: &mut Reader<'_>, dev_mode: bool) -> Option<Provider> {
    let base_url = reader.base_url("DEMO_MODEL_URL")?;
    if !dev_mode {
        reader.wrong("DEMO_MODEL_URL", "the demo model is for DEV_MODE=true only");
        return None;
    }
    Some(Provider {
        name: DEMO,
        speaks: ANTHROPIC,
        base_url,
        key: None,
        through_gateway: false,
        is_free: true,
    })
}

/// The default model of the first provider that has one: the owner has named none.
pub(super) fn default_model(providers: &[Provider]) -> Result<String, Problem> {
    let is_set_up = |name: &str| providers.iter().any(|provider| provider.name == name);
    let default = PROVIDERS.iter().find_map(|table| {
        let model = table.model_default.filter(|_| is_set_up(table.name))?;
        Some(format!("{}/{model}", table.name))
    });
    if let Some(default) = default {
        return Ok(default);
    }
    if is_set_up(DEMO) {
        return Ok(format!("{DEMO}/demo"));
    }
    if let Some(provider) = providers.first() {
        let message = format!("The provider {} is set up, but no model is named.", provider.name);
        let remedy = format!("Set {}={}/<model>.", choice::MODEL, provider.name);
        return Err(Problem::new(ProblemCode::Misconfigured, message).remedy(remedy));
    }
    Err(Problem::new(
        ProblemCode::Misconfigured,
        "No model provider has a key, so the agent cannot think.",
    )
    .remedy("Set a secret such as ANTHROPIC_API_KEY, OPENAI_API_KEY or GEMINI_API_KEY."))
}

/// Why a provider that is named cannot be called, and what sets it up.
pub(super) fn missing(setting: &str, name: &str, has_gateway: bool) -> Problem {
    let Some(table) = PROVIDERS.iter().find(|table| table.name == name) else {
        let known: Vec<&str> = PROVIDERS.iter().map(|table| table.name).collect();
        return wrong(setting, format!("there is no provider {name:?}"))
            .remedy(format!("Use one of: {}.", known.join(", ")));
    };
    let (lacks, remedy) = match table.home {
        Home::Own => ("no address", format!("Set {}", table.base_url)),
        Home::Account => {
            let account = "CF_AI_GATEWAY_ACCOUNT_ID";
            ("no key or no account", format!("Set the secret {} and {account}", table.key))
        }
        Home::Gateway if !has_gateway => (
            "no gateway",
            "Set CF_AI_GATEWAY_ACCOUNT_ID, CF_AI_GATEWAY_GATEWAY_ID and the secret \
             CF_AI_GATEWAY_TOKEN"
                .to_owned(),
        ),
        Home::Gateway => ("no key", "Set the secret CF_AI_GATEWAY_TOKEN".to_owned()),
        Home::At(_) => ("no key", format!("Set the secret {}", table.key)),
    };
    Problem::new(
        ProblemCode::Misconfigured,
        format!("{setting} names the provider {name}, which has {lacks}."),
    )
    .remedy(format!("{remedy}, or choose another model."))
}
