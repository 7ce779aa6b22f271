//! `cargo xtask doctor`: what this machine has and lacks.
//!
//! Invariant: it changes nothing but a probe file in the cache, which it removes.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::console;
use crate::dev::{DEFAULT_PORT, port_is_free};
use crate::environment;
use crate::places::Places;
use crate::process::answer;
use crate::setup::{self, Need, Part};

/// The oldest compiler that can build the workspace, as in the root `Cargo.toml`.
const RUST_MIN: (u32, u32) = (1, 91);

/// The oldest Node that `wrangler` runs on.
const NODE_MIN: (u32, u32) = (22, 12);

/// How well something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    /// Fine.
    Green,
    /// Something will be slower, skipped or done first.
    Yellow,
    /// Building or running fails.
    Red,
}

/// One line of the report.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    health: Health,
    what: String,
    /// A version, or what to do.
    note: String,
}

impl Finding {
    fn new(health: Health, what: impl Into<String>, note: impl Into<String>) -> Self {
        Self { health, what: what.into(), note: note.into() }
    }

    fn line(&self) -> String {
        let word = match self.health {
            Health::Green => "green",
            Health::Yellow => "yellow",
            Health::Red => "red",
        };
        format!("{word:<7} {:<36} {}", self.what, self.note).trim_end().to_owned()
    }
}

/// Looks at everything and prints it; fails when something is red.
pub(crate) fn run(places: &Places) -> Result<ExitCode> {
    let mut findings = vec![
        at_least("rustc", Command::new("rustc").arg("--version"), RUST_MIN, "https://rustup.rs"),
        component("rustfmt", "fmt"),
        component("clippy", "clippy"),
        npm(),
    ];
    for part in setup::parts(places)?.iter().flatten() {
        findings.push(part_finding(part.as_ref()));
    }
    if let Ok(mut node) = environment::node_tool(places, "node") {
        findings.push(at_least("Node for wrangler", node.arg("--version"), NODE_MIN, "`npm ci`"));
    }
    findings.push(optional("cargo-nextest", "tests run slower, by `cargo test`"));
    findings.push(optional("cargo-deny", "licences are not checked"));
    findings.push(optional("setpriv", "a `cargo xtask dev` killed by -9 leaves its processes"));
    findings.push(cache(places.cache()));
    findings.push(port());
    for finding in &findings {
        console::print(&finding.line());
    }
    let red = findings.iter().any(|finding| finding.health == Health::Red);
    Ok(if red { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn part_finding(part: &dyn Part) -> Finding {
    if part.healthy() {
        return Finding::new(Health::Green, part.name(), "");
    }
    match (part.need(), part.obtainable()) {
        (_, true) => Finding::new(Health::Yellow, part.name(), "`cargo xtask setup` will get it"),
        (Need::Everything, false) => Finding::new(Health::Red, part.name(), part.remedy()),
        (Need::SomeTests, false) => Finding::new(Health::Yellow, part.name(), part.remedy()),
    }
}

fn at_least(what: &str, command: &mut Command, wanted: (u32, u32), remedy: &str) -> Finding {
    let Some(said) = answer(command) else {
        return Finding::new(Health::Red, what, format!("is missing; get it from {remedy}"));
    };
    match version(&said) {
        Some(found) if found >= wanted => Finding::new(Health::Green, what, said),
        _ => {
            let (major, minor) = wanted;
            let note = format!("{said} is too old, {major}.{minor} is needed: {remedy}");
            Finding::new(Health::Red, what, note)
        }
    }
}

/// The first version number in a text, as far as it is compared.
fn version(text: &str) -> Option<(u32, u32)> {
    let word = text.split_whitespace().find(|word| word.contains('.'))?;
    let mut numbers = word.trim_start_matches('v').split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn component(name: &str, subcommand: &str) -> Finding {
    match answer(Command::new("cargo").args([subcommand, "--version"])) {
        Some(said) => Finding::new(Health::Green, name, said),
        None => Finding::new(
            Health::Yellow,
            name,
            format!("`cargo xtask test` fails without it; `rustup component add {name}`"),
        ),
    }
}

fn npm() -> Finding {
    match answer(Command::new("npm").arg("--version")) {
        Some(said) => Finding::new(Health::Green, "npm", said),
        None => Finding::new(
            Health::Red,
            "npm",
            "is missing; install Node.js with npm (Debian and Ubuntu: `sudo apt-get install npm`)",
        ),
    }
}

fn optional(program: &str, without: &str) -> Finding {
    if environment::on_path(program) {
        return Finding::new(Health::Green, program, "");
    }
    Finding::new(Health::Yellow, program, format!("is missing: {without}"))
}

fn cache(folder: &Path) -> Finding {
    let what = format!("cache {}", folder.display());
    let probe = folder.join("doctor-probe");
    let tried = fs::create_dir_all(folder)
        .and_then(|()| fs::write(&probe, ""))
        .and_then(|()| fs::remove_file(&probe));
    match tried {
        Ok(()) => Finding::new(Health::Green, what, "can be written"),
        Err(error) => Finding::new(
            Health::Red,
            what,
            format!("cannot be written ({error}); set PAGURUS_CACHE to another folder"),
        ),
    }
}

fn port() -> Finding {
    let what = format!("port {DEFAULT_PORT}");
    if port_is_free(DEFAULT_PORT) {
        return Finding::new(Health::Green, what, "is free");
    }
    Finding::new(Health::Yellow, what, "is taken; `cargo xtask dev` takes the next free one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        assert_eq!(version("rustc 1.95.0 (59807616e 2026-04-14)"), Some((1, 95)));
        assert_eq!(version("v24.20.0"), Some((24, 20)));
        assert_eq!(version("no idea"), None);
    }

    #[test]
    fn too_old_and_absent_are_red() {
        let mut old = Command::new("echo");
        let finding = at_least("x", old.arg("rustc 1.80.1"), RUST_MIN, "there");
        assert_eq!(finding.health, Health::Red);
        assert!(finding.note.contains("1.91"), "{}", finding.note);
        let absent = at_least("x", &mut Command::new("/no/such"), RUST_MIN, "there");
        assert_eq!(absent.health, Health::Red);
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_red() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(cache(&folder.path().join("new")).health, Health::Green);
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(cache(&file).health, Health::Red);
    }
}
