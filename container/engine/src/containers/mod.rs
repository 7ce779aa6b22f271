//! The containers: which there are, and what creating, starting, signalling, waiting for and
//! removing them does.
//!
//! *Invariant:* a name is in the registry from `create` until its process is reaped and its folder
//! taken away; every change of a container's status goes through its watch channel, so no waiter
//! polls.

pub mod filter;
mod orphans;
pub mod phase;
mod refusal;
mod registry;
mod run;
pub mod spec;

pub use refusal::Refusal;
pub use registry::{Container, Engine, EngineSettings, StartOutcome};
pub use spec::Name;
