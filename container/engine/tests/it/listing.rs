//! Listings, and the calls that say what this engine is.

use serde_json::json;

use crate::support::{Engine, STAYS};

#[tokio::test]
async fn the_listing_honours_all_and_labels() {
    let engine = Engine::start();
    for (name, session) in [("a1", "x"), ("a2", "y")] {
        let body = json!({"Image": "i", "Cmd": ["/bin/sh", "-c", STAYS],
            "Labels": {"dev.workerd.session": session}});
        let target = format!("/containers/create?name={name}");
        engine.send("POST", &target, body.to_string()).await;
    }
    engine.call("POST", "/containers/a1/start").await;
    let names = |target: &str| {
        let target = target.to_owned();
        let engine = &engine;
        async move {
            let listed = engine.call("GET", &target).await.body;
            let listed = listed.as_array().unwrap().clone();
            listed.iter().map(|found| found["Names"][0].as_str().unwrap().to_owned()).collect()
        }
    };
    let all: Vec<String> = names("/containers/json?all=1").await;
    assert_eq!(all, ["/a1", "/a2"]);
    let running: Vec<String> = names("/containers/json").await;
    assert_eq!(running, ["/a1"]);
    // {"label":["dev.workerd.session=y"]}
    let filter = "filters=%7B%22label%22%3A%5B%22dev.workerd.session%3Dy%22%5D%7D";
    let of_session: Vec<String> = names(&format!("/containers/json?all=1&{filter}")).await;
    assert_eq!(of_session, ["/a2"]);
}

#[tokio::test]
async fn loopback_is_the_bridge_and_there_are_no_volumes() {
    let engine = Engine::start();
    let bridge = engine.call("GET", "/networks/bridge").await.body;
    let expected = json!([{"Subnet": "127.0.0.0/8", "Gateway": "127.0.0.1"}]);
    assert_eq!(bridge["IPAM"]["Config"], expected);
    let volumes = engine.call("GET", "/volumes?filters=%7B%7D").await.body;
    assert_eq!(volumes["Volumes"], json!([]));
    assert_eq!(engine.call("DELETE", "/volumes/clone").await.status, 404);
    for target in ["/_ping", "/version", "/info", "/v1.43/version"] {
        assert_eq!(engine.call("GET", target).await.status, 200, "{target}");
    }
}

#[tokio::test]
async fn what_needs_images_or_namespaces_is_501_with_a_reason() {
    let engine = Engine::start();
    let calls = [
        ("POST", "/containers/app/exec"),
        ("POST", "/exec/1/start"),
        ("POST", "/commit?container=app"),
        ("POST", "/volumes/create"),
        ("GET", "/images/x/json"),
    ];
    for (method, target) in calls {
        let answer = engine.call(method, target).await;
        assert_eq!(answer.status, 501, "{target}");
        assert!(answer.body["message"].as_str().unwrap().contains("not supported"), "{target}");
    }
    assert_eq!(engine.call("GET", "/nonsense").await.status, 404);
}

#[tokio::test]
async fn the_limits_are_printed_and_the_socket_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let engine = Engine::start();
    assert!(engine.greeting().contains("no isolation"), "{}", engine.greeting());
    let mode = std::fs::metadata(engine.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
