//! From workerd into the app.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::workerd::{connect_in, exchange};
use crate::support::{Engine, STAYS, closed, soon};

#[tokio::test]
async fn a_connection_is_400_until_the_app_listens_and_then_a_tunnel() {
    let engine = Engine::start();
    let sidecar = engine.run_with_sidecar("app", STAYS).await;
    let port = engine.port("app").await;
    let (head, _) = connect_in(sidecar).await;
    assert_eq!(head.line, "HTTP/1.1 400 Bad Request");

    let app = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let (head, mut tunnel) = connect_in(sidecar).await;
    assert_eq!(head.line, "HTTP/1.1 200 OK");
    let (mut inside, _) = app.accept().await.unwrap();
    tunnel.write_all(b"ping").await.unwrap();
    // A half-closed tunnel still carries the other direction.
    tunnel.shutdown().await.unwrap();
    let mut received = String::new();
    soon("the request", inside.read_to_string(&mut received)).await.unwrap();
    assert_eq!(received, "ping");
    inside.write_all(b"pong").await.unwrap();
    drop(inside);
    received.clear();
    soon("the answer", tunnel.read_to_string(&mut received)).await.unwrap();
    assert_eq!(received, "pong");
}

#[tokio::test]
async fn two_apps_are_reached_each_through_its_own_sidecar() {
    let engine = Engine::start();
    let mut ports = Vec::new();
    for name in ["a1", "a2"] {
        let sidecar = engine.run_with_sidecar(name, STAYS).await;
        let port = engine.port(name).await;
        let app = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let (head, _tunnel) = connect_in(sidecar).await;
        assert_eq!(head.line, "HTTP/1.1 200 OK");
        soon("the right app", app.accept()).await.unwrap();
        ports.extend([sidecar, port]);
    }
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 4);
}

#[tokio::test]
async fn ingress_ends_with_the_app_and_with_the_sidecar() {
    let engine = Engine::start();
    let sidecar = engine.run_with_sidecar("app", STAYS).await;
    let port = engine.port("app").await;
    let app = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let (_, mut tunnel) = connect_in(sidecar).await;
    soon("the app", app.accept()).await.unwrap();

    engine.call("DELETE", "/containers/app?force=true").await;
    let (head, _) = connect_in(sidecar).await;
    assert_eq!(head.line, "HTTP/1.1 400 Bad Request");

    engine.call("DELETE", "/containers/app-proxy?force=true").await;
    let mut rest = Vec::new();
    drop(soon("the tunnel's end", tunnel.read_to_end(&mut rest)).await);
    closed(sidecar).await;
}

#[tokio::test]
async fn an_app_cannot_join_a_network_that_is_not_there() {
    let engine = Engine::start();
    let body = serde_json::json!({"Image": "i", "Cmd": ["true"],
        "HostConfig": {"NetworkMode": "container:app-proxy"}});
    engine.send("POST", "/containers/create?name=app", body.to_string()).await;
    assert_eq!(engine.call("POST", "/containers/app/start").await.status, 404);
    let sidecar = serde_json::json!({"Image": "p"}).to_string();
    engine.send("POST", "/containers/create?name=app-proxy", sidecar).await;
    assert_eq!(engine.call("POST", "/containers/app/start").await.status, 409);
}

#[tokio::test]
async fn the_sidecar_refuses_what_it_does_not_know() {
    let engine = Engine::start();
    let sidecar = engine.run_with_sidecar("app", STAYS).await;
    let cases = [
        ("CONNECT 10.0.0.1:80 HTTP/1.1\r\nHost: x\r\nX-Dst-Addr: 10.0.0.1:80\r\n\r\n", "403"),
        ("CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: x\r\n\r\n", "403"),
        ("PUT /egress HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", "400"),
        ("PUT /egress HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n{\"port\":70000}", "400"),
        ("GET /nonsense HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
        ("GET /ca HTTP/1.1\r\nHost: x\r\n\r\n", "200"),
    ];
    for (request, status) in cases {
        let (head, _) = exchange(sidecar, request).await;
        assert_eq!(head.line.split(' ').nth(1), Some(status), "{request}");
    }
}
