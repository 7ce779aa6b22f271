//! The one room that speaks the Workers SDK: clock, identities, HTTP, SQL, sockets, container.
//!
//! Invariant: an SDK error becomes text or a `Problem` here; other rooms see neither a JavaScript
//! value nor an SDK type beyond those that this room re-exports.

pub(crate) mod bucket;
pub(crate) mod clock;
pub(crate) mod container;
pub(crate) mod faults;
pub(crate) mod http;
pub(crate) mod log;
pub(crate) mod loopback;
pub(crate) mod object;
pub(crate) mod relay;
pub(crate) mod sockets;
pub(crate) mod sql;

/// Handles that other rooms hand on and do not look into.
pub(crate) use worker::{Context, Env, State};
