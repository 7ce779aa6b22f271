//! Create, start, wait, kill, delete, inspect.

use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::{Answer, Engine, STAYS, gone, parse_pid, soon, until};

#[tokio::test]
async fn a_container_from_create_to_removal() {
    let engine = Engine::start();
    assert_eq!(engine.call("GET", "/containers/app/json").await.status, 404);

    let created = engine.create("app", STAYS).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.body["Id"].as_str().unwrap().len(), 64);
    assert_eq!(engine.inspect("app").await["State"]["Status"], "created");
    assert_eq!(engine.create("app", STAYS).await.status, 409);

    assert_eq!(engine.call("POST", "/containers/app/start").await.status, 204);
    assert_eq!(engine.call("POST", "/containers/app/start").await.status, 304);
    let inspected = engine.inspect("app").await;
    assert_eq!(inspected["State"]["Status"], "running");
    assert_eq!(inspected["Config"]["Image"], "i");
    let by_id = format!("/containers/{}/json", created.body["Id"].as_str().unwrap());
    assert_eq!(engine.call("GET", &by_id).await.body, inspected);

    let refused = engine.call("DELETE", "/containers/app").await;
    assert_eq!(refused.status, 409);
    assert!(refused.body["message"].as_str().unwrap().contains("running"));
    let pid = engine.pid("app").await;
    assert_eq!(engine.call("DELETE", "/containers/app?force=true").await.status, 204);
    gone(pid).await;
    assert_eq!(engine.call("GET", "/containers/app/json").await.status, 404);
    assert_eq!(engine.call("DELETE", "/containers/app?force=true").await.status, 404);
    assert_eq!(engine.call("POST", "/containers/app/wait?condition=removed").await.status, 404);
    assert!(!engine.folder("app").exists());
}

#[tokio::test]
async fn every_call_on_a_container_that_is_not_there_is_404_with_a_message() {
    let engine = Engine::start();
    let calls = [
        ("GET", "/containers/no/json"),
        ("POST", "/containers/no/start"),
        ("POST", "/containers/no/wait"),
        ("POST", "/containers/no/kill?signal=SIGTERM"),
        ("DELETE", "/containers/no?force=true"),
        ("PUT", "/containers/no/archive?path=%2Fetc"),
    ];
    for (method, target) in calls {
        let expected = json!({"message": "No such container: no"});
        assert_eq!(engine.call(method, target).await, Answer { status: 404, body: expected });
    }
}

#[tokio::test]
async fn a_wait_lasts_until_the_exit_and_tells_its_code() {
    let engine = Engine::start();
    engine.run("app", "while [ ! -e go ]; do sleep 0.01; done; exit 3").await;
    let wait = begin(&engine, "/containers/app/wait").await;
    assert!(!wait.is_finished());
    std::fs::write(engine.folder("app").join("go"), "").unwrap();
    assert_eq!(soon("the wait", wait).await.unwrap(), "{\"StatusCode\":3}");
    let state = engine.inspect("app").await["State"].clone();
    assert_eq!((&state["Status"], &state["ExitCode"]), (&json!("exited"), &json!(3)));
    // A wait for what is over already is answered at once.
    assert_eq!(engine.wait("app").await, 3);
}

#[tokio::test]
async fn a_crash_is_not_restarted_whatever_the_policy_says() {
    let engine = Engine::start();
    engine.run("app", "echo run >> runs; exit 1").await;
    assert_eq!(engine.wait("app").await, 1);
    assert_eq!(engine.inspect("app").await["State"]["Status"], "exited");
    assert_eq!(engine.file("app", "runs").await, "run\n");
}

#[tokio::test]
async fn a_wait_for_removal_outlasts_the_exit() {
    let engine = Engine::start();
    engine.run("app", "exit 5").await;
    let wait = begin(&engine, "/containers/app/wait?condition=removed").await;
    assert_eq!(engine.wait("app").await, 5);
    assert!(!wait.is_finished());
    assert_eq!(engine.call("DELETE", "/containers/app").await.status, 204);
    assert_eq!(soon("the wait", wait).await.unwrap(), "{\"StatusCode\":5}");
}

#[tokio::test]
async fn signals_reach_the_process_and_death_by_one_is_128_and_more() {
    let engine = Engine::start();
    for (signal, code) in [("SIGTERM", 143), ("SIGKILL", 137)] {
        engine.run(signal, STAYS).await;
        engine.port(signal).await;
        let kill = format!("/containers/{signal}/kill?signal={signal}");
        assert_eq!(engine.call("POST", &kill).await.status, 204);
        assert_eq!(engine.wait(signal).await, code);
        assert_eq!(engine.call("POST", &kill).await.status, 409);
    }
    engine.run("app", "trap 'exit 7' TERM; touch ready; while :; do sleep 0.01; done").await;
    engine.file("app", "ready").await;
    assert_eq!(engine.call("POST", "/containers/app/kill?signal=SIGTERM").await.status, 204);
    assert_eq!(engine.wait("app").await, 7);
}

#[tokio::test]
async fn a_signal_reaches_the_whole_group() {
    let engine = Engine::start();
    // The child says that it is ready, and it is only once its own program runs: until then it has
    // the shell's trap.
    let child = "sh -c 'echo $$ > child.new; mv child.new child; exec sleep 600'";
    engine.run("app", &format!("trap : TERM; {child} & wait; exit 0")).await;
    let child = parse_pid(&engine.file("app", "child").await);
    assert_eq!(engine.call("POST", "/containers/app/kill?signal=SIGTERM").await.status, 204);
    gone(child).await;
    assert_eq!(engine.wait("app").await, 0);
}

#[tokio::test]
async fn nothing_outlives_the_first_process() {
    let engine = Engine::start();
    // `set -m` gives the child a process group of its own, as a tool runner does.
    engine.run("app", "set -m; sleep 600 & echo $! > child; exit 0").await;
    assert_eq!(engine.wait("app").await, 0);
    gone(parse_pid(&engine.file("app", "child").await)).await;
}

/// Starts a process in a session of its own, as `setsid nohup … &` in a tool's command does.
const WITH_DAEMON: &str = "setsid nohup sh -c 'echo $$ > daemon.new; mv daemon.new daemon; \
    sleep 600 & wait' > /dev/null 2>&1 & ";

#[tokio::test]
async fn a_daemon_of_the_container_does_not_outlive_it() {
    let engine = Engine::start();
    // Another container's daemon, and one of a container that was killed, are told apart.
    engine.run("other", &format!("{WITH_DAEMON} exec sleep 600")).await;
    let other = parse_pid(&engine.file("other", "daemon").await);
    for end in ["exit 0", "kill -9 $$"] {
        let script = format!("{WITH_DAEMON} while [ ! -e daemon ]; do sleep 0.01; done; {end}");
        engine.run("app", &script).await;
        engine.wait("app").await;
        gone(parse_pid(&engine.file("app", "daemon").await)).await;
        assert_eq!(engine.call("DELETE", "/containers/app").await.status, 204);
    }
    rustix::process::test_kill_process(other).unwrap();
    assert_eq!(engine.call("DELETE", "/containers/other?force=true").await.status, 204);
    gone(other).await;
}

#[tokio::test]
async fn a_container_can_be_started_again_and_keeps_its_disk() {
    let engine = Engine::start();
    engine.run("app", "echo run >> runs; exit 4").await;
    assert_eq!(engine.wait("app").await, 4);
    assert_eq!(engine.call("POST", "/containers/app/start").await.status, 204);
    assert_eq!(engine.wait("app").await, 4);
    assert_eq!(engine.file("app", "runs").await, "run\nrun\n");
}

#[tokio::test]
async fn a_new_container_has_a_fresh_disk() {
    let engine = Engine::start();
    engine.run("app", "echo $HOME $WORKSPACE_DIR $PWD > where; mkdir deep; exit 0").await;
    assert_eq!(engine.wait("app").await, 0);
    let folder = engine.folder("app").canonicalize().unwrap();
    let folder = folder.to_str().unwrap();
    assert_eq!(engine.file("app", "where").await, format!("{folder} {folder} {folder}\n"));
    assert_eq!(engine.call("DELETE", "/containers/app?force=1").await.status, 204);

    // Left behind by an engine that was killed.
    std::fs::create_dir_all(engine.folder("app")).unwrap();
    std::fs::write(engine.folder("app").join("stale"), "").unwrap();
    assert_eq!(engine.create("app", STAYS).await.status, 201);
    assert_eq!(std::fs::read_dir(engine.folder("app")).unwrap().count(), 0);
    let discarded = || std::fs::read_dir(engine.root.path().join("work")).unwrap().count() == 1;
    until("the discarded folders to go", || discarded().then_some(())).await;
}

#[tokio::test]
async fn the_default_command_runs_where_the_body_has_none() {
    let engine = Engine::start_with(&["/bin/sh", "-c", "exit 9"]);
    let body = json!({"Image": "i", "Cmd": null}).to_string();
    let created = engine.send("POST", "/containers/create?name=app", body.clone()).await;
    assert_eq!(created.status, 201);
    engine.call("POST", "/containers/app/start").await;
    assert_eq!(engine.wait("app").await, 9);

    let bare = Engine::start();
    let refused = bare.send("POST", "/containers/create?name=app", body).await;
    assert_eq!(refused.status, 400);
    assert!(refused.body["message"].as_str().unwrap().contains("no command"));
}

#[tokio::test]
async fn bad_create_bodies_and_names_change_nothing() {
    let engine = Engine::start();
    let good = json!({"Image": "i", "Cmd": ["true"]}).to_string();
    let cases = [
        ("/containers/create?name=..%2Fevil", good.as_str()),
        ("/containers/create?name=a%20b", &good),
        ("/containers/create", &good),
        ("/containers/create?name=app", ""),
        ("/containers/create?name=app", "{"),
        ("/containers/create?name=app", r#"{"Cmd":"true"}"#),
        ("/containers/create?name=app", r#"{"Cmd":["true"],"Env":["novalue"]}"#),
    ];
    for (target, body) in cases {
        let answer = engine.send("POST", target, body.to_owned()).await;
        assert_eq!(answer.status, 400, "{target} {body}");
        assert!(answer.body["message"].is_string(), "{target} {body}");
    }
    let huge = vec![b' '; container_engine::limits::CREATE_BODY_BYTES_MAX + 1];
    let refused = engine.send("POST", "/containers/create?name=app", huge).await;
    assert_eq!(refused.status, 413);
    assert_eq!(engine.call("GET", "/containers/json?all=1").await.body, json!([]));
    assert_eq!(std::fs::read_dir(engine.root.path().join("work")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_a_fault_of_the_create_body() {
    let engine = Engine::start();
    let body = json!({"Image": "i", "Cmd": ["/nowhere/app"]}).to_string();
    engine.send("POST", "/containers/create?name=app", body).await;
    let answer = engine.call("POST", "/containers/app/start").await;
    assert_eq!(answer.status, 400);
    assert!(answer.body["message"].as_str().unwrap().contains("/nowhere/app"), "{answer:?}");
    assert_eq!(engine.inspect("app").await["State"]["Status"], "created");
}

#[tokio::test]
async fn the_output_is_appended_to_the_log() {
    let engine = Engine::start();
    engine.run("app", "echo to-stdout; echo to-stderr >&2").await;
    engine.wait("app").await;
    let log = std::fs::read_to_string(engine.root.path().join("logs/app.log")).unwrap();
    for part in ["to-stdout\n", "to-stderr\n", "exited with code 0\n"] {
        assert!(log.contains(part), "{log}");
    }
}

/// Begins a call that does not end yet: returns once the engine has the request.
async fn begin(engine: &Engine, target: &str) -> JoinHandle<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::UnixStream::connect(engine.socket()).await.unwrap();
    let request = format!("POST {target} HTTP/1.1\r\nHost: l\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    // The engine has one thread and takes connections in order: when it has answered a later one,
    // it has begun with this one.
    engine.call("GET", "/_ping").await;
    tokio::spawn(async move {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    })
}

#[tokio::test]
async fn disks_of_engines_that_were_killed_filled_the_machine() {
    let root = tempfile::tempdir().unwrap();
    let work = root.path().join("work");
    for name in ["workerd-1-Agent-2", "mine"] {
        std::fs::create_dir_all(work.join(name)).unwrap();
        std::fs::write(work.join(name).join("file"), "").unwrap();
    }
    let _engine = Engine::start_in(root, &[]);
    let left = || {
        let names = std::fs::read_dir(&work).unwrap().map(|entry| entry.unwrap().file_name());
        (names.collect::<Vec<_>>() == ["mine"]).then_some(())
    };
    until("the old disk to go", left).await;
    assert!(work.join("mine/file").exists());
}
