//! The agent that runs in the container: the loop, its tools and the server in front of them.
//!
//! Invariants: the process holds no secret; whatever is finished is in the session log at the edge
//! before the next effect, so that the process may be killed at any instant.

#![forbid(unsafe_code)]

pub mod boot;
pub mod context;
pub mod edge;
pub mod egress;
pub mod keeper;
pub mod last_words;
pub mod limits;
pub mod process;
pub mod repository;
pub mod server;
pub mod settings;
pub mod shutdown;
pub mod tools;
pub mod turn;
pub mod workspace;

use protocol::problem::chain;
