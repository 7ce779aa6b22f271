//! Agent object → runtime: the routes on the container's port.
//!
//! | route | body | answer |
//! |---|---|---|
//! | `GET /health` | – | [`Health`] |
//! | `POST /turns` | [`TurnRequest`](crate::turn::TurnRequest) | the turn's events as NDJSON, from the first |
//! | `GET /turns/{id}/events?from=n` | – | the events numbered `n` and later, as NDJSON |
//! | `POST /turns/{id}/cancel` | – | 202 |
//! | `POST /turns/{id}/steer` | [`Steer`] | 202; the messages join the turn at its next step |
//! | `POST /workspace` | [`WorkspaceOpening`](crate::workspace::WorkspaceOpening) | [`WorkspaceEvent`](crate::workspace::WorkspaceEvent)s as NDJSON |
//! | `POST /maintenance` | [`Maintenance`](crate::workspace::Maintenance) | [`WorkspaceEvent`](crate::workspace::WorkspaceEvent)s as NDJSON |
//! | `POST /drain` | – | 202; no new turn is taken, running ones are cut, then the process exits |
//!
//! Failures are a [`Problem`](crate::Problem) with the status of its code.

use serde::{Deserialize, Serialize};

use crate::ids::{Epoch, TurnId};
use crate::route::{Method, number, segments};
use crate::session::UserMessage;

/// The port that the runtime listens on in production. Locally the stand-in gives each process its
/// own and maps this one to it.
pub const RUNTIME_PORT: u16 = 8080;

/// Environment variable: the port to bind.
pub const ENV_PORT: &str = "PORT";
/// Environment variable: where the edge services are, `http://edge.internal` as a rule.
pub const ENV_EDGE_URL: &str = "EDGE_URL";
/// Environment variable: which agent this is.
pub const ENV_AGENT: &str = "AGENT_ID";
/// Environment variable: which life of the container this is.
pub const ENV_EPOCH: &str = "EPOCH";
/// Environment variable: the folder the agent works in.
pub const ENV_WORKSPACE: &str = "WORKSPACE_DIR";

/// Environment variable: how far the agent's own commands reach: `open`, `allowlist` or `closed`.
pub const ENV_INTERNET: &str = "SANDBOX_INTERNET";
/// Environment variable: hosts for which the edge adds a secret, and the secret's name (never its
/// value): `api.github.com=GITHUB_TOKEN,*.example.com=OTHER`.
pub const ENV_EGRESS_HOSTS: &str = "EGRESS_HOSTS";

/// Environment variable: longest silence before a model's first byte, in milliseconds.
pub const ENV_MODEL_FIRST_BYTE_MS: &str = "MODEL_FIRST_BYTE_TIMEOUT_MS";
/// Environment variable: longest silence in the middle of a model's answer, in milliseconds.
pub const ENV_MODEL_IDLE_MS: &str = "MODEL_IDLE_TIMEOUT_MS";
/// Environment variable: the delay from which the waits between two tries are taken, in milliseconds.
pub const ENV_MODEL_RETRY_DELAY_MS: &str = "MODEL_RETRY_DELAY_MS";

/// One route of the runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeRoute {
    /// Is it up, and who is it.
    Health,
    /// Run a turn, or attach to it.
    Turns,
    /// Follow a turn.
    Events {
        /// The turn.
        turn: TurnId,
        /// First event wanted.
        from: u64,
    },
    /// Stop a turn.
    Cancel {
        /// The turn.
        turn: TurnId,
    },
    /// Add messages to a running turn.
    Steer {
        /// The turn.
        turn: TurnId,
    },
    /// Restore the workspace.
    Workspace,
    /// Forget old snapshots of the workspace.
    Maintenance,
    /// Finish and exit.
    Drain,
}

impl RuntimeRoute {
    /// The method of the route.
    pub fn method(&self) -> Method {
        match self {
            Self::Health | Self::Events { .. } => Method::Get,
            Self::Turns
            | Self::Cancel { .. }
            | Self::Steer { .. }
            | Self::Workspace
            | Self::Maintenance
            | Self::Drain => Method::Post,
        }
    }

    /// Path and query.
    pub fn path(&self) -> String {
        match self {
            Self::Health => "/health".into(),
            Self::Turns => "/turns".into(),
            Self::Events { turn, from } => format!("/turns/{turn}/events?from={from}"),
            Self::Cancel { turn } => format!("/turns/{turn}/cancel"),
            Self::Steer { turn } => format!("/turns/{turn}/steer"),
            Self::Workspace => "/workspace".into(),
            Self::Maintenance => "/maintenance".into(),
            Self::Drain => "/drain".into(),
        }
    }

    /// The route that a path and query name, whatever the method; compare [`Self::method`] next.
    pub fn parse(path: &str, query: &str) -> Option<Self> {
        Some(match segments(path)?.as_slice() {
            ["health"] => Self::Health,
            ["turns"] => Self::Turns,
            ["turns", turn, "events"] => {
                Self::Events { turn: turn.parse().ok()?, from: number(query, "from", 1)? }
            }
            ["turns", turn, "cancel"] => Self::Cancel { turn: turn.parse().ok()? },
            ["turns", turn, "steer"] => Self::Steer { turn: turn.parse().ok()? },
            ["workspace"] => Self::Workspace,
            ["maintenance"] => Self::Maintenance,
            ["drain"] => Self::Drain,
            _ => return None,
        })
    }
}

/// `POST /turns/{id}/steer`: messages that came while the turn ran. The same message may be sent
/// again; the turn takes it once. 404 when the turn is over: the messages begin one of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Steer {
    /// Protocol version of the sender.
    pub protocol: u32,
    /// The messages, in order; at least one.
    pub messages: Vec<UserMessage>,
}

/// Answer of `GET /health`: the port is bound and turns are taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Protocol version of the runtime.
    pub protocol: u32,
    /// Version of the runtime's package.
    pub version: String,
    /// The epoch that it was started with.
    pub epoch: Epoch,
    /// Milliseconds since the process began.
    pub uptime_ms: u64,
}
