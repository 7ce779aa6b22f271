//! What was read from the store or written to it and may be needed again.
//!
//! Invariants: only files that never change and parts of them are in it; it is bounded, and the
//! oldest go first. What a restore has staged is outside that bound and is taken out by it.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use super::store::Place;
use crate::limits::STORE_CACHE_BYTES_MAX;

/// A part of a file: all of it when there is no range.
pub(super) type Part = (Place, Option<(u32, u32)>);

#[derive(Default)]
pub(super) struct Cache {
    parts: HashMap<Part, Bytes>,
    oldest_first: VecDeque<Part>,
    bytes: usize,
    /// Parts that a restore has fetched and will need in a moment. Taken out by whoever put them in.
    staged: HashMap<Part, Bytes>,
}

impl Cache {
    pub(super) fn get(&self, part: &Part) -> Option<Bytes> {
        let found = self.staged.get(part).or_else(|| self.parts.get(part)).cloned();
        found.or_else(|| self.slice(part))
    }

    /// A range of a file that is here as a whole.
    fn slice(&self, (place, range): &Part) -> Option<Bytes> {
        let (offset, length) = (*range)?;
        let whole = self.parts.get(&(place.clone(), None))?;
        let (start, end) = (offset as usize, offset as usize + length as usize);
        (end <= whole.len()).then(|| whole.slice(start..end))
    }

    pub(super) fn put(&mut self, part: Part, bytes: Bytes) {
        self.bytes += bytes.len();
        match self.parts.insert(part.clone(), bytes) {
            Some(before) => self.bytes -= before.len(),
            None => self.oldest_first.push_back(part),
        }
        while self.bytes > STORE_CACHE_BYTES_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.bytes -= self.parts.remove(&oldest).map_or(0, |bytes| bytes.len());
        }
    }

    pub(super) fn stage(&mut self, part: Part, bytes: Bytes) {
        self.staged.insert(part, bytes);
    }

    pub(super) fn unstage(&mut self, part: &Part) {
        self.staged.remove(part);
    }
}
