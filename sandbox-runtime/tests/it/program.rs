//! The program at the terminal: help, version, wrong settings, and the proxy.

use std::process::Output;

use protocol::session::Outcome;

use crate::answers::says;
use crate::world::{World, patiently, program};

async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = program();
    let output = command.args(arguments).envs(environment.iter().copied()).output();
    let Output { status, stdout, stderr } = patiently(output).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[tokio::test]
async fn help_and_version() {
    let (code, help, _) = run(&["--help"], &[]).await;
    assert_eq!(code, Some(0));
    for name in ["PORT", "EDGE_URL", "AGENT_ID", "EPOCH", "WORKSPACE_DIR", "LOG"] {
        assert!(help.contains(name), "{name} is not explained");
    }
    let (code, version, _) = run(&["--version"], &[]).await;
    assert_eq!(
        (code, version),
        (Some(0), format!("sandbox-runtime {}\n", env!("CARGO_PKG_VERSION")))
    );
    assert_eq!(run(&["serve"], &[]).await.0, Some(2));
}

#[tokio::test]
async fn all_wrong_settings_are_reported_at_once() {
    let wrong = [
        ("PORT", "eighty"),
        ("EDGE_URL", "https://edge.internal"),
        ("AGENT_ID", "a/b"),
        ("EPOCH", "-1"),
        ("LOG", "loud"),
        ("MODEL_IDLE_TIMEOUT_MS", "1s"),
    ];
    let (code, _, said) = run(&[], &wrong).await;
    assert_eq!(code, Some(2));
    for (name, value) in wrong {
        assert!(said.contains(&format!("{name}={value:?}")) || name == "EDGE_URL", "{said}");
    }
    assert!(said.contains("EDGE_URL=\"https://edge.internal/\": it must be an http:// address"));
}

#[tokio::test]
async fn a_port_that_is_taken() {
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, _, said) = run(&[], &[("PORT", &port)]).await;
    assert_eq!(code, Some(2));
    assert!(said.contains(&format!("port {port} could not be bound")), "{said}");
}

#[tokio::test]
async fn the_edge_is_reached_through_the_proxy() {
    let world = World::new().await;
    // The fake edge answers absolute-form requests as a proxy would.
    let proxy = format!("http://{}", world.edge.address);
    let environment = [("EDGE_URL", "http://edge.internal"), ("HTTP_PROXY", proxy.as_str())];
    let life = world.live_with(&environment).await;
    world.edge.script([says("through")]);
    assert_eq!(life.outcome(&world.edge.say("s", "t", "go")).await, Outcome::Completed);
}
