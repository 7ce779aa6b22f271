//! Debian's `restic` and this program agree on a repository, whichever of them wrote it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use protocol::workspace::{FileKind, Retention};
use tempfile::TempDir;

use super::memory::Memory;
use super::{HOST, look};
use crate::repository::Repository;
use crate::repository::store::{Place, Store};

const PASSWORD: &str = "a password for tests";
const RETENTION: Retention = Retention { last: 2, hourly: 1, daily: 1, weekly: 1 };

/// Where Debian's package puts it.
const RESTIC: &str = "/usr/bin/restic";

/// A repository in a folder, as `restic` sees one on a disk.
struct Disk(TempDir);

impl Disk {
    fn new() -> Option<Self> {
        if Path::new(RESTIC).exists() {
            return Some(Self(TempDir::new().unwrap()));
        }
        eprintln!("skipped: {RESTIC} is not there; `apt-get install restic` brings it");
        None
    }

    fn repository(&self) -> PathBuf {
        self.0.path().join("repository")
    }

    fn restic(&self, arguments: &[&str]) -> String {
        let password = self.0.path().join("password");
        fs::write(&password, PASSWORD).unwrap();
        let output = Command::new(RESTIC)
            .args(["--no-cache", "--repo"])
            .arg(self.repository())
            .args(arguments)
            .env("RESTIC_PASSWORD_FILE", password)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "restic {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The place of a file on the disk: packs are in folders by their first two digits.
    fn path(&self, place: &Place) -> PathBuf {
        match place {
            Place::Config => self.repository().join("config"),
            Place::File(FileKind::Data, name) => {
                self.repository().join("data").join(&name.as_str()[..2]).join(name.as_str())
            }
            Place::File(kind, name) => self.repository().join(kind.as_str()).join(name.as_str()),
        }
    }

    fn fill_from(&self, store: &Memory) {
        for kind in FileKind::ALL {
            fs::create_dir_all(self.repository().join(kind.as_str())).unwrap();
        }
        let files = FileKind::ALL.into_iter().flat_map(|kind| store.places(kind));
        for place in files.chain([Place::Config]) {
            let path = self.path(&place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, store.read(&place).unwrap()).unwrap();
        }
    }

    fn fill(&self, store: &Memory) {
        let config = fs::read(self.path(&Place::Config)).unwrap();
        store.write(&Place::Config, config.into()).unwrap();
        for kind in FileKind::ALL {
            for path in super::walk(&self.repository().join(kind.as_str())) {
                if path.is_file() {
                    let name = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
                    let content = fs::read(path).unwrap();
                    store.write(&Place::File(kind, name), content.into()).unwrap();
                }
            }
        }
    }
}

/// A folder with everything that a workspace may hold.
fn odd_folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let at = |path: &str| folder.path().join(path);
    fs::create_dir_all(at("with space/ümläut")).unwrap();
    fs::create_dir(at("empty folder")).unwrap();
    fs::write(at("with space/ümläut/two\nlines \"quoted\" \\ back"), "odd").unwrap();
    fs::write(at("with space/*?[glob]"), "glob").unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::write(at("secret"), "secret").unwrap();
    fs::set_permissions(at("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(at("run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(at("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let large: Vec<u8> = (0..5_000_000_u32).map(|n| (n / 7).to_le_bytes()[0]).collect();
    fs::write(at("large"), large).unwrap();
    symlink("../run.sh", at("with space/link")).unwrap();
    symlink("/nowhere", at("dangling")).unwrap();
    folder
}

fn assert_same(left: &Path, right: &Path) {
    assert_eq!(look(left), look(right));
}

#[test]
fn restic_checks_and_restores_what_was_saved_here_also_after_maintenance() {
    let Some(disk) = Disk::new() else { return };
    let store = Arc::new(Memory::default());
    let repository = Repository::initialise(store.clone(), PASSWORD).unwrap();
    let folder = odd_folder();
    let mut last = None;
    for n in 0..4 {
        let log = fs::OpenOptions::new().append(true).create(true).open(folder.path().join("log"));
        writeln!(log.unwrap(), "line {n}").unwrap();
        fs::write(folder.path().join("passing"), vec![n; 300_000]).unwrap();
        let tags = [format!("turn:{n}"), "session:web@57".to_owned()];
        let saved = repository.save(folder.path(), HOST, last.as_ref(), &tags).unwrap();
        last = Some(saved.snapshot.expect("nothing was saved"));
    }
    for (round, snapshots) in [4, 2].into_iter().enumerate() {
        let disk = if round == 0 { &disk } else { &Disk::new().unwrap() };
        disk.fill_from(&store);
        disk.restic(&["check", "--read-data"]);
        let listed: serde_json::Value =
            serde_json::from_str(&disk.restic(&["snapshots", "--json"])).unwrap();
        assert_eq!(listed.as_array().unwrap().len(), snapshots);
        let newest = &listed[snapshots - 1];
        assert_eq!(newest["hostname"], HOST);
        assert_eq!(newest["paths"], serde_json::json!(["/workspace"]));
        assert_eq!(newest["tags"], serde_json::json!(["session:web@57", "turn:3"]));
        let target = disk.0.path().join("restored");
        disk.restic(&["restore", "latest", "--target", target.to_str().unwrap()]);
        assert_same(&target.join("workspace"), folder.path());
        repository.maintain(HOST, &RETENTION).unwrap();
    }
}

#[test]
fn what_restic_saved_is_restored_saved_on_and_maintained_here() {
    let Some(disk) = Disk::new() else { return };
    let folder = odd_folder();
    let workspace = disk.0.path().join("workspace");
    fs::rename(folder.path(), &workspace).unwrap();
    let backup = |disk: &Disk| {
        let mut command = Command::new(RESTIC);
        command.args(["--no-cache", "--repo"]).arg(disk.repository());
        command.args(["backup", "--host", HOST, "workspace"]).current_dir(disk.0.path());
        command.env("RESTIC_PASSWORD_FILE", disk.0.path().join("password"));
        assert!(command.output().unwrap().status.success());
    };
    disk.restic(&["init"]);
    backup(&disk);
    let store = Arc::new(Memory::default());
    disk.fill(&store);

    let repository = Repository::open_with_password(store.clone(), PASSWORD).unwrap();
    let newest = repository.newest(HOST).unwrap().expect("restic's snapshot is not seen");
    let target = TempDir::new().unwrap();
    repository.restore_all(&newest, target.path(), &|_| {}, &|| false).unwrap();
    assert_same(target.path(), &workspace);

    fs::write(target.path().join("added"), "here").unwrap();
    let saved = repository.save(target.path(), HOST, Some(&newest), &[]).unwrap();
    assert!(saved.snapshot.is_some() && saved.files == 1, "{saved:?}");
    repository.maintain(HOST, &RETENTION).unwrap();
    let back = Disk::new().unwrap();
    back.fill_from(&store);
    back.restic(&["check", "--read-data"]);
    let restored = back.0.path().join("restored");
    back.restic(&["restore", "latest", "--target", restored.to_str().unwrap()]);
    assert_same(&restored.join("workspace"), target.path());
}
