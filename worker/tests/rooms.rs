//! The rooms' walls: which file may name what.

#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Lines outside `rooms` that hold one of the `words`, as `file:line`.
fn trespasses(words: &[&str], rooms: &[&str]) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 20, "the sources were not found");
    let mut lines = Vec::new();
    for file in files {
        let name = file.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        if rooms.iter().any(|room| name.starts_with(room)) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if words.iter().any(|word| code.contains(word)) {
                lines.push(format!("{name}:{}", number + 1));
            }
        }
    }
    lines
}

#[test]
fn only_the_platform_and_the_shell_name_the_sdk() {
    let rooms = ["platform/", "lib.rs", "agent/object.rs"];
    let words = ["worker::", "wasm_bindgen", "web_sys", "js_sys"];
    assert_eq!(trespasses(&words, &rooms), Vec::<String>::new());
}

#[test]
fn only_the_store_holds_sql() {
    let rooms = ["agent/store/"];
    let words = ["SELECT ", "INSERT INTO", "UPDATE ", "DELETE FROM", "CREATE TABLE"];
    assert_eq!(trespasses(&words, &rooms), Vec::<String>::new());
}

#[test]
fn decisions_do_not_wait() {
    let rooms = [
        "platform/",
        "lib.rs",
        "entry.rs",
        "services/",
        "agent/object.rs",
        "agent/accept.rs",
        "agent/alarm.rs",
        "agent/archive/backup.rs",
        "agent/archive/export.rs",
        "agent/archive/read.rs",
        "agent/archive/rebuild.rs",
        "agent/archive/settle.rs",
        "agent/chat.rs",
        "agent/commands.rs",
        "agent/core.rs",
        "agent/deliver.rs",
        "agent/drive.rs",
        "agent/egress.rs",
        "agent/follow.rs",
        "agent/harness.rs",
        "agent/maintain.rs",
        "agent/restore.rs",
        "agent/sessions.rs",
        "agent/sleep.rs",
        "agent/spending.rs",
        "agent/steer.rs",
        "agent/wake.rs",
    ];
    assert_eq!(trespasses(&["async ", ".await"], &rooms), Vec::<String>::new());
}
