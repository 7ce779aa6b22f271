//! Child processes: those that run to their end, and those that stay.
//!
//! Invariant: a child's failure carries the end of its output.

mod crew;
mod log;
mod run;
#[cfg(test)]
mod tests;

pub(crate) use crew::{ChildEvent, Crew};
pub(crate) use log::tail_of;
pub(crate) use run::{answer, run_logged};
