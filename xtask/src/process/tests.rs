use std::fs;
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn crew() -> (tempfile::TempDir, Crew<ChildEvent>, Receiver<ChildEvent>) {
    let folder = tempfile::tempdir().unwrap();
    let (tell, hears) = mpsc::channel();
    let crew = Crew::new(folder.path().join("logs"), tell).unwrap();
    (folder, crew, hears)
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn line(hears: &Receiver<ChildEvent>) -> String {
    match hears.recv_timeout(PATIENCE).unwrap() {
        ChildEvent::Line { line, .. } => line,
        ChildEvent::Ended { name } => panic!("{name} ended"),
    }
}

fn alive(pid: &str) -> bool {
    // A zombie that init has not yet reaped is dead.
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state
        .rsplit(')')
        .next()
        .is_some_and(|rest| !rest.trim_start().starts_with('Z') && !rest.is_empty())
}

/// A killed process is gone a moment after the signal.
fn dies(pid: &str) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while alive(pid) && Instant::now() < deadline {
        std::thread::yield_now();
    }
    !alive(pid)
}

#[test]
fn lines_are_told_and_kept() {
    let (_folder, mut crew, hears) = crew();
    crew.start("talker", &shell("echo one; echo two >&2; cat")).unwrap();
    let mut lines = [line(&hears), line(&hears)];
    lines.sort();
    assert_eq!(lines, ["one", "two"]);
    let tail = crew.tail("talker").unwrap();
    assert!(tail.contains("one") && tail.contains("two"));
}

#[test]
fn an_unexpected_end_is_told() {
    let (_folder, mut crew, hears) = crew();
    crew.start("short", &shell("exit 3")).unwrap();
    let event = hears.recv_timeout(PATIENCE).unwrap();
    assert_eq!(event, ChildEvent::Ended { name: "short" });
    crew.stop();
}

#[test]
fn stopping_asks_first_and_takes_the_whole_group() {
    let (folder, mut crew, hears) = crew();
    let goodbye = folder.path().join("goodbye");
    // The grandchild ignores TERM; the leader says goodbye.
    let script = format!(
        "trap 'echo bye > {}; exit 0' TERM; (trap '' TERM; exec sleep 600) & echo $!; \
         while :; do wait; done",
        goodbye.display()
    );
    crew.start("leader", &shell(&script)).unwrap();
    let grandchild = line(&hears);
    assert!(alive(&grandchild));
    crew.stop();
    assert!(goodbye.exists(), "the leader was not asked");
    assert!(dies(&grandchild), "the grandchild lives");
}

#[test]
fn a_dropped_crew_leaves_nobody() {
    let (_folder, mut crew, hears) = crew();
    crew.start("sleeper", &shell("echo $$; exec sleep 600")).unwrap();
    let pid = line(&hears);
    drop(crew);
    assert!(dies(&pid));
}

#[test]
fn a_failed_command_shows_the_end_of_its_output() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("deep/er/log");
    let error = run_logged(&mut shell("seq 1000; echo why >&2; exit 1"), &log).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("why") && text.contains("1000") && !text.contains("\n900\n"), "{text}");
    assert!(answer(&mut shell("echo ' 1.2 '; exit 0")).as_deref() == Some("1.2"));
    assert_eq!(answer(&mut shell("echo x; exit 1")), None);
    assert_eq!(answer(&mut Command::new("/no/such/program")), None);
}
