//! The system tests: the real Worker in workerd, the real runtime, a browser where there is one,
//! each through the door that a user has.
//!
//! Invariant: without `SYSTEM=1` nothing is started and each test says that it was skipped. A test
//! starts as few stacks as it can and runs its scenarios one after the other on them, each in a
//! session of its own.

#![cfg(test)]

mod archive;
mod canaries;
mod container_view;
mod conversations;
mod deaths;
mod door;
mod doubles;
mod egress;
mod failures;
mod faults;
mod gate;
mod gateway;
mod keeping;
mod money;
mod newcomer;
mod outbox;
mod page;
mod scenarios;
mod schedule;
