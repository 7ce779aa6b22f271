//! The Worker's settings, parsed once from its bindings, all problems at once.
//!
//! Invariants: nothing else reads a variable or a secret; a secret leaves this module only inside
//! [`Secret`], which neither prints nor serialises.

mod secret;
#[cfg(test)]
mod tests;

use protocol::runtime::{ENV_MODEL_FIRST_BYTE_MS, ENV_MODEL_IDLE_MS, ENV_MODEL_RETRY_DELAY_MS};
use protocol::turn::{ModelApi, ModelChoice};
use protocol::{Problem, ProblemCode};

pub(crate) use secret::Secret;

use crate::platform::faults::{self, Faults, R2Faults};

use crate::agent::schedule::is_zone;
use crate::channels::hook::HookSecret;
use crate::limits::{
    API_TOKEN_CHARS_MIN, LOG_RECORDS_KEPT, SLEEP_AFTER_MS_DEFAULT, SLEEP_AFTER_MS_MIN,
};

/// Binding of the agent objects, as in `wrangler.toml`.
pub(crate) const AGENT_BINDING: &str = "AGENT";

/// Everything that the owner can set by variables and secrets.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Opens the web lane on loopback hosts without a login; see `auth`.
    pub(crate) dev_mode: bool,
    /// What programs of the owner show to be let in.
    pub(crate) api_token: Option<Secret>,
    /// The key of the webhook channel's signatures; without it there is no such channel.
    pub(crate) webhook_secret: Option<HookSecret>,
    /// Where the webhook channel's answers go.
    pub(crate) webhook_reply_url: Option<String>,
    /// Whether faults may be ordered; only with `dev_mode`.
    pub(crate) faults: bool,
    /// How much longer every call of R2 takes; only with `faults`.
    pub(crate) r2_delay_ms: u64,
    /// The model providers that have what they need.
    pub(crate) providers: Vec<Provider>,
    /// What turns think with, or why they cannot.
    pub(crate) model: Result<ModelChoice, Problem>,
    /// How long the container stays without work; `None` for ever.
    pub(crate) sleep_after_ms: Option<u64>,
    /// The time zone of people who name none: an IANA name.
    pub(crate) time_zone: String,
    /// What becomes of a message that arrives while a turn runs.
    pub(crate) mid_turn: MidTurn,
    /// Whether the agent's own commands reach the internet.
    pub(crate) internet: bool,
    /// Newest records of a session that stay rows; less than the default only with `dev_mode`.
    pub(crate) log_records_kept: u64,
    /// Variables that are handed on to the runtime as they are: name and checked value.
    pub(crate) runtime_variables: Vec<(&'static str, String)>,
    /// Everything that is wrong, each with its remedy.
    pub(crate) problems: Vec<Problem>,
}

/// What becomes of a message that arrives while a turn of its session runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MidTurn {
    /// It joins the turn at its next step.
    Steer,
    /// It waits for the next turn.
    Queue,
}

/// A model provider.
#[derive(Debug)]
pub(crate) struct Provider {
    /// Its name in `/model/<provider>/…` and before the slash in `MODEL`.
    pub(crate) name: &'static str,
    /// The wire format that it speaks.
    pub(crate) api: ModelApi,
    /// What the request path is appended to, without a trailing slash.
    pub(crate) base_url: String,
    /// The key that the edge adds; `None` for a provider that wants none.
    pub(crate) key: Option<Secret>,
}

/// How a provider is set up by variables.
struct ProviderTable {
    name: &'static str,
    api: ModelApi,
    key: &'static str,
    base_url: &'static str,
    base_url_default: &'static str,
    model_default: &'static str,
}

const PROVIDERS: &[ProviderTable] = &[
    ProviderTable {
        name: "anthropic",
        api: ModelApi::AnthropicMessages,
        key: "ANTHROPIC_API_KEY",
        base_url: "ANTHROPIC_BASE_URL",
        base_url_default: "https://api.anthropic.com",
        model_default: "claude-sonnet-5",
    },
    ProviderTable {
        name: "openai",
        api: ModelApi::OpenaiChat,
        key: "OPENAI_API_KEY",
        base_url: "OPENAI_BASE_URL",
        base_url_default: "https://api.openai.com/v1",
        model_default: "gpt-5.1",
    },
];

/// The provider that `cargo xtask dev` offers when there is no key.
const DEMO: &str = "demo";

/// Most tokens of one answer, for every model: far below the limits of current models, and enough
/// for a long file.
const MAX_OUTPUT_TOKENS: u32 = 16_000;

/// Context assumed for every model until there is a table of known ones: what all current models of
/// the providers above have at least.
const CONTEXT_TOKENS: u32 = 128_000;

impl Settings {
    /// The settings of a deployment.
    pub(crate) fn of(env: &crate::platform::Env) -> Self {
        // A secret and a variable read alike: both are texts in the environment.
        Self::parse(&|name| env.var(name).ok().map(|value| value.to_string()))
    }

    /// Reads all settings through `get`, which returns the text of a variable or secret.
    pub(crate) fn parse(get: &dyn Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| get(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let mut problems = Vec::new();
        let mut providers = Vec::new();
        for table in PROVIDERS {
            let Some(key) = get(table.key) else { continue };
            let base_url = get(table.base_url).unwrap_or_else(|| table.base_url_default.into());
            match base_url_checked(&base_url) {
                Ok(base_url) => {
                    let key = Some(Secret::new(key));
                    providers.push(Provider { name: table.name, api: table.api, base_url, key });
                }
                Err(why) => problems.push(wrong(table.base_url, &why)),
            }
        }
        let dev_mode = boolean(&get, "DEV_MODE", false, &mut problems);
        let api_token = api_token(&get, &mut problems);
        let (webhook_secret, webhook_reply_url) = webhook(&get, &mut problems);
        let (faults, r2_delay_ms) = faults(&get, dev_mode, &mut problems);
        demo_provider(&get, dev_mode, &mut providers, &mut problems);
        let model = model(get("MODEL").as_deref(), &providers);
        if let Err(problem) = &model {
            problems.push(problem.clone());
        }
        let sleep_after_ms = sleep_after(&get, &mut problems);
        let time_zone = time_zone(&get, &mut problems);
        let mid_turn = mid_turn(&get, &mut problems);
        let internet = boolean(&get, "SANDBOX_INTERNET", true, &mut problems);
        let log_records_kept = log_records_kept(&get, dev_mode, &mut problems);
        let runtime_variables = runtime_variables(&get, &mut problems);
        Self {
            dev_mode,
            api_token,
            webhook_secret,
            webhook_reply_url,
            faults,
            r2_delay_ms,
            providers,
            model,
            sleep_after_ms,
            time_zone,
            mid_turn,
            internet,
            log_records_kept,
            runtime_variables,
            problems,
        }
    }

    /// Sets the faults that the settings order, unless others are ordered already.
    pub(crate) fn arm_faults(&self) {
        if self.faults {
            let r2 = R2Faults { delay_ms: self.r2_delay_ms, ..R2Faults::default() };
            faults::order_first(Faults { r2, ..Faults::default() });
        }
    }

    /// The provider of this name.
    pub(crate) fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.name == name)
    }
}

fn wrong(name: &str, why: &str) -> Problem {
    Problem::new(ProblemCode::Misconfigured, format!("The setting {name} is wrong: {why}."))
        .remedy(format!("Set {name} again, or remove it to use the default."))
}

fn boolean(
    get: &dyn Fn(&str) -> Option<String>,
    name: &str,
    default: bool,
    problems: &mut Vec<Problem>,
) -> bool {
    match get(name).as_deref() {
        None => default,
        Some("true") => true,
        Some("false") => false,
        Some(other) => {
            problems.push(wrong(name, &format!("{other:?} is neither true nor false")));
            default
        }
    }
}

fn api_token(get: &dyn Fn(&str) -> Option<String>, problems: &mut Vec<Problem>) -> Option<Secret> {
    let token = get("API_TOKEN")?;
    if token.chars().count() < API_TOKEN_CHARS_MIN {
        problems.push(wrong(
            "API_TOKEN",
            &format!("it has less than {API_TOKEN_CHARS_MIN} characters"),
        ));
        return None;
    }
    Some(Secret::new(token))
}

fn time_zone(get: &dyn Fn(&str) -> Option<String>, problems: &mut Vec<Problem>) -> String {
    let name = get("TIME_ZONE").unwrap_or_else(|| "UTC".into());
    if is_zone(&name) {
        return name;
    }
    problems.push(wrong("TIME_ZONE", &format!("{name:?} is no time zone like Europe/Berlin")));
    "UTC".into()
}

fn webhook(
    get: &dyn Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
) -> (Option<HookSecret>, Option<String>) {
    let secret = get("WEBHOOK_SECRET").and_then(|text| {
        let parsed = HookSecret::parse(&text);
        parsed.inspect_err(|why| problems.push(wrong("WEBHOOK_SECRET", why))).ok()
    });
    let url = get("WEBHOOK_REPLY_URL").and_then(|text| {
        let checked = reply_url_checked(&text);
        checked.inspect_err(|why| problems.push(wrong("WEBHOOK_REPLY_URL", why))).ok()
    });
    (secret, url)
}

/// A URL that answers may be sent to: what a base URL is, with a query if need be.
fn reply_url_checked(text: &str) -> Result<String, String> {
    let (base, query) = match text.split_once('?') {
        Some((base, query)) => (base, Some(query)),
        None => (text, None),
    };
    base_url_checked(base)?;
    if query.is_some_and(|query| query.contains(['#', ' '])) {
        return Err("its query holds a fragment or a space".into());
    }
    Ok(text.to_owned())
}

fn faults(
    get: &dyn Fn(&str) -> Option<String>,
    dev_mode: bool,
    problems: &mut Vec<Problem>,
) -> (bool, u64) {
    let wanted = boolean(get, "FAULTS", false, problems);
    if wanted && !dev_mode {
        problems.push(wrong("FAULTS", "faults are for DEV_MODE=true only"));
        return (false, 0);
    }
    let delay = get("FAULT_R2_DELAY_MS").filter(|_| wanted);
    let delay_ms = delay.map_or(Ok(0), |text| text.parse()).unwrap_or_else(|error| {
        problems.push(wrong("FAULT_R2_DELAY_MS", &format!("{error}")));
        0
    });
    (wanted, delay_ms)
}

/// `LOG_RECORDS_KEPT`, for tests that must not write thousands of records.
fn log_records_kept(
    get: &dyn Fn(&str) -> Option<String>,
    dev_mode: bool,
    problems: &mut Vec<Problem>,
) -> u64 {
    let name = "LOG_RECORDS_KEPT";
    match get(name).map(|text| text.parse::<u64>()) {
        None => LOG_RECORDS_KEPT,
        Some(Ok(kept)) if dev_mode && (1..=LOG_RECORDS_KEPT).contains(&kept) => kept,
        Some(_) => {
            let why = format!("it is a number up to {LOG_RECORDS_KEPT}, for DEV_MODE=true only");
            problems.push(wrong(name, &why));
            LOG_RECORDS_KEPT
        }
    }
}

fn mid_turn(get: &dyn Fn(&str) -> Option<String>, problems: &mut Vec<Problem>) -> MidTurn {
    let name = "MID_TURN_MESSAGES";
    match get(name).as_deref() {
        None | Some("steer") => MidTurn::Steer,
        Some("queue") => MidTurn::Queue,
        Some(other) => {
            problems.push(wrong(name, &format!("{other:?} is neither steer nor queue")));
            MidTurn::Steer
        }
    }
}

/// How long a model may be silent: the runtime has the defaults.
fn runtime_variables(
    get: &dyn Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
) -> Vec<(&'static str, String)> {
    let mut variables = Vec::new();
    for name in [ENV_MODEL_FIRST_BYTE_MS, ENV_MODEL_IDLE_MS, ENV_MODEL_RETRY_DELAY_MS] {
        let Some(text) = get(name) else { continue };
        match text.parse::<u32>() {
            Ok(ms) if ms > 0 => variables.push((name, text)),
            _ => problems.push(wrong(name, &format!("{text:?} is no number of milliseconds"))),
        }
    }
    variables
}

fn base_url_checked(text: &str) -> Result<String, String> {
    let after_scheme = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match after_scheme {
        None => Err("it does not begin with https:// or http://".into()),
        Some(rest) if rest.is_empty() || rest.starts_with('/') => Err("it names no host".into()),
        Some(rest) if rest.contains(['?', '#', '@', ' ']) => {
            Err("it holds a query, a fragment, a user name or a space".into())
        }
        Some(_) => Ok(text.trim_end_matches('/').to_owned()),
    }
}

fn demo_provider(
    get: &dyn Fn(&str) -> Option<String>,
    dev_mode: bool,
    providers: &mut Vec<Provider>,
    problems: &mut Vec<Problem>,
) {
    let Some(url) = get("DEMO_MODEL_URL") else { return };
    if !dev_mode {
        problems.push(wrong("DEMO_MODEL_URL", "the demo model is for DEV_MODE=true only"));
        return;
    }
    match base_url_checked(&url) {
        Ok(base_url) => {
            let api = ModelApi::AnthropicMessages;
            providers.push(Provider { name: DEMO, api, base_url, key: None });
        }
        Err(why) => problems.push(wrong("DEMO_MODEL_URL", &why)),
    }
}

/// `MODEL`, or the default model of the first provider that has a key.
fn model(wanted: Option<&str>, providers: &[Provider]) -> Result<ModelChoice, Problem> {
    let (name, model) = match wanted {
        Some(wanted) => wanted.split_once('/').ok_or_else(|| {
            wrong("MODEL", &format!("{wanted:?} is not of the form provider/model"))
        })?,
        None => default_model(providers)?,
    };
    let Some(provider) = providers.iter().find(|provider| provider.name == name) else {
        return Err(provider_missing(name));
    };
    if model.is_empty() {
        return Err(wrong("MODEL", "there is no model after the slash"));
    }
    Ok(ModelChoice {
        provider: provider.name.to_owned(),
        api: provider.api,
        model: model.to_owned(),
        max_output_tokens: MAX_OUTPUT_TOKENS,
        context_tokens: CONTEXT_TOKENS,
        thinking: None,
        images: false,
    })
}

fn default_model(providers: &[Provider]) -> Result<(&'static str, &'static str), Problem> {
    let with_key =
        PROVIDERS.iter().find(|table| providers.iter().any(|provider| provider.name == table.name));
    match with_key {
        Some(table) => Ok((table.name, table.model_default)),
        None if providers.iter().any(|provider| provider.name == DEMO) => Ok((DEMO, "demo")),
        None => Err(Problem::new(
            ProblemCode::Misconfigured,
            "No model provider has a key, so the agent cannot think.",
        )
        .remedy("Set the secret ANTHROPIC_API_KEY or OPENAI_API_KEY.")),
    }
}

fn provider_missing(name: &str) -> Problem {
    if let Some(table) = PROVIDERS.iter().find(|table| table.name == name) {
        let message = format!("MODEL names the provider {name}, which has no key.");
        let remedy = format!("Set the secret {}, or choose another MODEL.", table.key);
        return Problem::new(ProblemCode::Misconfigured, message).remedy(remedy);
    }
    let known: Vec<&str> = PROVIDERS.iter().map(|table| table.name).collect();
    let message = format!("MODEL names the provider {name:?}, which does not exist.");
    Problem::new(ProblemCode::Misconfigured, message)
        .remedy(format!("Use one of: {}.", known.join(", ")))
}

/// `SANDBOX_SLEEP_AFTER`: `never`, or a number with `s`, `m` or `h`.
fn sleep_after(get: &dyn Fn(&str) -> Option<String>, problems: &mut Vec<Problem>) -> Option<u64> {
    let name = "SANDBOX_SLEEP_AFTER";
    let Some(text) = get(name) else { return Some(SLEEP_AFTER_MS_DEFAULT) };
    if text == "never" {
        return None;
    }
    match duration_ms(&text) {
        Some(ms) if ms >= SLEEP_AFTER_MS_MIN => Some(ms),
        Some(_) => {
            problems.push(wrong(name, &format!("{text} is below {SLEEP_AFTER_MS_MIN} ms")));
            Some(SLEEP_AFTER_MS_DEFAULT)
        }
        None => {
            problems.push(wrong(name, &format!("{text:?} is not like 30s, 10m, 2h or never")));
            Some(SLEEP_AFTER_MS_DEFAULT)
        }
    }
}

fn duration_ms(text: &str) -> Option<u64> {
    let unit_ms = match text.chars().last()? {
        's' => 1000,
        'm' => 60_000,
        'h' => 3_600_000,
        _ => return None,
    };
    let number: u64 = text.get(..text.len() - 1)?.parse().ok()?;
    number.checked_mul(unit_ms)
}
