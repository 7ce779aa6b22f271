//! The agent object's books in SQLite. The only room that writes SQL.
//!
//! Invariants: a log grows only here, in one transaction with whatever must be true at the same
//! instant (a message leaves the inbox as it enters the log; a turn ends as its `TurnEnded` is
//! written); nothing here waits.

pub(crate) mod chores;
pub(crate) mod control;
pub(crate) mod egress;
pub(crate) mod identity;
pub(crate) mod inbox;
pub(crate) mod jobs;
pub(crate) mod ledger;
pub(crate) mod lifecycle;
pub(crate) mod log;
pub(crate) mod outbox;
pub(crate) mod schema;
pub(crate) mod segments;
pub(crate) mod turns;
pub(crate) mod workspace;

#[cfg(test)]
mod archive_tests;
#[cfg(test)]
mod jobs_tests;
#[cfg(test)]
mod ledger_tests;
#[cfg(test)]
pub(crate) mod memory;
#[cfg(test)]
mod outbox_tests;
#[cfg(test)]
mod tests;
