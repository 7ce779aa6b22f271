//! The end of the engine is the end of its containers, however it comes.

use rustix::process::Signal;

use crate::support::{Engine, STAYS, gone, parse_pid};

/// A container whose child has its own process group, as a tool runner's has, and one whose child
/// has its own session, as a daemon has.
const WITH_CHILD: [&str; 2] = [
    "set -m; sleep 600 & echo $! > child.new; mv child.new child; wait",
    "setsid sh -c 'echo $$ > child.new; mv child.new child; exec sleep 600' & wait",
];

#[tokio::test]
async fn a_stopped_engine_takes_everything_with_it() {
    for (signal, script) in [Signal::TERM, Signal::INT].into_iter().zip(WITH_CHILD) {
        let engine = Engine::start();
        engine.run("app", script).await;
        let app = engine.pid("app").await;
        let child = parse_pid(&engine.file("app", "child").await);
        let socket = engine.socket();
        let root = engine.end(signal);
        assert_eq!(std::fs::read_dir(root.path().join("work")).unwrap().count(), 0);
        assert!(!socket.exists());
        gone(app).await;
        gone(child).await;
    }
}

#[tokio::test]
async fn a_killed_engine_takes_everything_with_it() {
    let mut root = tempfile::tempdir().unwrap();
    for script in WITH_CHILD {
        let engine = Engine::start_in(root, &[]);
        engine.run("app", script).await;
        let app = engine.pid("app").await;
        let child = parse_pid(&engine.file("app", "child").await);
        root = engine.end(Signal::KILL);
        gone(app).await;
        gone(child).await;
    }

    // Its socket is stale, and the next engine takes it over.
    assert!(root.path().join("socket").exists());
    let engine = Engine::start_in(root, &[]);
    engine.run("app", STAYS).await;
}

#[tokio::test]
async fn a_second_engine_does_not_take_the_socket_of_a_living_one() {
    let engine = Engine::start();
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_container-engine"))
        .arg("--socket")
        .arg(engine.socket())
        .output()
        .unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("another engine is listening"), "{said}");
    assert_eq!(engine.call("GET", "/_ping").await.status, 200);
}

#[test]
fn the_docker_stand_in_reads_a_build_to_its_end() {
    use std::io::Write;
    let mut build = std::process::Command::new(env!("CARGO_BIN_EXE_docker-stand-in"))
        .args(["build", "-t", "x", "-f", "-", "."])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // More than a pipe holds: it would break if nobody read.
    build.stdin.take().unwrap().write_all(&vec![b'#'; 1 << 20]).unwrap();
    assert!(build.wait().unwrap().success());
}
