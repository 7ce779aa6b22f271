//! What a snapshot holds: its folders are read level by level, each level in few requests.
//!
//! Invariant: a path that comes out of here has only plain names, so it stays below whatever it is
//! joined to.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use protocol::workspace::{FileName, FileNameError};
use rustic_core::repofile::{BlobType, Node};
use rustic_core::{DataId, TreeId};

use super::store::StoreError;
use super::{IndexedFull, Repository, RepositoryError, Result, SAVED_AS};
use crate::limits::{RESTORE_FETCH_BYTES_MAX, RESTORE_GAP_BYTES_MAX, RESTORE_THREADS};

/// Where a blob is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Blob {
    pub(super) pack: FileName,
    pub(super) offset: u32,
    pub(super) length: u32,
    /// Bytes of what is in it.
    pub(super) content_bytes: u32,
}

/// A stretch of a pack that is fetched in one request, and the blobs in it.
#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) pack: FileName,
    pub(super) offset: u32,
    pub(super) length: u32,
    pub(super) blobs: Vec<Blob>,
}

/// The stretches that hold these blobs, in order, each of a bounded length. Pure.
pub(super) fn stretches(mut blobs: Vec<Blob>) -> Vec<Stretch> {
    blobs.sort_unstable();
    blobs.dedup();
    let mut stretches: Vec<Stretch> = Vec::new();
    for blob in blobs {
        let end = blob.offset.saturating_add(blob.length);
        match stretches.last_mut() {
            Some(last)
                if last.pack == blob.pack
                    && blob.offset <= last.offset + last.length + RESTORE_GAP_BYTES_MAX
                    && end - last.offset <= RESTORE_FETCH_BYTES_MAX =>
            {
                last.length = last.length.max(end - last.offset);
                last.blobs.push(blob);
            }
            _ => stretches.push(Stretch {
                pack: blob.pack.clone(),
                offset: blob.offset,
                length: blob.length,
                blobs: vec![blob],
            }),
        }
    }
    stretches
}

impl Repository {
    /// Everything below a folder, parents before children: paths from there and what is at them.
    pub(super) fn walk(&self, indexed: &IndexedFull, root: TreeId) -> Result<Vec<(PathBuf, Node)>> {
        let mut found = Vec::new();
        let mut level = vec![(PathBuf::new(), root)];
        while !level.is_empty() {
            self.read_trees_ahead(indexed, level.iter().map(|(_, id)| *id))?;
            let mut below = Vec::new();
            for (folder, id) in level {
                let nodes = self.tree(indexed, id)?;
                require_one_of_each_name(&nodes)?;
                for node in nodes {
                    let path = folder.join(plain_name(&node)?);
                    let subtree = node.subtree.filter(|_| node.is_dir());
                    below.extend(subtree.map(|subtree| (path.clone(), subtree)));
                    found.push((path, node));
                }
            }
            level = below;
        }
        Ok(found)
    }

    /// The folder that stands for the workspace in a snapshot.
    pub(super) fn workspace_tree(&self, indexed: &IndexedFull, name: &FileName) -> Result<TreeId> {
        let root = self.snapshot(indexed, name)?.tree;
        let folder = self.find(indexed, root, Path::new(SAVED_AS))?;
        folder
            .and_then(|folder| folder.subtree)
            .ok_or_else(|| RepositoryError::NotOurs(name.clone()))
    }

    /// What is at a path, if anything.
    pub(super) fn find(
        &self,
        indexed: &IndexedFull,
        root: TreeId,
        path: &Path,
    ) -> Result<Option<Node>> {
        let mut folder = Some(root);
        let mut found = None;
        for part in path.components() {
            let (Component::Normal(name), Some(id)) = (part, folder) else { return Ok(None) };
            let named = |node: &Node| node.name() == name;
            found = self.tree(indexed, id)?.into_iter().find(named);
            folder = found.as_ref().and_then(|node| node.subtree);
            if found.is_none() {
                return Ok(None);
            }
        }
        Ok(found)
    }

    fn tree(&self, indexed: &IndexedFull, id: TreeId) -> Result<Vec<Node>> {
        let tree = indexed.get_tree(&id);
        Ok(tree.map_err(|error| self.backend.blame(&format!("folder {id}"), error))?.nodes)
    }

    fn read_trees_ahead(
        &self,
        indexed: &IndexedFull,
        ids: impl Iterator<Item = TreeId>,
    ) -> Result<()> {
        let mut missing = Vec::new();
        for id in ids {
            let blob = self.locate(indexed, &id, &id.to_string())?;
            if !self.backend.has(&blob.pack, blob.offset, blob.length) {
                missing.push(blob);
            }
        }
        let backend = &self.backend;
        in_parallel(stretches(missing), |stretch| {
            let bytes = backend.fetch(&stretch.pack, stretch.offset, stretch.length)?;
            for blob in &stretch.blobs {
                let start = (blob.offset - stretch.offset) as usize;
                let part = bytes.slice(start..start + blob.length as usize);
                backend.keep(&blob.pack, blob.offset, blob.length, part);
            }
            Ok(())
        })
    }

    /// Where a file's blobs are, in order. The node gets the size of what they hold: it was given one
    /// before the file was read, and the file may have grown or shrunk meanwhile.
    pub(super) fn blobs_of(
        &self,
        indexed: &IndexedFull,
        node: &mut Node,
    ) -> Result<Vec<(DataId, Blob)>> {
        let ids = node.content.iter().flatten();
        let blobs: Vec<_> = ids
            .map(|id| Ok((*id, self.locate(indexed, id, &id.to_string())?)))
            .collect::<Result<_>>()?;
        node.meta.size = blobs.iter().map(|(_, blob)| u64::from(blob.content_bytes)).sum();
        Ok(blobs)
    }

    fn locate<I: rustic_core::PackedId>(
        &self,
        indexed: &IndexedFull,
        id: &I,
        name: &str,
    ) -> Result<Blob> {
        let entry = indexed
            .get_index_entry(id)
            .map_err(|error| self.backend.blame(&format!("blob {name}"), error))?;
        let pack = entry.pack.to_hex();
        let pack = pack
            .as_str()
            .parse()
            .map_err(|error: FileNameError| StoreError::Wrong(error.to_string()))?;
        let (offset, length) = (entry.location.offset, entry.location.length);
        Ok(Blob { pack, offset, length, content_bytes: entry.data_length() })
    }

    /// A blob of data, decrypted and compared with its name.
    pub(super) fn blob(&self, indexed: &IndexedFull, id: DataId) -> Result<bytes::Bytes> {
        // Not by the library's cache of 32 MB: what is fetched ahead is at hand, and used once.
        let bytes = indexed
            .cat_blob(BlobType::Data, &id.to_hex())
            .map_err(|error| self.backend.blame(&format!("blob {id}"), error))?;
        let is_it = id.blob_matches_reader(bytes.len() as u64, &mut &bytes[..]);
        if is_it { Ok(bytes) } else { Err(RepositoryError::WrongContent(id.to_string())) }
    }
}

/// Does `work` on each item, on several threads; the first failure ends it.
pub(super) fn in_parallel<T: Send>(
    items: Vec<T>,
    work: impl Fn(T) -> Result<()> + Sync,
) -> Result<()> {
    let queue = std::sync::Mutex::new(items.into_iter());
    let next = || queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
    let failed = std::sync::atomic::AtomicBool::new(false);
    let worker = || {
        while !failed.load(std::sync::atomic::Ordering::Relaxed)
            && let Some(item) = next()
        {
            work(item).inspect_err(|_| failed.store(true, std::sync::atomic::Ordering::Relaxed))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..RESTORE_THREADS).map(|_| scope.spawn(worker)).collect();
        let results = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| {
                tracing::error!("a thread of a restore broke down");
                Err(RepositoryError::Cancelled)
            })
        });
        // All of them are joined before the first failure is given.
        results.fold(Ok(()), Result::and)
    })
}

/// A node's name, when it is one.
fn plain_name(node: &Node) -> Result<PathBuf> {
    let name = PathBuf::from(&*node.name());
    let mut parts = name.components();
    let is_plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None)
        if part == name.as_os_str() && !has_nul(part));
    if is_plain { Ok(name) } else { Err(RepositoryError::UnsafeName(name.display().to_string())) }
}

/// With two entries of one name, a folder could be made and then be a link to somewhere else.
fn require_one_of_each_name(nodes: &[Node]) -> Result<()> {
    let mut names = HashSet::with_capacity(nodes.len());
    match nodes.iter().map(Node::name).find(|name| !names.insert(name.clone())) {
        Some(name) => Err(RepositoryError::UnsafeName(name.to_string_lossy().into_owned())),
        None => Ok(()),
    }
}

fn has_nul(name: &OsStr) -> bool {
    name.as_encoded_bytes().contains(&0)
}

/// Items grouped in the order of where their first blob is, each group of about `bytes_max`.
pub(super) fn batches<T>(
    items: Vec<(Option<Blob>, u64, T)>,
    bytes_max: u64,
    count_max: usize,
) -> Vec<Vec<T>> {
    let mut ordered: BTreeMap<(Option<Blob>, usize), (u64, T)> = BTreeMap::new();
    for (n, (first, bytes, item)) in items.into_iter().enumerate() {
        ordered.insert((first, n), (bytes, item));
    }
    let mut batches: Vec<Vec<T>> = Vec::new();
    let mut room = 0;
    for (bytes, item) in ordered.into_values() {
        match batches.last_mut() {
            Some(last) if bytes <= room && last.len() < count_max => {
                last.push(item);
                room -= bytes;
            }
            _ => {
                batches.push(vec![item]);
                room = bytes_max.saturating_sub(bytes);
            }
        }
    }
    batches
}
