//! A local stand-in for the Docker engine: it answers the part of the Docker API that workerd
//! calls and runs each "container" as a plain process on this machine.
//!
//! *Not here:* isolation. Processes run as the user who started the engine, with that user's
//! files and network, so it serves development and tests only.

pub mod api;
pub mod args;
pub mod containers;
pub mod docker_cli;
pub mod lifeline;
pub mod limits;
pub mod process;
pub mod server;
pub mod sidecar;
pub mod terminal;
