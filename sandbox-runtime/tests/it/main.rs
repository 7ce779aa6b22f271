//! The real binary against a fake edge: the session log in memory, scripted models, faults.
//!
//! No network but loopback, free ports only, no sleeps: what must be waited for announces itself.

#![cfg(test)]

mod answers;
mod cancel;
mod conversation;
mod failures;
mod fake_edge;
mod fake_store;
mod files;
mod keeping;
mod log;
mod program;
mod resume;
mod retries;
mod server;
mod steering;
mod tools;
mod world;
