//! What the system tests and the bench share: the whole stack as a user starts it, a browser's side
//! of the chat socket, and a model that follows a script.
//!
//! Invariant: everything listens on loopback ports that the system chose, and ends with the value
//! that started it.

pub mod bucket;
pub mod chat;
pub mod double;
pub mod faults;
pub mod hook;
pub mod http;
pub mod limits;
pub mod model;
pub mod paths;
pub mod process;
pub mod restic;
pub mod service;
pub mod stack;
pub mod wait;
