//! What crosses a wire between Pagurus' own parts: identities, records, events, routes, problems.
//!
//! Invariants: no I/O, no clock, no randomness, no platform type, so the crate builds for wasm and
//! native alike. Every path of an internal surface is written here and nowhere else; both ends
//! call the same `path` and `parse`. Persisted and wire types change only by the steps in
//! [`version`].

#![forbid(unsafe_code)]

pub mod chat;
pub mod edge;
pub mod egress;
pub mod ids;
pub mod limits;
pub mod object;
pub mod problem;
mod route;
pub mod runtime;
pub mod session;
pub mod turn;
pub mod version;
pub mod workspace;

pub use ids::{AgentId, CallId, Epoch, SessionId, TurnId};
pub use problem::{Problem, ProblemCode};
pub use route::Method;
pub use session::{Item, Record, Sequence};
