//! Counts what a store is asked, and takes time and memory of what is measured.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use bytes::Bytes;
use protocol::workspace::{FileKind, ListedFile};
use sandbox_runtime::repository::store::{EdgeStore, Place, Store, StoreError};

/// A store that counts.
#[derive(Debug)]
pub(crate) struct Counted {
    inner: EdgeStore,
    requests: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Counted {
    pub(crate) fn new(inner: EdgeStore) -> Self {
        let (requests, sent) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { inner, requests, sent, received: AtomicU64::new(0) }
    }

    fn asked(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    fn received(&self, bytes: Bytes) -> Bytes {
        self.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        bytes
    }
}

impl Store for Counted {
    fn list(&self, kind: FileKind) -> Result<Vec<ListedFile>, StoreError> {
        self.asked();
        self.inner.list(kind)
    }

    fn read(&self, place: &Place) -> Result<Bytes, StoreError> {
        self.asked();
        self.inner.read(place).map(|bytes| self.received(bytes))
    }

    fn read_range(&self, place: &Place, offset: u64, length: u64) -> Result<Bytes, StoreError> {
        self.asked();
        self.inner.read_range(place, offset, length).map(|bytes| self.received(bytes))
    }

    fn write(&self, place: &Place, content: Bytes) -> Result<(), StoreError> {
        self.asked();
        self.sent.fetch_add(content.len() as u64, Ordering::Relaxed);
        self.inner.write(place, content)
    }

    fn remove(&self, place: &Place) -> Result<(), StoreError> {
        self.asked();
        self.inner.remove(place)
    }
}

/// Takes the figures.
#[derive(Debug)]
pub(crate) struct Gauge<'a> {
    store: &'a Arc<Counted>,
}

impl<'a> Gauge<'a> {
    pub(crate) fn new(store: &'a Arc<Counted>) -> Self {
        println!(
            "{:<38} {:>8} {:>8} {:>9} {:>9}   RSS MB before/peak/after",
            "operation", "ms", "requests", "KB sent", "KB got"
        );
        Self { store }
    }

    /// Does it, and prints a line.
    pub(crate) fn measure<T>(&self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        for count in [&self.store.requests, &self.store.sent, &self.store.received] {
            take(count);
        }
        // 5 sets the peak to what is used now.
        fs::write("/proc/self/clear_refs", "5")?;
        let before = memory_mb("VmRSS:")?;
        let began = Instant::now();
        let result = work().with_context(|| name.to_owned())?;
        let ms = began.elapsed().as_millis();
        let (requests, sent) = (take(&self.store.requests), take(&self.store.sent) / 1_000);
        let received = take(&self.store.received) / 1_000;
        let (peak, after) = (memory_mb("VmHWM:")?, memory_mb("VmRSS:")?);
        println!(
            "{name:<38} {ms:>8} {requests:>8} {sent:>9} {received:>9}   \
             {before:.1}/{peak:.1}/{after:.1}"
        );
        Ok(result)
    }
}

fn memory_mb(field: &str) -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    let kilobytes: f64 = kilobytes.context("the kernel tells no such figure")?.parse()?;
    Ok(kilobytes / 1_024.0)
}
