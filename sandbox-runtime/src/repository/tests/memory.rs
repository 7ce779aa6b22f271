//! A store in memory that counts, waits and fails as it is told.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use protocol::workspace::{FileKind, ListedFile};

use crate::repository::store::{Place, Store, StoreError};

#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    files: HashMap<Place, Bytes>,
    fail_change_in: Option<usize>,
    fails_once: bool,
    latency: Duration,
    requests: usize,
    written: usize,
}

impl Inner {
    fn change(&mut self) -> Result<(), StoreError> {
        match &mut self.fail_change_in {
            Some(0) => {
                if self.fails_once {
                    self.fail_change_in = None;
                }
                return Err(StoreError::Silent("no answer".into()));
            }
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(())
    }
}

impl Memory {
    /// So many writes and removals succeed from now on; every later one fails.
    pub(crate) fn fail_change_in(&self, changes: Option<usize>) {
        let mut inner = self.0.lock().unwrap();
        (inner.fail_change_in, inner.fails_once) = (changes, false);
    }

    /// So many writes and removals succeed from now on, the next one fails, and later ones succeed.
    pub(crate) fn fail_one_change_in(&self, changes: usize) {
        let mut inner = self.0.lock().unwrap();
        (inner.fail_change_in, inner.fails_once) = (Some(changes), true);
    }

    pub(crate) fn set_latency(&self, latency: Duration) {
        self.0.lock().unwrap().latency = latency;
    }

    /// Requests and bytes written since the last time.
    pub(crate) fn take_counts(&self) -> (usize, usize) {
        let mut inner = self.0.lock().unwrap();
        (std::mem::take(&mut inner.requests), std::mem::take(&mut inner.written))
    }

    pub(crate) fn places(&self, kind: FileKind) -> Vec<Place> {
        let inner = self.0.lock().unwrap();
        let of_kind = |place: &&Place| matches!(place, Place::File(its, _) if *its == kind);
        let mut places: Vec<Place> = inner.files.keys().filter(of_kind).cloned().collect();
        places.sort_by_key(|place| format!("{place:?}"));
        places
    }

    /// Changes a file behind everybody's back; `None` removes it.
    pub(crate) fn tamper(&self, place: &Place, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
        let mut inner = self.0.lock().unwrap();
        let content = inner.files.remove(place).unwrap();
        if let Some(changed) = change(content.to_vec()) {
            inner.files.insert(place.clone(), changed.into());
        }
    }

    fn ask<T>(
        &self,
        answer: impl FnOnce(&mut Inner) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let latency = {
            let mut inner = self.0.lock().unwrap();
            inner.requests += 1;
            inner.latency
        };
        // What is measured here is waiting, so this store waits as a far one would.
        std::thread::sleep(latency);
        answer(&mut self.0.lock().unwrap())
    }
}

impl Store for Memory {
    fn list(&self, kind: FileKind) -> Result<Vec<ListedFile>, StoreError> {
        self.ask(|inner| {
            let listed = inner.files.iter().filter_map(|(place, content)| match place {
                Place::File(its, name) if *its == kind => {
                    Some(ListedFile { name: name.clone(), size: content.len() as u64 })
                }
                _ => None,
            });
            Ok(listed.collect())
        })
    }

    fn read(&self, place: &Place) -> Result<Bytes, StoreError> {
        self.ask(|inner| inner.files.get(place).cloned().ok_or(StoreError::NotFound))
    }

    fn read_range(&self, place: &Place, offset: u64, length: u64) -> Result<Bytes, StoreError> {
        self.ask(|inner| {
            let content = inner.files.get(place).ok_or(StoreError::NotFound)?;
            let start = usize::try_from(offset).unwrap();
            let end = start + usize::try_from(length).unwrap();
            let short = || StoreError::Wrong("the file is shorter than it should be".into());
            if end <= content.len() { Ok(content.slice(start..end)) } else { Err(short()) }
        })
    }

    fn write(&self, place: &Place, content: Bytes) -> Result<(), StoreError> {
        self.ask(|inner| {
            inner.change()?;
            inner.written += content.len();
            inner.files.insert(place.clone(), content);
            Ok(())
        })
    }

    fn remove(&self, place: &Place) -> Result<(), StoreError> {
        self.ask(|inner| {
            inner.change()?;
            inner.files.remove(place);
            Ok(())
        })
    }
}
