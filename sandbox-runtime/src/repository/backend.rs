//! The store as `rustic_core` uses it, with a small cache.
//!
//! Invariants: nothing that names a pack is written, and nothing is removed, before every pack that
//! was written is at the store; what the store said last of a failure is kept, since the library
//! turns errors into text.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use protocol::workspace::{FileKind, FileName, FileNameError, ListedFile};
use rustic_core::{
    BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend,
};

use super::RepositoryError;
use super::cache::{Cache, Part};
use super::store::{Place, Store, StoreError};
use super::uploads::Uploads;
use crate::limits::STORE_READ_AHEAD_THREADS;

/// The store behind `rustic_core`.
pub(super) struct Backend {
    store: Arc<dyn Store>,
    cache: Mutex<Cache>,
    failure: Mutex<Option<StoreError>>,
    uploads: Uploads,
    /// A listing of the index that is minutes old at most: for the one who asks next.
    index_listing: Mutex<Option<Vec<ListedFile>>>,
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Backend")
    }
}

impl Backend {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            cache: Mutex::default(),
            failure: Mutex::default(),
            uploads: Uploads::default(),
            index_listing: Mutex::default(),
        }
    }

    /// Fails when there is no configuration, and so no repository.
    pub(super) fn require_config(&self) -> Result<(), RepositoryError> {
        match self.read_whole(&Place::Config, true) {
            Ok(_) => Ok(()),
            Err(StoreError::NotFound) => Err(RepositoryError::Missing),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what a broken-off creation of a repository left behind.
    pub(super) fn discard_stray_keys(&self) -> Result<(), RepositoryError> {
        for file in self.store.list(FileKind::Keys)? {
            self.store.remove(&Place::File(FileKind::Keys, file.name))?;
        }
        Ok(())
    }

    /// Reads these files and the whole index into the cache, beside each other, for the library reads
    /// them one after the other. What fails is left to whoever needs it.
    pub(super) fn preload(&self, places: &[Place]) {
        std::thread::scope(|scope| {
            for place in places {
                scope.spawn(move || self.read_ahead(place));
            }
            self.preload_index();
        });
    }

    fn preload_index(&self) {
        let listed = match self.store.list(FileKind::Index) {
            Ok(listed) => listed,
            Err(error) => {
                tracing::debug!(%error, "the index could not be listed ahead");
                return;
            }
        };
        let place = |file: &ListedFile| Place::File(FileKind::Index, file.name.clone());
        let places: Vec<Place> = listed.iter().map(place).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(place) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.read_ahead(place);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..places.len().min(STORE_READ_AHEAD_THREADS) {
                scope.spawn(work);
            }
        });
        *self.index_listing.lock().unwrap_or_else(PoisonError::into_inner) = Some(listed);
    }

    fn list(&self, kind: FileKind) -> Result<Vec<ListedFile>, StoreError> {
        if kind == FileKind::Index {
            let ahead = self.index_listing.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(listed) = ahead {
                return Ok(listed);
            }
        }
        self.store.list(kind)
    }

    /// Waits for what is still on its way after an operation, whatever came of that.
    pub(super) fn settle(&self) -> Result<(), RepositoryError> {
        Ok(self.uploads.settle()?)
    }

    fn read_ahead(&self, place: &Place) {
        if let Err(error) = self.read_whole(place, true) {
            tracing::debug!(%error, ?place, "a file could not be read ahead");
        }
    }

    fn read_whole(&self, place: &Place, cacheable: bool) -> Result<Bytes, StoreError> {
        let part = (place.clone(), None);
        if let Some(bytes) = self.lock().get(&part) {
            return Ok(bytes);
        }
        let bytes = self.store.read(place)?;
        if cacheable {
            self.lock().put(part, bytes.clone());
        }
        Ok(bytes)
    }

    /// A range of a pack, straight from the store.
    pub(super) fn fetch(
        &self,
        pack: &FileName,
        offset: u32,
        length: u32,
    ) -> Result<Bytes, StoreError> {
        let place = Place::File(FileKind::Data, pack.clone());
        self.store.read_range(&place, offset.into(), length.into())
    }

    /// Whether this part needs no request.
    pub(super) fn has(&self, pack: &FileName, offset: u32, length: u32) -> bool {
        self.lock().get(&blob_part(pack, offset, length)).is_some()
    }

    /// Keeps a blob that was fetched with others, as long as the cache has room.
    pub(super) fn keep(&self, pack: &FileName, offset: u32, length: u32, bytes: Bytes) {
        self.lock().put(blob_part(pack, offset, length), bytes);
    }

    /// Holds a blob until it is taken out again.
    pub(super) fn stage(&self, pack: &FileName, offset: u32, length: u32, bytes: Bytes) {
        self.lock().stage(blob_part(pack, offset, length), bytes);
    }

    /// Takes a staged blob out.
    pub(super) fn unstage(&self, pack: &FileName, offset: u32, length: u32) {
        self.lock().unstage(&blob_part(pack, offset, length));
    }

    /// The error behind one of the library's: the store's own where there is one.
    pub(super) fn blame(&self, what: &str, error: Box<RusticError>) -> RepositoryError {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        match failure {
            Some(failure) => RepositoryError::Store(failure),
            None => RepositoryError::Damaged { what: what.to_owned(), source: error },
        }
    }

    /// The error behind a failed opening: a key that does not fit, unless the store failed.
    pub(super) fn blame_opening(&self, error: Box<RusticError>) -> RepositoryError {
        match self.blame("the configuration", error) {
            RepositoryError::Damaged { source, .. } => {
                tracing::error!(error = source.display_log(), "the repository does not open");
                RepositoryError::Foreign
            }
            other => other,
        }
    }

    /// No code that can panic runs under this lock.
    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, doing: &str, error: StoreError) -> Box<RusticError> {
        let wrapped = RusticError::with_source(ErrorKind::Backend, doing, error.clone());
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        wrapped
    }
}

fn blob_part(pack: &FileName, offset: u32, length: u32) -> Part {
    (Place::File(FileKind::Data, pack.clone()), Some((offset, length)))
}

fn kind(kind: FileType) -> Option<FileKind> {
    Some(match kind {
        FileType::Config => return None,
        FileType::Index => FileKind::Index,
        FileType::Key => FileKind::Keys,
        FileType::Snapshot => FileKind::Snapshots,
        FileType::Pack => FileKind::Data,
    })
}

/// The file that the library means. It names each by 32 bytes, so the text always fits.
fn place(file_type: FileType, id: &Id) -> Result<Place, StoreError> {
    let Some(kind) = kind(file_type) else { return Ok(Place::Config) };
    let name = id.to_hex().as_str().parse();
    name.map(|name| Place::File(kind, name))
        .map_err(|error: FileNameError| StoreError::Wrong(error.to_string()))
}

fn id(name: &FileName) -> Result<Id, StoreError> {
    name.as_str().parse().map_err(|error: Box<RusticError>| StoreError::Wrong(error.display_log()))
}

fn joined(content: &BytesList) -> Bytes {
    if let [one] = content.slice() {
        return one.clone();
    }
    let mut whole = BytesMut::with_capacity(content.size());
    for part in content.slice() {
        whole.extend_from_slice(part);
    }
    whole.freeze()
}

impl ReadBackend for Backend {
    fn location(&self) -> String {
        "workspace".to_owned()
    }

    fn list_with_size(&self, file_type: FileType) -> RusticResult<Vec<(Id, u32)>> {
        let listed = match kind(file_type) {
            None => match self.read_whole(&Place::Config, true) {
                Ok(bytes) => Ok(vec![(Id::default(), u32::try_from(bytes.len()).unwrap_or(0))]),
                Err(StoreError::NotFound) => Ok(Vec::new()),
                Err(error) => Err(error),
            },
            Some(kind) => self.list(kind).and_then(|files| {
                let sized = |size: u64| u32::try_from(size).unwrap_or(u32::MAX);
                files.iter().map(|file| Ok((id(&file.name)?, sized(file.size)))).collect()
            }),
        };
        listed.map_err(|error| self.failed("Listing files failed.", error))
    }

    fn read_full(&self, file_type: FileType, id: &Id) -> RusticResult<Bytes> {
        let cacheable = file_type != FileType::Pack;
        place(file_type, id)
            .and_then(|place| self.read_whole(&place, cacheable))
            .map_err(|error| self.failed("Reading a file failed.", error))
    }

    fn read_partial(
        &self,
        file_type: FileType,
        id: &Id,
        cacheable: bool,
        offset: u32,
        length: u32,
    ) -> RusticResult<Bytes> {
        let read = place(file_type, id).and_then(|place| {
            let part = (place, Some((offset, length)));
            if let Some(bytes) = self.lock().get(&part) {
                return Ok(bytes);
            }
            let bytes = self.store.read_range(&part.0, offset.into(), length.into())?;
            if cacheable {
                self.lock().put(part, bytes.clone());
            }
            Ok(bytes)
        });
        read.map_err(|error| self.failed("Reading a part of a file failed.", error))
    }

    fn warmup_path(&self, _: FileType, id: &Id) -> String {
        id.to_hex().as_str().to_owned()
    }
}

impl WriteBackend for Backend {
    fn write_bytes(
        &self,
        file_type: FileType,
        id: &Id,
        cacheable: bool,
        content: BytesList,
    ) -> RusticResult<()> {
        let bytes = joined(&content);
        // The library does not think that an index or a snapshot is read again; the next save does.
        let is_kept = cacheable || matches!(file_type, FileType::Index | FileType::Snapshot);
        let written = place(file_type, id).and_then(|place| {
            if file_type == FileType::Pack {
                self.uploads.begin(&self.store, place.clone(), bytes.clone())?;
            } else {
                self.uploads.settle()?;
                self.store.write(&place, bytes.clone())?;
            }
            if is_kept {
                self.lock().put((place, None), bytes);
            }
            Ok(())
        });
        written.map_err(|error| self.failed("Writing a file failed.", error))
    }

    fn remove(&self, file_type: FileType, id: &Id, _: bool) -> RusticResult<()> {
        let settled = self.uploads.settle();
        settled
            .and_then(|()| place(file_type, id))
            .and_then(|place| self.store.remove(&place))
            .map_err(|error| self.failed("Removing a file failed.", error))
    }
}
