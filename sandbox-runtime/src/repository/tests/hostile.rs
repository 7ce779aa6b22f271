//! Snapshots that were not made by this program, or were made while the workspace moved: nothing is
//! written outside the folder, and what can be restored is.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use protocol::workspace::FileName;
use rustic_core::repofile::{Metadata, Node, NodeType};
use rustic_core::{
    BackupOptions, ReadSource, ReadSourceEntry, ReadSourceOpen, RusticResult, SnapshotOptions,
};
use tempfile::TempDir;

use super::World;
use crate::repository::{RepositoryError, name_of};

/// A folder whose entries are whatever a test says.
struct Forged(Vec<(&'static str, Node, &'static str)>);

struct Content(&'static str);

impl ReadSourceOpen for Content {
    type Reader = std::io::Cursor<&'static str>;

    fn open(self) -> RusticResult<Self::Reader> {
        Ok(std::io::Cursor::new(self.0))
    }
}

impl ReadSource for Forged {
    type Open = Content;
    type Iter = std::vec::IntoIter<RusticResult<ReadSourceEntry<Content>>>;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(None)
    }

    fn entries(&self) -> Self::Iter {
        let entry = |(path, node, content): &(&'static str, Node, &'static str)| {
            let open = node.is_file().then_some(Content(content));
            Ok(ReadSourceEntry { path: PathBuf::from(path), node: node.clone(), open })
        };
        self.0.iter().map(entry).collect::<Vec<_>>().into_iter()
    }
}

fn node(name: &str, node_type: NodeType, size: u64) -> Node {
    let mode = if node_type == NodeType::Dir { 0o700 } else { 0o644 };
    let meta = Metadata { mode: Some(mode), size, ..Metadata::default() };
    Node::new_node(name.as_ref(), node_type, meta)
}

fn file(
    path: &'static str,
    name: &str,
    content: &'static str,
) -> (&'static str, Node, &'static str) {
    (path, node(name, NodeType::File, content.len() as u64), content)
}

fn link(path: &'static str, name: &str, target: &Path) -> (&'static str, Node, &'static str) {
    (path, node(name, NodeType::from_link(target), 0), "")
}

fn folder(path: &'static str, name: &str) -> (&'static str, Node, &'static str) {
    (path, node(name, NodeType::Dir, 0), "")
}

/// A snapshot with these entries. Each stands at a harmless path and has the name of its node.
fn forge(world: &World, entries: Vec<(&'static str, Node, &'static str)>) -> FileName {
    let indexed = world.repository.indexed_ids().unwrap();
    let options = BackupOptions::default().as_path(PathBuf::from("/workspace")).no_scan(true);
    let snapshot = SnapshotOptions::default().host("main".to_owned()).to_snapshot().unwrap();
    let saved =
        indexed.archive(&options, &Forged(entries), snapshot, &[PathBuf::from("/w")]).unwrap();
    name_of(&saved).unwrap()
}

fn restore(world: &World, name: &FileName, target: &Path) -> Result<(), RepositoryError> {
    world.repository.restore_all(name, target, &|_| {}, &|| false).map(drop)
}

#[test]
fn a_name_that_leads_out_of_the_workspace_is_refused() {
    for evil in ["../out", "/tmp/out", "..", ".", "a/b", "a\0b"] {
        let world = World::new();
        let name = forge(&world, vec![file("/w/good", "good", "g"), file("/w/zz", evil, "x")]);
        let above = TempDir::new().unwrap();
        let target = above.path().join("workspace");
        fs::create_dir(&target).unwrap();
        let refused = restore(&world, &name, &target);
        assert!(matches!(refused, Err(RepositoryError::UnsafeName(_))), "{evil:?}: {refused:?}");
        assert_eq!(fs::read_dir(&target).unwrap().count(), 0, "{evil:?}");
        assert_eq!(fs::read_dir(above.path()).unwrap().count(), 1, "{evil:?}");
    }
}

#[test]
fn a_link_and_a_folder_of_one_name_are_refused_before_anything_is_written() {
    use std::os::unix::fs::PermissionsExt;
    let outside = TempDir::new().unwrap();
    fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for link_first in [false, true] {
        let world = World::new();
        let mut entries = vec![folder("/w/a", "trap"), file("/w/a/inside", "inside", "x")];
        let place = if link_first { 0 } else { entries.len() };
        let path = if link_first { "/w/0" } else { "/w/z" };
        entries.insert(place, link(path, "trap", outside.path()));
        let name = forge(&world, entries);
        let target = TempDir::new().unwrap();
        let refused = restore(&world, &name, target.path());
        assert!(matches!(refused, Err(RepositoryError::UnsafeName(_))), "{refused:?}");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        let mode = fs::metadata(outside.path()).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o755, "the mode of a folder outside was changed");
    }
}

#[test]
fn a_link_in_the_folder_is_not_followed_by_a_restore() {
    let mut world = World::new();
    world.write("sub/file", "from the snapshot");
    let name = world.save();
    let (target, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    std::os::unix::fs::symlink(outside.path(), target.path().join("sub")).unwrap();
    let fetched = world.repository.restore_file(&name, Path::new("sub/file"), target.path());
    assert!(fetched.unwrap());
    restore(&world, &name, target.path()).unwrap();
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    assert_eq!(fs::read(target.path().join("sub/file")).unwrap(), b"from the snapshot");
}

#[test]
fn a_file_that_grew_or_shrank_while_it_was_read_can_be_restored() {
    for (size_seen, content) in [(4, "grown since"), (400, "cut since"), (3, "")] {
        let world = World::new();
        let mut grown = file("/w/log", "log", content);
        grown.1.meta.size = size_seen;
        let name = forge(&world, vec![grown, file("/w/other", "other", "other")]);
        let target = TempDir::new().unwrap();
        restore(&world, &name, target.path()).unwrap();
        assert_eq!(fs::read_to_string(target.path().join("log")).unwrap(), content);
        let alone = TempDir::new().unwrap();
        assert!(world.repository.restore_file(&name, Path::new("log"), alone.path()).unwrap());
        assert_eq!(fs::read_to_string(alone.path().join("log")).unwrap(), content);
    }
}

#[test]
fn a_file_that_grows_as_fast_as_it_is_read_comes_to_an_end() {
    use crate::repository::source::Folder;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log");
    fs::write(&path, "begun").unwrap();
    let source = Folder::new(folder.path());
    let entry = source.entries().next().unwrap().unwrap();
    let mut reader = entry.open.unwrap().open().unwrap();
    let mut read = Vec::new();
    let mut buffer = [0; 4];
    // Each read is followed by a write of more than it took.
    for _ in 0..10 {
        let count = reader.read(&mut buffer).unwrap();
        read.extend_from_slice(&buffer[..count]);
        fs::write(&path, vec![b'.'; 100 + 10 * read.len()]).unwrap();
    }
    assert_eq!(reader.read(&mut buffer).unwrap(), 0);
    assert_eq!(read.len(), 5);
}

#[test]
fn a_link_keeps_its_time_also_from_before_1970() {
    use std::time::{Duration, SystemTime};
    let before = SystemTime::UNIX_EPOCH - Duration::from_millis(1_500);
    let after = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250);
    for at in [before, after] {
        let world = World::new();
        let mut entry = link("/w/link", "link", Path::new("/nowhere"));
        entry.1.meta.mtime = Some(at.try_into().unwrap());
        let name = forge(&world, vec![entry]);
        let target = TempDir::new().unwrap();
        restore(&world, &name, target.path()).unwrap();
        let seen = fs::symlink_metadata(target.path().join("link")).unwrap();
        assert_eq!(seen.modified().unwrap(), at);
    }
}

/// The program is not root in its container; as root this test shows nothing.
#[test]
fn folders_that_their_owner_may_not_enter_read_or_write_come_back() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let chmod = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    let world = World::new();
    let mut entries = Vec::new();
    for (path, name, inside, bits) in [
        ("/w/a", "closed", "/w/a/f", 0o000),
        ("/w/b", "unlisted", "/w/b/f", 0o300),
        ("/w/c", "readonly", "/w/c/f", 0o555),
    ] {
        let mut entry = folder(path, name);
        entry.1.meta.mode = Some(bits);
        entry.1.meta.mtime = Some(std::time::SystemTime::UNIX_EPOCH.try_into().unwrap());
        entries.extend([entry, file(inside, "f", "content")]);
    }
    let name = forge(&world, entries);
    let target = TempDir::new().unwrap();
    let at = |path: &str| target.path().join(path);
    for _ in 0..2 {
        restore(&world, &name, target.path()).unwrap();
        for (folder, bits) in [("closed", 0o000), ("unlisted", 0o300), ("readonly", 0o555)] {
            assert_eq!(mode(&at(folder)), bits);
            let time = fs::metadata(at(folder)).unwrap().modified().unwrap();
            assert_eq!(time, std::time::SystemTime::UNIX_EPOCH);
            chmod(&at(folder), 0o700).unwrap();
            assert_eq!(fs::read_to_string(at(folder).join("f")).unwrap(), "content");
            // The next round finds a file that is not as it should be, in a folder as it was.
            fs::write(at(folder).join("f"), "of a former life").unwrap();
            chmod(&at(folder), bits).unwrap();
        }
    }
    for folder in ["closed", "unlisted", "readonly"] {
        chmod(&at(folder), 0o700).unwrap();
    }
}
