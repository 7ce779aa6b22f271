use std::process::Command;
use std::time::{Duration, SystemTime};

use super::*;

const LOCK_FILE: &str = r#"
version = 4

[[package]]
name = "ours"
version = "0.1.0"
dependencies = [
 "theirs",
]

[[package]]
name = "theirs"
version = "2.3.4"
source = "registry+https://example.org/index"
checksum = "00"
"#;

#[test]
fn members_are_the_packages_without_a_source() {
    assert_eq!(member_names(LOCK_FILE), BTreeSet::from(["ours".to_owned()]));
}

#[test]
fn versions_come_from_the_lock_file() {
    assert_eq!(locked_version(LOCK_FILE, "theirs").as_deref(), Some("2.3.4"));
    assert_eq!(locked_version(LOCK_FILE, "their"), None);
    assert_eq!(locked_version("", "theirs"), None);
}

fn checkout(root: &Path, says: &str, age: Duration) {
    fs::create_dir_all(root.join("m/src")).unwrap();
    fs::write(root.join("Cargo.toml"), "[workspace]\nresolver = \"3\"\nmembers = [\"m\"]\n")
        .unwrap();
    fs::write(root.join("m/Cargo.toml"), "[package]\nname = \"m\"\nedition = \"2024\"\n").unwrap();
    let main = root.join("m/src/main.rs");
    fs::write(&main, format!("fn main() {{ println!(\"{says}\"); }}")).unwrap();
    let file = File::options().write(true).open(main).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
    let lock = "version = 4\n\n[[package]]\nname = \"m\"\nversion = \"0.0.0\"\n";
    fs::write(root.join("Cargo.lock"), lock).unwrap();
}

fn run(places: &Places) -> String {
    let target = SharedTarget::acquire(places).unwrap();
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["run", "--quiet"])
        .current_dir(places.root())
        .env("CARGO_TARGET_DIR", target.folder())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The older checkout's files are older than the newer one's artefacts: what misleads cargo.
#[test]
fn a_checkout_never_gets_anothers_program() {
    let folder = tempfile::tempdir().unwrap();
    let places = |name: &str| Places::of(folder.path().join(name), folder.path().join("cache"));
    checkout(&folder.path().join("a"), "a", Duration::from_hours(1));
    checkout(&folder.path().join("b"), "b", Duration::from_mins(30));
    let (a, b) = (places("a"), places("b"));
    assert_eq!([run(&a), run(&b), run(&a), run(&b)], ["a", "b", "a", "b"]);
}
