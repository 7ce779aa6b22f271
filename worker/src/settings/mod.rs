//! The Worker's settings, parsed once from its bindings, all problems at once.
//!
//! Invariants: nothing else reads a variable or a secret; a secret leaves this module only inside
//! [`Secret`], which neither prints nor serialises.

mod caps;
mod choice;
pub(crate) mod egress;
mod gateway;
mod providers;
mod reader;
mod secret;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::rc::Rc;

use protocol::Problem;
use protocol::runtime::{ENV_MODEL_FIRST_BYTE_MS, ENV_MODEL_IDLE_MS, ENV_MODEL_RETRY_DELAY_MS};
use protocol::turn::ModelChoice;

pub(crate) use gateway::Gateway;
pub(crate) use providers::Provider;
pub(crate) use secret::Secret;

use egress::Egress;
use gateway::Cloudflare;
use reader::{Reader, base_url_checked, wrong};

use crate::agent::ledger::Caps;
use crate::agent::schedule::is_zone;
use crate::channels::hook::HookSecret;
use crate::limits::{
    API_TOKEN_CHARS_MIN, LOG_RECORDS_KEPT, SLEEP_AFTER_MS_DEFAULT, SLEEP_AFTER_MS_MIN,
};
use crate::models::{self, Model, Price, UNKNOWN};
use crate::platform::faults::{self, Faults, R2Faults};

thread_local! {
    static SETTINGS: OnceCell<Rc<Settings>> = const { OnceCell::new() };
}

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
    /// The gateway that model calls pass through.
    pub(crate) gateway: Option<Gateway>,
    /// What turns think with, or why they cannot.
    pub(crate) model: Result<ModelChoice, Problem>,
    /// What they think with when that fails, in order.
    pub(crate) fallbacks: Vec<ModelChoice>,
    /// The owner's lines of the table of models.
    owner_models: String,
    /// The most that may be spent.
    pub(crate) caps: Caps,
    /// How long the container stays without work; `None` for ever.
    pub(crate) sleep_after_ms: Option<u64>,
    /// The time zone of people who name none: an IANA name.
    pub(crate) time_zone: String,
    /// What becomes of a message that arrives while a turn runs.
    pub(crate) mid_turn: MidTurn,
    /// What may leave the container, and with which secrets.
    pub(crate) egress: Egress,
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

impl Settings {
    /// The settings of a deployment. Its environment is the same as long as it lives, so they are
    /// read once.
    pub(crate) fn of(env: &crate::platform::Env) -> Rc<Self> {
        // A secret and a variable read alike: both are texts in the environment.
        let parse = || Self::parse(&|name| env.var(name).ok().map(|value| value.to_string()));
        SETTINGS.with(|settings| Rc::clone(settings.get_or_init(|| Rc::new(parse()))))
    }

    /// Reads all settings through `get`, which returns the text of a variable or secret.
    pub(crate) fn parse(get: &dyn Fn(&str) -> Option<String>) -> Self {
        let reader = &mut Reader::new(get);
        let dev_mode = reader.boolean("DEV_MODE", false);
        let cloudflare = Cloudflare::read(reader);
        let gateway_key_of = choice::gateway_key_of(reader);
        let mut providers = providers::read(reader, &cloudflare, &gateway_key_of);
        providers.extend(providers::read_demo(reader, dev_mode));
        let gateway = cloudflare.gateway;
        let choices = choice::read(reader, &providers, gateway.is_some());
        let (faults, r2_delay_ms) = faults(reader, dev_mode);
        Self {
            dev_mode,
            api_token: reader.optional("API_TOKEN", api_token),
            webhook_secret: reader.optional("WEBHOOK_SECRET", HookSecret::parse),
            webhook_reply_url: reader.optional("WEBHOOK_REPLY_URL", reply_url_checked),
            faults,
            r2_delay_ms,
            providers,
            gateway,
            model: choices.model,
            fallbacks: choices.fallbacks,
            owner_models: choices.owner_models,
            caps: caps::read(reader),
            sleep_after_ms: sleep_after(reader),
            time_zone: time_zone(reader),
            mid_turn: mid_turn(reader),
            egress: egress(reader, dev_mode),
            log_records_kept: log_records_kept(reader, dev_mode),
            runtime_variables: runtime_variables(reader),
            problems: std::mem::replace(reader, Reader::new(get)).into_problems(),
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

    /// What is known of a provider's model, whether the provider is set up or not. What nobody sends
    /// a bill for costs nothing.
    pub(crate) fn known_model(&self, provider: &str, model: &str) -> Model {
        let is_free = self.provider(provider).is_some_and(|provider| provider.is_free);
        match models::find(&self.owner_models, provider, model) {
            Some(known) => known,
            None if is_free => Model { price: Price::default(), known: true, ..UNKNOWN },
            None => UNKNOWN,
        }
    }
}

fn egress(reader: &mut Reader<'_>, dev_mode: bool) -> Egress {
    let mut problems = Vec::new();
    let egress = egress::parse(&|name| reader.text(name), dev_mode, &mut problems);
    for problem in problems {
        reader.note(problem);
    }
    egress
}

fn api_token(text: &str) -> Result<Secret, String> {
    if text.chars().count() < API_TOKEN_CHARS_MIN {
        return Err(format!("it has less than {API_TOKEN_CHARS_MIN} characters"));
    }
    Ok(Secret::new(text.to_owned()))
}

fn time_zone(reader: &mut Reader<'_>) -> String {
    reader.checked("TIME_ZONE", "UTC".to_owned(), |name| {
        let is_known = is_zone(name).then(|| name.to_owned());
        is_known.ok_or_else(|| format!("{name:?} is no time zone like Europe/Berlin"))
    })
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

fn faults(reader: &mut Reader<'_>, dev_mode: bool) -> (bool, u64) {
    let wanted = reader.boolean("FAULTS", false);
    if wanted && !dev_mode {
        reader.wrong("FAULTS", "faults are for DEV_MODE=true only");
    }
    if !wanted || !dev_mode {
        return (false, 0);
    }
    let milliseconds = |text: &str| text.parse().map_err(|error| format!("{error}"));
    (true, reader.checked("FAULT_R2_DELAY_MS", 0, milliseconds))
}

/// `LOG_RECORDS_KEPT`, for tests that must not write thousands of records.
fn log_records_kept(reader: &mut Reader<'_>, dev_mode: bool) -> u64 {
    reader.checked("LOG_RECORDS_KEPT", LOG_RECORDS_KEPT, |text| match text.parse() {
        Ok(kept) if dev_mode && (1..=LOG_RECORDS_KEPT).contains(&kept) => Ok(kept),
        _ => Err(format!("it is a number up to {LOG_RECORDS_KEPT}, for DEV_MODE=true only")),
    })
}

fn mid_turn(reader: &mut Reader<'_>) -> MidTurn {
    let words = [("steer", MidTurn::Steer), ("queue", MidTurn::Queue)];
    reader.word("MID_TURN_MESSAGES", &words).unwrap_or(MidTurn::Steer)
}

/// How long a model may be silent, and how soon it is asked again: the runtime has the defaults.
fn runtime_variables(reader: &mut Reader<'_>) -> Vec<(&'static str, String)> {
    let mut variables = Vec::new();
    for name in [ENV_MODEL_FIRST_BYTE_MS, ENV_MODEL_IDLE_MS, ENV_MODEL_RETRY_DELAY_MS] {
        let checked = reader.optional(name, |text| match text.parse::<u32>() {
            Ok(ms) if ms > 0 => Ok(text.to_owned()),
            _ => Err(format!("{text:?} is no number of milliseconds")),
        });
        variables.extend(checked.map(|text| (name, text)));
    }
    variables
}

/// `SANDBOX_SLEEP_AFTER`: `never`, or a number with `s`, `m` or `h`.
fn sleep_after(reader: &mut Reader<'_>) -> Option<u64> {
    reader.checked("SANDBOX_SLEEP_AFTER", Some(SLEEP_AFTER_MS_DEFAULT), |text| {
        if text == "never" {
            return Ok(None);
        }
        match duration_ms(text) {
            Some(ms) if ms >= SLEEP_AFTER_MS_MIN => Ok(Some(ms)),
            Some(_) => Err(format!("{text} is below {SLEEP_AFTER_MS_MIN} ms")),
            None => Err(format!("{text:?} is not like 30s, 10m, 2h or never")),
        }
    })
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
