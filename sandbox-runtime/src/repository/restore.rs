//! Brings a snapshot back into a folder.
//!
//! Invariants: a file appears whole, by a rename; blobs that are together in the store are fetched
//! together; a restore that says it is done has looked at every file once more; nothing outside the
//! folder is written, whatever the snapshot or the folder holds.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use protocol::workspace::FileName;
use rustic_core::DataId;
use rustic_core::repofile::{Node, NodeType};

use super::tree::{Blob, batches, in_parallel, stretches};
use super::{IndexedFull, Repository, RepositoryError, Result};
use crate::limits::{RESTORE_BATCH_BYTES, RESTORE_BATCH_FILES};

/// How far a restore is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// Files that are in place.
    pub files: u64,
    /// Files in all.
    pub files_total: u64,
    /// Bytes that are in place.
    pub bytes: u64,
    /// Bytes in all.
    pub bytes_total: u64,
}

/// A file that is to be restored.
struct Planned {
    path: PathBuf,
    node: Node,
    blobs: Vec<(DataId, Blob)>,
}

/// Counts what is in place and tells.
struct Progress<'a> {
    files: AtomicU64,
    bytes: AtomicU64,
    total: Restored,
    tell: &'a (dyn Fn(Restored) + Sync),
    cancelled: &'a (dyn Fn() -> bool + Sync),
}

impl Progress<'_> {
    fn add(&self, files: u64, bytes: u64) -> Result<()> {
        let files = self.files.fetch_add(files, Ordering::Relaxed) + files;
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (self.tell)(Restored { files, bytes, ..self.total });
        if (self.cancelled)() { Err(RepositoryError::Cancelled) } else { Ok(()) }
    }
}

impl Repository {
    /// A few small files of a snapshot, by names at its top, without anything else.
    pub fn read_files(&self, name: &FileName, names: &[&str]) -> Result<Vec<(String, Vec<u8>)>> {
        let indexed = self.prepared(name)?;
        let root = self.workspace_tree(&indexed, name)?;
        let mut found = Vec::new();
        for file in names {
            let node = self.find(&indexed, root, Path::new(file))?;
            let Some(mut node) = node.filter(Node::is_file) else { continue };
            let blobs = self.blobs_of(&indexed, &mut node)?;
            found.push(((*file).to_owned(), blobs));
        }
        let all = found.iter().flat_map(|(_, blobs)| blobs);
        self.staged(all.map(|(_, blob)| blob.clone()).collect(), || {
            let content = |(name, blobs): &(String, Vec<(DataId, Blob)>)| {
                let mut content = Vec::new();
                for (id, _) in blobs {
                    content.extend_from_slice(&self.blob(&indexed, *id)?);
                }
                Ok((name.clone(), content))
            };
            found.iter().map(content).collect()
        })
    }

    /// Restores one file; false when the snapshot has no plain file there.
    pub fn restore_file(&self, name: &FileName, path: &Path, folder: &Path) -> Result<bool> {
        let indexed = self.prepared(name)?;
        let root = self.workspace_tree(&indexed, name)?;
        let Some(mut node) = self.find(&indexed, root, path)?.filter(Node::is_file) else {
            return Ok(false);
        };
        if let Some(parent) = path.parent() {
            make_folders(folder, parent)?;
        }
        let blobs = self.blobs_of(&indexed, &mut node)?;
        let planned = Planned { path: path.to_owned(), node, blobs };
        self.restore_batch(&indexed, folder, &[planned])?;
        Ok(true)
    }

    /// Restores all of a snapshot into `folder`, telling how far it is.
    pub fn restore_all(
        &self,
        name: &FileName,
        folder: &Path,
        tell: &(dyn Fn(Restored) + Sync),
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Result<Restored> {
        let indexed = self.prepared(name)?;
        let root = self.workspace_tree(&indexed, name)?;
        let mut nodes = self.walk(&indexed, root)?;
        for (path, _) in nodes.iter().filter(|(_, node)| node.is_dir()) {
            make_folders(folder, path)?;
        }
        let mut files = Vec::new();
        let mut total = Restored { files: 0, files_total: 0, bytes: 0, bytes_total: 0 };
        for (path, node) in nodes.iter_mut().filter(|(_, node)| node.is_file()) {
            let blobs = self.blobs_of(&indexed, node)?;
            total.files_total += 1;
            total.bytes_total += node.meta.size;
            let (path, node) = (path.clone(), node.clone());
            let first = blobs.first().map(|(_, blob)| blob.clone());
            files.push((first, node.meta.size, Planned { path, node, blobs }));
        }
        let (files_done, bytes_done) = (AtomicU64::new(0), AtomicU64::new(0));
        let progress = Progress { files: files_done, bytes: bytes_done, total, tell, cancelled };
        progress.add(0, 0)?;
        let batches = batches(files, RESTORE_BATCH_BYTES, RESTORE_BATCH_FILES);
        in_parallel(batches, |batch| {
            self.restore_batch(&indexed, folder, &batch)?;
            let bytes = batch.iter().map(|planned| planned.node.meta.size).sum();
            progress.add(batch.len() as u64, bytes)
        })?;
        drop(indexed);
        finish(folder, &nodes)?;
        Ok(Restored { files: total.files_total, bytes: total.bytes_total, ..total })
    }

    /// The repository with its index, and what is needed next on its way already.
    fn prepared(&self, name: &FileName) -> Result<IndexedFull> {
        use super::store::Place;
        let snapshot = Place::File(protocol::workspace::FileKind::Snapshots, name.clone());
        self.backend.preload(&[Place::Config, snapshot]);
        self.indexed()
    }

    /// Restores files whose blobs are near each other.
    fn restore_batch(&self, indexed: &IndexedFull, folder: &Path, batch: &[Planned]) -> Result<()> {
        let wanted: Vec<&Planned> =
            batch.iter().filter(|planned| !is_in_place(folder, planned)).collect();
        // A large file is a batch of its own, and comes piece by piece.
        match wanted.as_slice() {
            [] => Ok(()),
            [one] => self.restore_in_pieces(indexed, folder, one),
            many => {
                let blobs = many.iter().flat_map(|planned| &planned.blobs);
                self.staged(blobs.map(|(_, blob)| blob.clone()).collect(), || {
                    many.iter().try_for_each(|planned| self.write(indexed, folder, planned))
                })
            }
        }
    }

    fn write(&self, indexed: &IndexedFull, folder: &Path, planned: &Planned) -> Result<()> {
        write_file(folder, planned, |file| self.copy(indexed, &planned.blobs, planned, file))
    }

    fn restore_in_pieces(
        &self,
        indexed: &IndexedFull,
        folder: &Path,
        planned: &Planned,
    ) -> Result<()> {
        write_file(folder, planned, |file| {
            let mut rest = planned.blobs.as_slice();
            while !rest.is_empty() {
                let mut bytes = 0;
                let fits = |(_, blob): &&(DataId, Blob)| {
                    bytes += u64::from(blob.length);
                    bytes <= RESTORE_BATCH_BYTES
                };
                let count = rest.iter().take_while(fits).count().max(1);
                let (piece, behind) = rest.split_at(count);
                let blobs = piece.iter().map(|(_, blob)| blob.clone()).collect();
                self.staged(blobs, || self.copy(indexed, piece, planned, file))?;
                rest = behind;
            }
            Ok(())
        })
    }

    /// Does `work` while these blobs are at hand.
    fn staged<T>(&self, blobs: Vec<Blob>, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let backend = &self.backend;
        let mut staged = Vec::with_capacity(blobs.len());
        let fetched = stretches(blobs).into_iter().try_for_each(|stretch| {
            let bytes = backend.fetch(&stretch.pack, stretch.offset, stretch.length)?;
            for blob in stretch.blobs {
                let start = (blob.offset - stretch.offset) as usize;
                let part = bytes.slice(start..start + blob.length as usize);
                backend.stage(&blob.pack, blob.offset, blob.length, part);
                staged.push(blob);
            }
            Ok(())
        });
        let result = fetched.and_then(|()| work());
        for blob in staged {
            backend.unstage(&blob.pack, blob.offset, blob.length);
        }
        result
    }

    fn copy(
        &self,
        indexed: &IndexedFull,
        blobs: &[(DataId, Blob)],
        planned: &Planned,
        file: &mut File,
    ) -> Result<()> {
        for (id, _) in blobs {
            let bytes = self.blob(indexed, *id)?;
            file.write_all(&bytes).map_err(disk(&planned.path, "written"))?;
        }
        Ok(())
    }
}

fn disk(path: &Path, doing: &'static str) -> impl FnOnce(std::io::Error) -> RepositoryError {
    let path = path.to_owned();
    move |source| RepositoryError::Disk { path, doing, source }
}

/// Makes the folders of a path below `folder`. What stands in the way and is no folder goes: the
/// workspace is not in use before it is whole.
fn make_folders(folder: &Path, below: &Path) -> Result<()> {
    let mut path = folder.to_owned();
    for part in below {
        path.push(part);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                open_up(&path, &metadata)?;
                continue;
            }
            Ok(_) => fs::remove_file(&path).map_err(disk(&path, "removed"))?,
            Err(_) => {}
        }
        match fs::create_dir(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => made.map_err(disk(&path, "made"))?,
        }
    }
    Ok(())
}

/// A folder of a former life may shut its owner out; the end of the restore shuts it again.
fn open_up(path: &Path, metadata: &fs::Metadata) -> Result<()> {
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o700 == 0o700 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode | 0o700))
        .map_err(disk(path, "given its permissions"))
}

fn modified(node: &Node) -> Option<SystemTime> {
    node.meta.mtime.map(SystemTime::from)
}

fn is_in_place(folder: &Path, planned: &Planned) -> bool {
    fs::symlink_metadata(folder.join(&planned.path)).is_ok_and(|found| {
        found.is_file()
            && found.len() == planned.node.meta.size
            && modified(&planned.node).is_some_and(|at| found.modified().is_ok_and(|is| is == at))
    })
}

/// Writes a file beside its place, and then moves it there.
fn write_file(
    folder: &Path,
    planned: &Planned,
    fill: impl FnOnce(&mut File) -> Result<()>,
) -> Result<()> {
    let path = folder.join(&planned.path);
    let parent = path.parent().unwrap_or(folder);
    let temporary = tempfile::Builder::new().prefix(".restoring-").tempfile_in(parent);
    let mut temporary = temporary.map_err(disk(&path, "made"))?;
    fill(temporary.as_file_mut())?;
    let permissions = planned.node.meta.mode.unwrap_or(0o644) & 0o777;
    let set = temporary.as_file().set_permissions(Permissions::from_mode(permissions));
    set.map_err(disk(&path, "given its permissions"))?;
    if let Some(at) = modified(&planned.node) {
        temporary.as_file().set_modified(at).map_err(disk(&path, "given its time"))?;
    }
    if fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
        fs::remove_dir_all(&path).map_err(disk(&path, "replaced"))?;
    }
    temporary.persist(&path).map_err(|error| disk(&path, "moved into place")(error.error))?;
    Ok(())
}

/// Makes the links, looks at every entry once more, and gives folders their times and permissions:
/// last, children first, because some permissions shut out the program too.
fn finish(folder: &Path, nodes: &[(PathBuf, Node)]) -> Result<()> {
    for (path, node) in nodes.iter().filter(|(_, node)| node.is_symlink()) {
        let place = folder.join(path);
        make_link(&place, node.node_type.to_link())?;
        if let Some(at) = modified(node) {
            date_link(&place, at).map_err(disk(&place, "given its time"))?;
        }
    }
    if let Some((path, _)) = nodes.iter().find(|(path, node)| !is_there(&folder.join(path), node)) {
        return Err(RepositoryError::Incomplete(path.clone()));
    }
    for (path, node) in nodes.iter().rev().filter(|(_, node)| node.is_dir()) {
        let place = folder.join(path);
        if let Some(at) = modified(node) {
            let opened = File::open(&place).map_err(disk(&place, "opened"))?;
            opened.set_modified(at).map_err(disk(&place, "given its time"))?;
        }
        let mode = node.meta.mode.unwrap_or(0o755) & 0o777;
        fs::set_permissions(&place, Permissions::from_mode(mode))
            .map_err(disk(&place, "given its permissions"))?;
    }
    Ok(())
}

fn is_there(place: &Path, node: &Node) -> bool {
    let found = fs::symlink_metadata(place);
    match &node.node_type {
        NodeType::File => found.is_ok_and(|it| it.is_file() && it.len() == node.meta.size),
        NodeType::Dir => found.is_ok_and(|it| it.is_dir()),
        NodeType::Symlink { .. } => found.is_ok_and(|it| it.is_symlink()),
        // Devices and the like: a foreign snapshot may hold some, and nobody makes them here.
        _ => true,
    }
}

/// Gives a link its time, and not what it leads to.
fn date_link(place: &Path, at: SystemTime) -> std::io::Result<()> {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};
    // The whole seconds before, also of a time before 1970.
    let (seconds, nanoseconds) = match at.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => (i64::try_from(after.as_secs()), after.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            let rest = before.subsec_nanos();
            let whole = i64::try_from(before.as_secs()).map(|whole| -whole - i64::from(rest > 0));
            (whole, if rest > 0 { 1_000_000_000 - rest } else { 0 })
        }
    };
    let seconds = seconds.map_err(std::io::Error::other)?;
    let last_modification = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let times = Timestamps { last_access, last_modification };
    utimensat(CWD, place, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

fn make_link(place: &Path, target: &Path) -> Result<()> {
    match fs::symlink_metadata(place) {
        Ok(found) if found.is_symlink() && fs::read_link(place).is_ok_and(|is| is == target) => {
            return Ok(());
        }
        Ok(found) if found.is_dir() => {
            fs::remove_dir_all(place).map_err(disk(place, "replaced"))?;
        }
        Ok(_) => fs::remove_file(place).map_err(disk(place, "replaced"))?,
        Err(_) => {}
    }
    symlink(target, place).map_err(disk(place, "linked"))
}
