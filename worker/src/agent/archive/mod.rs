//! The bucket as the books' second home: session logs settle there, the control tables are copied
//! there, and an empty object is filled from there.
//!
//! Pure: `segment`, `control` (the two kinds of file), `adoption` (what a restore may take in).
//! Drivers: `settle`, `read`, `export`, `backup`, `rebuild`.
//!
//! Invariants: a turn never waits for the bucket; nothing in it is overwritten but the control
//! export of the same day, by a newer one; what does not read as it was written is refused by its
//! name.

pub(crate) mod adoption;
mod backup;
pub(crate) mod control;
mod export;
mod read;
mod rebuild;
pub(crate) mod segment;
pub(crate) mod settle;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use protocol::{Problem, SessionId};

use self::segment::Records;
use crate::platform::Env;
use crate::platform::bucket::Bucket;

/// What the object remembers of its archive between events.
#[derive(Debug)]
pub(super) struct Archive {
    bucket: Result<Bucket, Problem>,
    /// Sessions whose logs are to be looked at.
    to_settle: RefCell<BTreeSet<SessionId>>,
    is_settling: Cell<bool>,
    is_exporting: Cell<bool>,
    /// The segment that was read last: its name and its records.
    last_read: RefCell<Option<(String, Rc<Records>)>>,
    /// Why a chore of the archive does not get done.
    problems: RefCell<BTreeMap<&'static str, Problem>>,
}

impl Archive {
    /// The archive of the object in this environment.
    pub(super) fn of(env: &Env) -> Self {
        Self {
            bucket: Bucket::of(env),
            to_settle: RefCell::default(),
            is_settling: Cell::new(false),
            is_exporting: Cell::new(false),
            last_read: RefCell::default(),
            problems: RefCell::default(),
        }
    }

    /// What is wrong with it.
    pub(super) fn problems(&self) -> Vec<Problem> {
        self.problems.borrow().values().cloned().collect()
    }

    /// The bucket, or why there is none.
    pub(super) fn bucket(&self) -> Result<&Bucket, Problem> {
        self.bucket.as_ref().map_err(Problem::clone)
    }
}

/// When the alarm looks again at a chore that is being done: only if this object ends in the middle.
fn later_ms() -> u64 {
    crate::platform::clock::now_ms() + crate::limits::WATCHDOG_MS
}

/// When a chore that failed is tried again. Pure.
fn after_failure_ms(chore: super::store::chores::Chore) -> u64 {
    chore.at_ms + (crate::limits::CHORE_PAUSE_MS_FIRST << chore.failures.min(6))
}
