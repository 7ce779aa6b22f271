//! The repository over a store in memory: what is saved comes back, whatever is in it, whenever the
//! store fails, and never something else.

mod edge;
mod hostile;
mod maintenance;
mod memory;
mod stock;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use protocol::workspace::{FileKind, FileName, Retention};
use tempfile::TempDir;

use super::store::Place;
use super::{Repository, RepositoryError};
use memory::Memory;

const HOST: &str = "main";

/// A repository and the folder that is saved in it.
struct World {
    store: Arc<Memory>,
    repository: Repository,
    folder: TempDir,
    last: Option<FileName>,
}

/// Derives no key: the tests make many repositories.
fn key() -> String {
    serde_json::to_string(&rustic_core::repofile::MasterKey::new()).unwrap()
}

impl World {
    fn new() -> Self {
        let store = Arc::new(Memory::default());
        let repository = made_with(&store, &key());
        Self { store, repository, folder: TempDir::new().unwrap(), last: None }
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn try_save(&mut self) -> Result<Option<FileName>, RepositoryError> {
        let folder = self.folder.path();
        let saved =
            self.repository.save(folder, HOST, self.last.as_ref(), &["session:s".into()])?;
        assert_eq!(saved.unreadable, Vec::<String>::new());
        if saved.snapshot.is_some() {
            self.last.clone_from(&saved.snapshot);
        }
        Ok(saved.snapshot)
    }

    fn save(&mut self) -> FileName {
        self.try_save().unwrap().expect("nothing had changed")
    }

    /// Another process: nothing is in a cache.
    fn reopen(&mut self) {
        let key = self.repository.master_key().unwrap();
        self.repository = Repository::open_with_key(self.store.clone(), &key).unwrap();
    }

    /// The pack that holds a file of the last snapshot, or the index of that pack.
    fn place_of(&self, path: &str, kind: FileKind) -> Place {
        let indexed = self.repository.indexed().unwrap();
        let root = self.repository.workspace_tree(&indexed, self.last.as_ref().unwrap()).unwrap();
        let mut node = self.repository.find(&indexed, root, Path::new(path)).unwrap().unwrap();
        let blobs = self.repository.blobs_of(&indexed, &mut node).unwrap();
        let pack = &blobs[0].1.pack;
        if kind == FileKind::Data {
            return Place::File(kind, pack.clone());
        }
        let names = |entry: rustic_core::RusticResult<(_, rustic_core::repofile::IndexFile)>| {
            let (id, index): (rustic_core::repofile::IndexId, _) = entry.unwrap();
            let has = index.packs.iter().any(|it| it.id.to_hex().as_str() == pack.as_str());
            has.then(|| Place::File(kind, id.to_hex().as_str().parse().unwrap()))
        };
        indexed.stream_files().unwrap().find_map(names).unwrap()
    }

    fn restored(&self) -> TempDir {
        let target = TempDir::new().unwrap();
        let name = self.last.as_ref().unwrap();
        self.repository.restore_all(name, target.path(), &|_| {}, &|| false).unwrap();
        target
    }

    fn restore_error(&self) -> RepositoryError {
        // Another process: nothing is in a cache.
        let fresh =
            Repository::open_with_key(self.store.clone(), &self.repository.master_key().unwrap());
        let target = TempDir::new().unwrap();
        let name = self.last.as_ref().unwrap();
        fresh
            .and_then(|fresh| fresh.restore_all(name, target.path(), &|_| {}, &|| false))
            .unwrap_err()
    }
}

/// A repository without a password, as the library makes one.
fn made_with(store: &Arc<Memory>, key: &str) -> Repository {
    use rustic_core::{Credentials, KeyOptions};
    let backend = Arc::new(super::backend::Backend::new(store.clone()));
    let credentials = Credentials::Masterkey(serde_json::from_str(key).unwrap());
    super::raw(&backend)
        .unwrap()
        .init(&credentials, &KeyOptions::default(), &super::config())
        .unwrap();
    Repository::open_with_key(store.clone(), key).unwrap()
}

/// Everything that a restore promises, by path.
fn look(folder: &Path) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    for entry in walk(folder) {
        let metadata = entry.symlink_metadata().unwrap();
        let mode = metadata.permissions().mode() & 0o777;
        let time = metadata.modified().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let what = if metadata.is_symlink() {
            format!("link {} {time:?}", fs::read_link(&entry).unwrap().display())
        } else if metadata.is_dir() {
            format!("dir {mode:o} {time:?}")
        } else {
            format!("file {mode:o} {time:?} {:?}", fs::read(&entry).unwrap())
        };
        let path = entry.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
        seen.insert(path, what);
    }
    seen
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.symlink_metadata().unwrap().is_dir() {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found
}

#[test]
fn what_is_saved_comes_back_the_same() {
    let mut world = World::new();
    world.write("notes/ümläut & \"quotes\".md", "hello");
    world.write("empty", "");
    world.write("bin/run.sh", "#!/bin/sh\n");
    world
        .write("large", (0..20_000_000_u32).map(|n| (n / 7).to_le_bytes()[0]).collect::<Vec<u8>>());
    fs::create_dir(world.folder.path().join("empty folder")).unwrap();
    symlink("../empty", world.folder.path().join("bin/link")).unwrap();
    symlink("/nowhere", world.folder.path().join("dangling")).unwrap();
    let run = world.folder.path().join("bin/run.sh");
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
    world.save();
    assert_eq!(look(world.restored().path()), look(world.folder.path()));
}

#[test]
fn a_restored_folder_costs_nothing_to_save_again() {
    let mut world = World::new();
    for n in 0..50 {
        world.write(&format!("folder-{}/file-{n}", n % 5), format!("content {n}"));
    }
    symlink("file-1", world.folder.path().join("folder-1/link")).unwrap();
    world.save();
    world.folder = world.restored();
    world.store.take_counts();
    assert_eq!(world.try_save().unwrap(), None);
    assert_eq!(world.store.take_counts().1, 0, "bytes were written");
    world.write("folder-1/file-1", "changed");
    world.save();
    let (requests, written) = world.store.take_counts();
    assert!(written < 10_000, "{written} bytes were written for one change");
    assert!(requests < 10, "{requests} requests for one change");
    assert_eq!(look(world.restored().path()), look(world.folder.path()));
}

#[test]
fn the_ignore_file_says_what_is_left_out() {
    let mut world = World::new();
    world.write(".pagurusignore", "node_modules/\n*.tmp\n");
    world.write("node_modules/a/b.js", "x");
    world.write("sub/x.tmp", "x");
    world.write(".hidden", "x");
    world.write(".gitignore", "kept\n");
    world.write("kept", "x");
    world.save();
    let seen = look(world.restored().path());
    let names: Vec<&str> = seen.keys().map(String::as_str).collect();
    assert_eq!(names, [".gitignore", ".hidden", ".pagurusignore", "kept", "sub"]);
}

#[test]
fn one_file_and_the_files_of_the_prompt_come_without_the_rest() {
    let mut world = World::new();
    for n in 0..30 {
        world.write(&format!("deep/er/file-{n}"), vec![n; 100_000]);
    }
    world.write("MEMORY.md", "remember");
    let name = world.save();
    let fresh =
        Repository::open_with_key(world.store.clone(), &world.repository.master_key().unwrap())
            .unwrap();
    world.store.take_counts();
    let files = fresh.read_files(&name, &["AGENTS.md", "MEMORY.md", "deep"]).unwrap();
    assert_eq!(files, [("MEMORY.md".to_owned(), b"remember".to_vec())]);
    assert!(world.store.take_counts().0 <= 6);

    let target = TempDir::new().unwrap();
    let path = Path::new("deep/er/file-7");
    assert!(fresh.restore_file(&name, path, target.path()).unwrap());
    assert_eq!(fs::read(target.path().join(path)).unwrap(), vec![7; 100_000]);
    assert!(!fresh.restore_file(&name, Path::new("deep/er/none"), target.path()).unwrap());
    assert!(!fresh.restore_file(&name, Path::new("../MEMORY.md"), target.path()).unwrap());
    assert_eq!(walk(target.path()).len(), 3);
}

#[test]
fn progress_is_told_and_a_restore_can_be_given_up() {
    let mut world = World::new();
    for n in 0..2_000 {
        world.write(&format!("{n}"), "x".repeat(100));
    }
    let name = world.save();
    let most = AtomicU64::new(0);
    let target = TempDir::new().unwrap();
    let tell = |at: super::restore::Restored| {
        most.fetch_max(at.files, Ordering::Relaxed);
        assert_eq!((at.files_total, at.bytes_total), (2_000, 200_000));
    };
    world.repository.restore_all(&name, target.path(), &tell, &|| false).unwrap();
    assert_eq!(most.load(Ordering::Relaxed), 2_000);
    let given_up = world.repository.restore_all(&name, target.path(), &|_| {}, &|| true);
    assert!(matches!(given_up, Err(RepositoryError::Cancelled)));
}

#[test]
fn wherever_a_save_breaks_off_the_last_good_snapshot_stays_and_the_next_save_succeeds() {
    for failing in 0..6 {
        let mut world = World::new();
        world.write("a", "one");
        world.save();
        let good = look(world.folder.path());
        world.write("a", "two, which is longer");
        world.write("b/c", "new");
        world.store.fail_change_in(Some(failing));
        let result = world.try_save();
        world.store.fail_change_in(None);
        match result {
            Err(error) => {
                assert!(matches!(error, RepositoryError::Store(_)), "{failing}: {error:?}");
                assert_eq!(look(world.restored().path()), good, "after failing at {failing}");
                world.save();
            }
            Ok(saved) => assert!(failing >= 4 && saved.is_some(), "{failing}: {saved:?}"),
        }
        assert_eq!(look(world.restored().path()), look(world.folder.path()));
    }
}

#[test]
fn one_write_that_fails_among_others_fails_the_save() {
    for failing in 0..20 {
        let mut world = World::new();
        world.write("a", "one");
        world.save();
        let good = look(world.folder.path());
        // Several packs, and their uploads wait, so that later ones begin before this one fails.
        let mut state = 1_u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        };
        world.write("large", (0..9_000_000).map(|_| noise()).collect::<Vec<u8>>());
        world.store.set_latency(Duration::from_millis(3));
        world.store.fail_one_change_in(failing);
        let result = world.try_save();
        world.store.set_latency(Duration::ZERO);
        world.store.fail_change_in(None);
        world.reopen();
        // Too large for a comparison that prints.
        let large = |folder: &Path| fs::read(folder.join("large")).unwrap();
        if result.is_ok() {
            assert!(large(world.restored().path()) == large(world.folder.path()));
            assert!(failing >= 5, "only {failing} writes in a save");
            return;
        }
        assert!(matches!(result, Err(RepositoryError::Store(_))), "{failing}: {result:?}");
        assert_eq!(look(world.restored().path()), good, "after a failure at {failing}");
        world.save();
        world.reopen();
        assert!(large(world.restored().path()) == large(world.folder.path()), "{failing}");
    }
    panic!("a save never ends");
}

#[test]
fn damage_is_named_and_never_taken_for_an_empty_workspace() {
    let world = || {
        let mut world = World::new();
        world.write("a", vec![7; 10_000]);
        world.save();
        world
    };
    for kind in [FileKind::Data, FileKind::Index, FileKind::Snapshots] {
        for change in 0..3 {
            let world = world();
            for place in world.store.places(kind) {
                world.store.tamper(&place, |mut content| match change {
                    0 => None,
                    1 => {
                        content.truncate(content.len() / 2);
                        Some(content)
                    }
                    _ => {
                        let middle = content.len() / 2;
                        content[middle] ^= 1;
                        Some(content)
                    }
                });
            }
            let error = world.restore_error();
            let text = format!("{kind} changed by {change}: {error:?}");
            match (kind, change) {
                (FileKind::Snapshots, 0) => {
                    assert!(matches!(error, RepositoryError::SnapshotMissing(_)), "{text}");
                }
                _ => assert!(
                    matches!(error, RepositoryError::Store(_) | RepositoryError::Damaged { .. }),
                    "{text}"
                ),
            }
        }
    }
    let world = world();
    world.store.tamper(&Place::Config, |_| None);
    assert!(matches!(world.restore_error(), RepositoryError::Missing));
}

#[test]
fn a_repository_of_somebody_else_is_refused() {
    let world = World::new();
    let other = Repository::open_with_key(world.store.clone(), &key());
    assert!(matches!(other, Err(RepositoryError::Foreign)), "{other:?}");
    let nonsense = Repository::open_with_key(world.store.clone(), "{}");
    assert!(matches!(nonsense, Err(RepositoryError::Foreign)));
    let none = Repository::open_with_key(Arc::new(Memory::default()), &key());
    assert!(matches!(none, Err(RepositoryError::Missing)));
}

#[test]
fn a_password_opens_what_it_made_even_after_a_creation_that_broke_off() {
    let store = Arc::new(Memory::default());
    store.fail_change_in(Some(1));
    assert!(Repository::initialise(store.clone(), "secret").is_err());
    store.fail_change_in(None);
    assert_eq!(store.places(FileKind::Keys).len(), 1);
    let made = Repository::initialise(store.clone(), "secret").unwrap();
    let opened = Repository::open_with_password(store.clone(), "secret").unwrap();
    assert_eq!(opened.master_key().unwrap(), made.master_key().unwrap());
    let wrong = Repository::open_with_password(store, "wrong");
    assert!(matches!(wrong, Err(RepositoryError::Foreign)));
}

#[test]
fn maintenance_keeps_what_it_should_and_one_small_index() {
    let mut world = World::new();
    for n in 0..12 {
        world.write("a", format!("version {n}"));
        world.write(&format!("b{n}"), vec![n; 50_000]);
        world.save();
        fs::remove_file(world.folder.path().join(format!("b{n}"))).unwrap();
    }
    world.write("a", "the last");
    world.save();
    let retention = Retention { last: 3, hourly: 1, daily: 1, weekly: 1 };
    let done = world.repository.maintain(HOST, &retention).unwrap();
    assert_eq!((done.kept, done.removed), (3, 10));
    assert_eq!(world.store.places(FileKind::Snapshots).len(), 3);
    assert_eq!(world.store.places(FileKind::Index).len(), 1);
    let fresh =
        Repository::open_with_key(world.store.clone(), &world.repository.master_key().unwrap());
    world.repository = fresh.unwrap();
    assert_eq!(look(world.restored().path()), look(world.folder.path()));
    world.write("a", "and on");
    world.save();
    assert_eq!(world.repository.newest(HOST).unwrap(), world.last);
    assert_eq!(world.repository.newest("another").unwrap(), None);
}

#[test]
fn ten_thousand_waits_are_not_made_one_after_the_other() {
    let mut world = World::new();
    for n in 0..400 {
        world.write(&format!("{}/{}/file-{n}", n % 20, n % 7), format!("content of {n}"));
    }
    let name = world.save();
    let fresh =
        Repository::open_with_key(world.store.clone(), &world.repository.master_key().unwrap())
            .unwrap();
    world.store.set_latency(Duration::from_millis(1));
    world.store.take_counts();
    let target = TempDir::new().unwrap();
    fresh.restore_all(&name, target.path(), &|_| {}, &|| false).unwrap();
    let (requests, _) = world.store.take_counts();
    assert!(requests < 20, "{requests} requests for 400 files");
}

#[derive(Debug, Clone)]
enum Made {
    File(Vec<u8>, u32),
    Folder,
    Link(String),
}

fn any_tree() -> impl Strategy<Value = BTreeMap<String, Made>> {
    let name = "[a-cé \\n\"*\\\\.]{1,3}"
        .prop_filter("a name", |name| !matches!(name.as_str(), "." | ".."));
    let path = proptest::collection::vec(name, 1..4).prop_map(|parts| parts.join("/"));
    let made = prop_oneof![
        (
            proptest::collection::vec(any::<u8>(), 0..2_000),
            prop::sample::select(vec![0o644, 0o600, 0o755])
        )
            .prop_map(|(content, mode)| Made::File(content, mode)),
        Just(Made::Folder),
        "[a-c/.]{1,5}".prop_map(Made::Link),
    ];
    proptest::collection::btree_map(path, made, 0..12)
}

fn make(folder: &Path, tree: &BTreeMap<String, Made>) {
    for (path, made) in tree {
        let path = folder.join(path);
        // A part of the path may be a file or a link already; then this one is left out.
        let made_parent = fs::create_dir_all(path.parent().unwrap()).is_ok();
        if !made_parent || path.symlink_metadata().is_ok() {
            continue;
        }
        match made {
            Made::File(content, mode) => {
                fs::write(&path, content).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
            }
            Made::Folder => fs::create_dir_all(&path).unwrap(),
            Made::Link(target) => symlink(target, &path).unwrap(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_tree_comes_back_also_over_another_one(before in any_tree(), after in any_tree()) {
        let mut world = World::new();
        make(world.folder.path(), &before);
        world.try_save().unwrap();
        let old = world.folder;
        world.folder = TempDir::new().unwrap();
        make(world.folder.path(), &after);
        // Something that is there in any case, so that there is a snapshot.
        world.write("always", "here");
        let name = world.save();
        let expected = look(world.folder.path());
        prop_assert_eq!(&look(world.restored().path()), &expected);
        // What a folder holds already may be anything; what the snapshot names wins.
        world.repository.restore_all(&name, old.path(), &|_| {}, &|| false).unwrap();
        let seen = look(old.path());
        for (path, what) in &expected {
            let kind = |what: &str| what.split(' ').next().unwrap().to_owned();
            prop_assert_eq!(seen.get(path).map(|seen| kind(seen)), Some(kind(what)));
        }
    }
}
