//! Settings, parsed once from the environment.
//!
//! Invariants: nothing else in this package reads the environment for itself, and all problems are
//! reported at once. There is no secret among them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use protocol::edge::EDGE_HOST;
use protocol::runtime::{
    ENV_AGENT, ENV_EDGE_URL, ENV_EGRESS_HOSTS, ENV_EPOCH, ENV_INTERNET, ENV_MODEL_FIRST_BYTE_MS,
    ENV_MODEL_IDLE_MS, ENV_MODEL_RETRY_DELAY_MS, ENV_PORT, ENV_WORKSPACE, RUNTIME_PORT,
};
use protocol::{AgentId, Epoch};
use reqwest::Url;
use tracing::level_filters::LevelFilter;

use crate::egress::{Internet, Upstream};
use crate::limits::{MODEL_FIRST_BYTE_TIMEOUT, MODEL_IDLE_TIMEOUT, MODEL_RETRY_DELAY_MIN};

/// Environment variable: how much is logged.
pub const ENV_LOG: &str = "LOG";

/// The folder the agent works in when nothing else is said.
const WORKSPACE_DEFAULT: &str = "/workspace";

/// What the runtime is told when it starts.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The port to bind on all addresses; 0 takes a free one.
    pub port: u16,
    /// Where the edge services are.
    pub edge_url: Url,
    /// Which agent this is.
    pub agent: AgentId,
    /// Which life of the container this is.
    pub epoch: Epoch,
    /// The folder the agent works in.
    pub workspace: PathBuf,
    /// How much is logged.
    pub log: LevelFilter,
    /// How patient it is with a model.
    pub model: ModelTimeouts,
    /// How far commands reach.
    pub internet: Internet,
    /// The proxy through which everything leaves, if there is one.
    pub upstream: Option<Upstream>,
    /// Hosts for which the edge adds a secret, each with the secret's name.
    pub services: Vec<Service>,
}

/// A host for which the edge adds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The host, or a pattern like `*.example.com`.
    pub host: String,
    /// The secret's name.
    pub secret: String,
}

/// How patient the runtime is with a model.
#[derive(Debug, Clone, Copy)]
pub struct ModelTimeouts {
    /// Before the first byte of its answer.
    pub first_byte: Duration,
    /// Between two pieces of its answer.
    pub idle: Duration,
    /// The delay from which the random waits between tries are taken; doubled with each.
    pub retry_delay: Duration,
}

/// All that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SettingsError {
    problems: Vec<String>,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings are wrong:")?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl Settings {
    /// Settings from what `get` says of each variable. An empty value counts as absent.
    pub fn parse(get: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut reader = Reader { get, problems: Vec::new() };
        let port = reader.value(ENV_PORT, &RUNTIME_PORT.to_string());
        let edge_url = reader.edge_url();
        let agent = reader.value(ENV_AGENT, "main");
        let epoch = reader.value(ENV_EPOCH, "0");
        let workspace = reader.value(ENV_WORKSPACE, WORKSPACE_DEFAULT);
        let log = reader.value(ENV_LOG, "info");
        let first_byte = reader.milliseconds(ENV_MODEL_FIRST_BYTE_MS, MODEL_FIRST_BYTE_TIMEOUT);
        let idle = reader.milliseconds(ENV_MODEL_IDLE_MS, MODEL_IDLE_TIMEOUT);

        let retry_delay = reader.milliseconds(ENV_MODEL_RETRY_DELAY_MS, MODEL_RETRY_DELAY_MIN);
        let internet = reader.value(ENV_INTERNET, "open");
        let services = reader.services();
        let upstream = reader.upstream();

        let all = (port, edge_url, agent, epoch, workspace, log, internet);
        let model = (first_byte, idle, retry_delay);
        let (
            Some(port),
            Some(edge_url),
            Some(agent),
            Some(epoch),
            Some(workspace),
            Some(log),
            Some(internet),
        ) = all
        else {
            return Err(SettingsError { problems: reader.problems });
        };
        let (Some(first_byte), Some(idle), Some(retry_delay)) = model else {
            return Err(SettingsError { problems: reader.problems });
        };
        if !reader.problems.is_empty() {
            return Err(SettingsError { problems: reader.problems });
        }
        let model = ModelTimeouts { first_byte, idle, retry_delay };
        Ok(Self {
            port,
            edge_url,
            agent,
            epoch,
            workspace,
            log,
            model,
            internet,
            upstream,
            services,
        })
    }
}

/// Reads variables and gathers what is wrong with them: `None` stands for a gathered problem.
struct Reader<G> {
    get: G,
    problems: Vec<String>,
}

impl<G: Fn(&str) -> Option<String>> Reader<G> {
    fn text(&self, name: &str, default: &str) -> String {
        (self.get)(name).filter(|text| !text.is_empty()).unwrap_or_else(|| default.to_owned())
    }

    fn value<T: FromStr<Err: fmt::Display>>(&mut self, name: &str, default: &str) -> Option<T> {
        let text = self.text(name, default);
        text.parse().map_err(|error| self.problems.push(format!("{name}={text:?}: {error}"))).ok()
    }

    fn milliseconds(&mut self, name: &str, default: Duration) -> Option<Duration> {
        self.value(name, &default.as_millis().to_string()).map(Duration::from_millis)
    }

    /// `api.github.com=GITHUB_TOKEN,…`.
    fn services(&mut self) -> Vec<Service> {
        let text = self.text(ENV_EGRESS_HOSTS, "");
        let pairs = text.split(',').filter(|pair| !pair.is_empty());
        let service = |pair: &str| {
            let (host, secret) = pair.split_once('=')?;
            Some(Service { host: host.to_owned(), secret: secret.to_owned() })
        };
        let services: Option<Vec<_>> = pairs.map(service).collect();
        if services.is_none() {
            let problem = format!("{ENV_EGRESS_HOSTS}={text:?}: it is not like host=SECRET,…");
            self.problems.push(problem);
        }
        services.unwrap_or_default()
    }

    /// What the HTTP client honours by itself, for the commands' proxy.
    fn upstream(&mut self) -> Option<Upstream> {
        let text = self.text("http_proxy", &self.text("HTTP_PROXY", ""));
        if text.is_empty() {
            return None;
        }
        let whole = if text.contains("://") { text.clone() } else { format!("http://{text}") };
        let url = whole.parse::<Url>().ok();
        let upstream = url.as_ref().and_then(|url| {
            let (host, port) = (url.host_str()?.to_owned(), url.port_or_known_default()?);
            Some(Upstream { host, port })
        });
        if upstream.is_none() {
            self.problems.push(format!("HTTP_PROXY={text:?}: it is not like http://host:port"));
        }
        upstream
    }

    fn edge_url(&mut self) -> Option<Url> {
        let url = self.value::<Url>(ENV_EDGE_URL, &format!("http://{EDGE_HOST}"))?;
        if url.scheme() == "http" && url.has_host() {
            return Some(url);
        }
        let problem = format!("{ENV_EDGE_URL}={:?}: it must be an http:// address", url.as_str());
        self.problems.push(problem);
        None
    }
}
