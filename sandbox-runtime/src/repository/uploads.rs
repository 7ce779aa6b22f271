//! Packs on their way to the store, beside each other and beside the work that makes more of them.
//!
//! Invariants: [`Uploads::settle`] gives no success before every pack that was begun is at the store,
//! so whoever writes a file that names packs settles first; after a pack has failed nothing
//! succeeds until somebody was told; so many packs at most are on their way, which bounds the
//! memory.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::store::{Place, Store, StoreError};
use crate::limits::STORE_UPLOADS_MAX;

/// The packs on their way.
#[derive(Debug, Default)]
pub(super) struct Uploads(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    failed: Option<StoreError>,
}

impl Shared {
    /// No code that can panic runs under this lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for(&self, is_so: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let state = self.lock();
        let waited = self.changed.wait_while(state, |state| !is_so(state));
        waited.unwrap_or_else(PoisonError::into_inner)
    }
}

/// An upload that runs: counted out when this goes, however that comes about.
struct Running {
    shared: Arc<Shared>,
    result: Result<(), StoreError>,
}

impl Running {
    fn end(mut self, result: Result<(), StoreError>) {
        self.result = result;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let result = std::mem::replace(&mut self.result, Ok(()));
        let mut state = self.shared.lock();
        state.running -= 1;
        if let Err(error) = result {
            state.failed.get_or_insert(error);
        }
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl Uploads {
    /// Begins to write a pack, when there is room for it. The failure of an earlier one is given
    /// here, and stays until [`Self::settle`].
    pub(super) fn begin(
        &self,
        store: &Arc<dyn Store>,
        place: Place,
        content: Bytes,
    ) -> Result<(), StoreError> {
        let mut state = self.0.wait_for(|state| state.running < STORE_UPLOADS_MAX);
        if let Some(error) = &state.failed {
            return Err(error.clone());
        }
        state.running += 1;
        drop(state);
        let broke_down = StoreError::Silent("the upload broke down".into());
        let running = Running { shared: Arc::clone(&self.0), result: Err(broke_down) };
        let store = Arc::clone(store);
        let upload = move || running.end(store.write(&place, content));
        let spawned = std::thread::Builder::new().name("upload".into()).spawn(upload);
        // A thread that was not made drops what it was to run, and that counts it out.
        spawned.map(drop).map_err(|error| StoreError::Silent(error.to_string()))
    }

    /// Waits until nothing is on its way, and gives the first failure since the last time.
    pub(super) fn settle(&self) -> Result<(), StoreError> {
        self.0.wait_for(|state| state.running == 0).failed.take().map_or(Ok(()), Err)
    }
}
