//! The agent object: one per agent. It decides and keeps the books; it never thinks.
//!
//! Pure: `ledger`, `lifecycle`, `live`, `lines`, `usage`. SQL: `store`. The bucket: `archive`. Drivers, which perform what the pure parts
//! decide: `wake` (the container), `drive` (turns), `chat` (sockets), `alarm`. `object` is the
//! door through which the platform calls.

mod accept;
mod alarm;
pub(crate) mod archive;
mod chat;
mod command;
mod commands;
mod core;
mod deliver;
mod drive;
mod egress;
mod follow;
mod harness;
pub(crate) mod ledger;
pub(crate) mod lifecycle;
mod lines;
mod live;
mod maintain;
mod object;
pub(crate) mod outbox;
mod restore;
pub(crate) mod schedule;
mod sessions;
mod sleep;
mod spending;
mod steer;
pub(crate) mod store;
mod usage;
mod wake;
mod workspace;

pub use object::Agent;
