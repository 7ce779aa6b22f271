use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::{FileError, PathError, Workspace};

/// A workspace beside a folder that is none of its business.
struct Place {
    outer: TempDir,
    workspace: Workspace,
}

fn place() -> Place {
    let outer = TempDir::new().unwrap();
    let inside = outer.path().join("inside");
    fs::create_dir_all(inside.join("folder/deep")).unwrap();
    fs::create_dir_all(outer.path().join("secret")).unwrap();
    fs::write(outer.path().join("secret/key"), "key").unwrap();
    fs::write(inside.join("file"), "text").unwrap();
    symlink("../secret", inside.join("out")).unwrap();
    symlink(outer.path().join("secret/key"), inside.join("key")).unwrap();
    symlink("folder", inside.join("in")).unwrap();
    symlink("../nowhere", inside.join("dangling")).unwrap();
    symlink("loop", inside.join("loop")).unwrap();
    let workspace = Workspace::open(&inside).unwrap();
    Place { outer, workspace }
}

#[test]
fn paths_inside_are_taken() {
    let place = place();
    let workspace = &place.workspace;
    let root = workspace.root().to_owned();
    let absolute = root.join("file");
    for (path, real) in [
        ("file", "file"),
        ("./file", "file"),
        ("folder/../file", "file"),
        ("folder/deep/../../new", "new"),
        ("in/deep/new/newer", "folder/deep/new/newer"),
        (absolute.to_str().unwrap(), "file"),
    ] {
        assert_eq!(workspace.resolve(path).unwrap(), root.join(real), "{path}");
    }
    assert_eq!(workspace.resolve(".").unwrap(), root);
}

#[test]
fn paths_that_lead_out_are_not() {
    let place = place();
    let workspace = &place.workspace;
    for path in [
        "..",
        "../inside2",
        "../secret/key",
        "/etc/passwd",
        "/",
        "out",
        "out/key",
        "out/new",
        "key",
        "folder/../../secret/key",
        "in/../../secret",
        "new/../../secret",
        "new/../file",
    ] {
        let result = workspace.resolve(path);
        assert!(matches!(result, Err(PathError::Outside { .. })), "{path}: {result:?}");
    }
    for path in ["dangling", "dangling/x", "loop"] {
        let result = workspace.resolve(path);
        assert!(matches!(result, Err(PathError::DanglingLink(_))), "{path}: {result:?}");
    }
    for path in ["", "a\0b"] {
        assert!(matches!(workspace.resolve(path), Err(PathError::Malformed)), "{path:?}");
    }
    assert!(matches!(workspace.resolve("file/x"), Err(PathError::Lookup { .. })));
}

#[test]
fn a_written_file_keeps_its_mode_and_a_link_stays_a_link() {
    let place = place();
    let workspace = &place.workspace;
    let script = workspace.root().join("folder/run");
    fs::write(&script, "old").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    symlink("folder/run", workspace.root().join("link")).unwrap();
    workspace.write_text("link", "new").unwrap();
    assert_eq!(fs::read_to_string(&script).unwrap(), "new");
    assert_eq!(fs::metadata(&script).unwrap().permissions().mode() & 0o777, 0o755);
    assert!(workspace.root().join("link").is_symlink());
    let entries = fs::read_dir(workspace.root().join("folder")).unwrap().count();
    assert_eq!(entries, 2, "nothing is left beside it");
}

#[test]
fn new_files_come_with_their_folders() {
    let place = place();
    let workspace = &place.workspace;
    workspace.write_text("a/b/c.txt", "text").unwrap();
    assert_eq!(workspace.read_text("a/b/c.txt").unwrap(), "text");
    let mode = fs::metadata(workspace.root().join("a/b/c.txt")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
}

#[test]
fn only_text_files_of_moderate_size_are_read() {
    let place = place();
    let workspace = &place.workspace;
    fs::write(workspace.root().join("binary"), b"a\0b").unwrap();
    fs::write(workspace.root().join("latin1"), b"\xe4").unwrap();
    let large = fs::File::create(workspace.root().join("large")).unwrap();
    large.set_len(crate::limits::FILE_BYTES_MAX + 1).unwrap();
    assert!(matches!(workspace.read_text("binary"), Err(FileError::Binary(_))));
    assert!(matches!(workspace.read_text("latin1"), Err(FileError::Binary(_))));
    assert!(matches!(workspace.read_text("large"), Err(FileError::TooLarge { .. })));
    assert!(matches!(workspace.read_text("folder"), Err(FileError::NotAFile(_))));
    assert!(matches!(workspace.read_text("missing"), Err(FileError::Missing(_))));
    assert!(matches!(workspace.write_text("folder", "x"), Err(FileError::NotAFile(_))));
}

proptest! {
    #[test]
    fn no_path_leads_out(
        parts in proptest::collection::vec(
            prop_oneof![
                Just(".."), Just("."), Just("folder"), Just("deep"), Just("in"), Just("out"),
                Just("key"), Just("file"), Just("new"), Just("dangling"), Just("loop"), Just(""),
            ],
            0..8,
        ),
        absolute in any::<bool>(),
    ) {
        let Place { outer, workspace } = place();
        let mut path = parts.join("/");
        if absolute {
            path = format!("{}/{path}", outer.path().display());
        }
        if let Ok(real) = workspace.resolve(&path) {
            prop_assert!(real.starts_with(workspace.root()), "{path} became {}", real.display());
            // What exists of it is inside also when the system follows the links.
            let existing: PathBuf = real.ancestors().find(|part| part.exists()).unwrap().into();
            let followed = existing.canonicalize().unwrap();
            prop_assert!(followed.starts_with(workspace.root()), "{path}");
            prop_assert!(real.components().all(|part| part.as_os_str() != ".."), "{path}");
        }
    }
}
