//! Runtime → edge: what the container may ask, at `http://edge.internal`.
//!
//! | route | body | answer |
//! |---|---|---|
//! | `GET /session/{id}` | – | [`Head`] |
//! | `GET /session/{id}/records?from=n` | – | [`Page`] |
//! | `POST /session/{id}/records` | [`Append`] | [`Head`] |
//! | `POST /model/{provider}/{path}` | the provider's own | the provider's own, streamed |
//! | `… /workspace/…` | restic's REST protocol, see [`workspace`](crate::workspace) | |
//! | `POST /report` | [`LastWords`] | 204 |
//! | `POST /fetch` | [`FetchRequest`](crate::egress::FetchRequest) | the page, streamed |
//! | `POST /egress` | [`EgressReport`](crate::egress::EgressReport) | 204 |
//!
//! Beside this host there are those below [`VIA_SUFFIX`](crate::egress::VIA_SUFFIX), which take any
//! method and path.
//!
//! The caller's agent and epoch are never in the request: they are properties of the interception
//! that carries it, so they cannot be forged. A caller of a former epoch hears 409 `stale_epoch`.

use serde::{Deserialize, Serialize};

use crate::ids::{SessionId, TurnId};
use crate::route::{Method, number, segments};
use crate::session::{Item, Record, Sequence};
use crate::workspace::WorkspaceRoute;

/// The host that the container calls; intercepted by the platform, plain HTTP on purpose.
pub const EDGE_HOST: &str = "edge.internal";

/// Header on a response of `/model/…` that the edge itself made (as against one that the provider
/// made and that passes through): its body is a [`Problem`](crate::Problem).
pub const PROBLEM_HEADER: &str = "x-pagurus-problem";

/// Header of a request to `/model/…`: the running turn that the call belongs to, and so whose cap it
/// counts against.
pub const TURN_HEADER: &str = "x-pagurus-turn";

/// One route of the edge services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EdgeRoute {
    /// Where a session's log ends.
    SessionHead {
        /// The conversation.
        session: SessionId,
    },
    /// A page of a session's log.
    SessionRead {
        /// The conversation.
        session: SessionId,
        /// First record wanted.
        from: Sequence,
    },
    /// Add to a session's log.
    SessionAppend {
        /// The conversation.
        session: SessionId,
    },
    /// Ask a model. The body is the provider's own wire format.
    Model {
        /// The provider's name in the settings.
        provider: String,
        /// The path below the provider's base URL, with its leading slash.
        path: String,
    },
    /// The workspace's repository.
    Workspace(WorkspaceRoute),
    /// The runtime says why it is about to end badly.
    Report,
    /// Fetch a page of the internet.
    Fetch,
    /// The runtime says what its commands have called.
    Egress,
}

impl EdgeRoute {
    /// The method of the route.
    pub fn method(&self) -> Method {
        match self {
            Self::SessionHead { .. } | Self::SessionRead { .. } => Method::Get,
            Self::SessionAppend { .. }
            | Self::Model { .. }
            | Self::Report
            | Self::Fetch
            | Self::Egress => Method::Post,
            Self::Workspace(route) => route.method(),
        }
    }

    /// Path and query.
    pub fn path(&self) -> String {
        match self {
            Self::SessionHead { session } => format!("/session/{session}"),
            Self::SessionRead { session, from } => {
                format!("/session/{session}/records?from={from}")
            }
            Self::SessionAppend { session } => format!("/session/{session}/records"),
            Self::Model { provider, path } => format!("/model/{provider}{path}"),
            Self::Workspace(route) => format!("/workspace{}", route.path()),
            Self::Report => "/report".into(),
            Self::Fetch => "/fetch".into(),
            Self::Egress => "/egress".into(),
        }
    }

    /// The route that a method, path and query name. The method takes part because a session's
    /// records are read and appended under one path.
    pub fn parse(method: &str, path: &str, query: &str) -> Option<Self> {
        let route = match segments(path)?.as_slice() {
            ["session", session] => Self::SessionHead { session: session.parse().ok()? },
            ["session", session, "records"] => {
                let session = session.parse().ok()?;
                if method == "POST" {
                    Self::SessionAppend { session }
                } else {
                    Self::SessionRead { session, from: number(query, "from", 1)? }
                }
            }
            ["model", provider, rest @ ..] if !provider.is_empty() && !rest.is_empty() => {
                Self::Model {
                    provider: (*provider).to_owned(),
                    path: format!("/{}", rest.join("/")),
                }
            }
            ["workspace", _, ..] => {
                let below = path.strip_prefix("/workspace")?;
                Self::Workspace(WorkspaceRoute::parse(method, below, query)?)
            }
            ["report"] => Self::Report,
            ["fetch"] => Self::Fetch,
            ["egress"] => Self::Egress,
            _ => return None,
        };
        (route.method().as_str() == method).then_some(route)
    }
}

/// `POST /report`: why a runtime ends badly, as far as it can tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastWords {
    /// Protocol version of the sender.
    pub protocol: u32,
    /// Why, in one sentence.
    pub reason: String,
    /// The last lines of its log, oldest first, at most [`limits::LAST_WORDS_BYTES_MAX`] in all.
    ///
    /// [`limits::LAST_WORDS_BYTES_MAX`]: crate::limits::LAST_WORDS_BYTES_MAX
    pub log: Vec<String>,
}

/// Where a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number of the last record, 0 when there is none.
    pub head: Sequence,
}

/// A page of a log. There is more when the last record's number is below `head`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// The records, in order.
    pub records: Vec<Record>,
    /// Number of the log's last record.
    pub head: Sequence,
}

/// Adds items to a log, all or none.
///
/// When the log's head is not `expected`, nothing is added and the answer is 409
/// `sequence_conflict`. A writer that lost the answer to an append reads from `expected + 1` and
/// finds its own items there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Append {
    /// Protocol version of the sender.
    pub protocol: u32,
    /// The turn that the items belong to.
    pub turn: TurnId,
    /// The log's head as the writer knows it.
    pub expected: Sequence,
    /// The items, in order; at least one.
    pub items: Vec<Item>,
}
