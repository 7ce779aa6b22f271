//! Worker → agent object: the routes of the Durable Object's own `fetch`.
//!
//! Only the Worker can reach them. What the Worker has established about the caller travels in
//! headers that it sets itself ([`EPOCH_HEADER`]); it never forwards such a header from outside.

use crate::edge::EdgeRoute;
use crate::route::{Method, segments};

/// Header: the epoch of the container that asks, from the interception's properties.
pub const EPOCH_HEADER: &str = "x-pagurus-epoch";

/// Header: the agent's id, since an object is not told the name it was looked up by.
pub const AGENT_HEADER: &str = "x-pagurus-agent";

/// One route of the agent object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectRoute {
    /// Open the web chat's socket.
    ChatSocket,
    /// May the container of this epoch call a model? 204 when it may.
    ModelGrant,
    /// A session service on behalf of a container; never [`EdgeRoute::Model`].
    Session(EdgeRoute),
}

impl ObjectRoute {
    /// The method of the route.
    pub fn method(&self) -> Method {
        match self {
            Self::ChatSocket => Method::Get,
            Self::ModelGrant => Method::Post,
            Self::Session(route) => route.method(),
        }
    }

    /// Path and query.
    pub fn path(&self) -> String {
        match self {
            Self::ChatSocket => "/chat/socket".into(),
            Self::ModelGrant => "/model/grant".into(),
            Self::Session(route) => route.path(),
        }
    }

    /// The route that a method, path and query name.
    pub fn parse(method: &str, path: &str, query: &str) -> Option<Self> {
        let route = match segments(path)?.as_slice() {
            ["chat", "socket"] => Self::ChatSocket,
            ["model", "grant"] => Self::ModelGrant,
            ["session", ..] => Self::Session(EdgeRoute::parse(method, path, query)?),
            _ => return None,
        };
        (route.method().as_str() == method).then_some(route)
    }
}
