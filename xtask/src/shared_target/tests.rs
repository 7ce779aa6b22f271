use std::process::Command;
use std::time::{Duration, SystemTime};

use super::*;

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

/// What came of `cargo run`.
struct Ran {
    said: String,
    built: bool,
}

fn run(places: &Places) -> Ran {
    cargo_run(&SharedTarget::acquire(places).unwrap())
}

fn cargo_run(target: &SharedTarget) -> Ran {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .arg("run")
        .current_dir(target.sources())
        .env("CARGO_TARGET_DIR", target.artefacts())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let said = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    Ran { said, built: errors.contains("Compiling") }
}

fn places(folder: &Path, name: &str) -> Places {
    Places::of(folder.join(name), folder.join("cache"))
}

/// The older checkout's files are older than the newer one's artefacts: what misleads cargo.
#[test]
fn a_checkout_never_gets_anothers_program() {
    let folder = tempfile::tempdir().unwrap();
    checkout(&folder.path().join("a"), "a", Duration::from_hours(1));
    checkout(&folder.path().join("b"), "b", Duration::from_mins(30));
    let (a, b) = (places(folder.path(), "a"), places(folder.path(), "b"));
    let said: Vec<String> = [&a, &b, &a, &b].map(|places| run(places).said).into();
    assert_eq!(said, ["a", "b", "a", "b"]);
}

#[test]
fn a_checkout_of_the_same_content_builds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    checkout(&folder.path().join("a"), "same", Duration::ZERO);
    let first = run(&places(folder.path(), "a"));
    assert!(first.built);
    // Newer files than all artefacts: what makes cargo build for nothing.
    checkout(&folder.path().join("b"), "same", Duration::ZERO);
    let second = run(&places(folder.path(), "b"));
    assert_eq!((second.said.as_str(), second.built), ("same", false));
}

#[test]
fn old_times_do_not_hide_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path(), "a");
    checkout(places.root(), "one", Duration::from_mins(30));
    assert_eq!(run(&places).said, "one");
    // As from an archive that keeps times.
    checkout(places.root(), "two", Duration::from_hours(1));
    assert_eq!(run(&places).said, "two");
}

#[test]
fn what_is_written_during_a_build_waits_for_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path(), "a");
    checkout(places.root(), "one", Duration::ZERO);
    let target = SharedTarget::acquire(&places).unwrap();
    checkout(places.root(), "two", Duration::ZERO);
    assert_eq!(cargo_run(&target).said, "one");
    drop(target);
    assert_eq!(run(&places).said, "two");
}
