//! From the app through workerd to the Worker or the origin. The tests speak to the forward proxy
//! as the app would.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::workerd::{
    Egress, connect_in, dial, exchange, put_egress, read_body, read_head,
};
use crate::support::{Engine, closed, soon};

/// An app that says where its proxy is.
const TELLS: &str = "env > env.new; mv env.new env; exec sleep 600";

struct World {
    engine: Engine,
    sidecar: u16,
    proxy: u16,
}

impl World {
    async fn start() -> Self {
        let engine = Engine::start();
        let sidecar = engine.run_with_sidecar("app", TELLS).await;
        let proxy = proxy_of(&engine).await;
        Self { engine, sidecar, proxy }
    }

    async fn get(&self, url: &str) -> (String, String) {
        let host = url.trim_start_matches("http://").split('/').next().unwrap();
        let request = format!("GET {url} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let (head, body) = soon(url, exchange(self.proxy, &request)).await;
        (head.line, body)
    }
}

/// The proxy that the present life of the app was given.
async fn proxy_of(engine: &Engine) -> u16 {
    let environment = engine.file("app", "env").await;
    let proxy = environment.lines().find_map(|line| line.strip_prefix("HTTP_PROXY=")).unwrap();
    proxy.rsplit(':').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_app_gets_its_own_environment_and_none_of_the_engines() {
    let world = World::start().await;
    let environment = world.engine.file("app", "env").await;
    let value = |name: &str| environment.lines().find_map(|line| line.strip_prefix(name));
    let proxy = format!("http://127.0.0.1:{}", world.proxy);
    for name in ["HTTP_PROXY=", "http_proxy=", "HTTPS_PROXY=", "https_proxy="] {
        assert_eq!(value(name), Some(proxy.as_str()), "{name}");
    }
    assert_eq!(value("FOO="), Some("bar"));
    assert_ne!(value("PORT="), Some("8080"));
    assert_eq!(value("ENGINE_SECRET="), None);
}

#[tokio::test]
async fn before_workerd_says_where_egress_goes_there_is_none() {
    let world = World::start().await;
    let (line, body) = world.get("http://edge.internal/x").await;
    assert_eq!(line, "HTTP/1.1 502 Bad Gateway");
    assert!(body.contains("PUT /egress"), "{body}");
}

#[tokio::test]
async fn a_mapped_host_is_the_worker_and_its_tunnel_is_used_again() {
    let world = World::start().await;
    let egress = Egress::start("w1").await;
    put_egress(world.sidecar, egress.port).await;

    let mut app = dial(world.proxy, "").await;
    for turn in 0..3 {
        let request = format!(
            "POST http://edge.internal/model?n={turn} HTTP/1.1\r\nHost: wrong.example\r\n\
             Proxy-Connection: keep-alive\r\nX-Mine: 1\r\nContent-Length: 4\r\n\r\nbody"
        );
        app.write_all(request.as_bytes()).await.unwrap();
        let head = read_head(&mut app).await.unwrap();
        let body = read_body(&mut app, &head).await;
        assert_eq!(body, format!("w1 POST /model?n={turn} HTTP/1.1 body"));
    }
    // A second connection of the app shares the tunnel.
    assert_eq!(world.get("http://edge.internal/y").await.1, "w1 GET /y HTTP/1.1 ");

    let tunnels = egress.seen.tunnels.lock().unwrap().clone();
    assert_eq!(tunnels.len(), 1);
    assert_eq!(tunnels[0].line, "CONNECT 10.0.0.1:80 HTTP/1.1");
    assert_eq!(tunnels[0].fields["x-hostname"], "edge.internal");
    let requests = egress.seen.requests.lock().unwrap().clone();
    assert_eq!(requests[0].fields["host"], "edge.internal");
    assert_eq!(requests[0].fields["x-mine"], "1");
    assert!(!requests[0].fields.contains_key("proxy-connection"));
}

#[tokio::test]
async fn a_stream_arrives_as_it_comes() {
    let world = World::start().await;
    let egress = Egress::start("w1").await;
    put_egress(world.sidecar, egress.port).await;
    let request = "GET http://edge.internal/stream HTTP/1.1\r\nHost: e\r\n\r\n";
    let mut app = dial(world.proxy, request).await;
    read_head(&mut app).await.unwrap();
    let mut first = [0; 10];
    soon("the first half, alone", app.read_exact(&mut first)).await.unwrap();
    assert_eq!(&first, b"5\r\nfirst\r\n");
    egress.seen.second_half.notify_one();
    let mut rest = [0; 16];
    soon("the second half", app.read_exact(&mut rest)).await.unwrap();
    assert_eq!(&rest, b"6\r\nsecond\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_stream_that_is_cut_off_looks_cut_off() {
    let world = World::start().await;
    let egress = Egress::start("w1").await;
    put_egress(world.sidecar, egress.port).await;
    let request = "GET http://edge.internal/stream/cut HTTP/1.1\r\nHost: e\r\n\r\n";
    let mut app = dial(world.proxy, request).await;
    read_head(&mut app).await.unwrap();
    egress.seen.second_half.notify_one();
    let mut rest = Vec::new();
    drop(soon("the end", app.read_to_end(&mut rest)).await);
    assert_eq!(String::from_utf8(rest).unwrap(), "5\r\nfirst\r\n");
}

/// As much as neither this machine's socket buffers nor hyper's hold.
const UPLOAD_BYTES: usize = 3 * 1024 * 1024;

fn upload(path: &str) -> Vec<u8> {
    let head = format!(
        "POST http://edge.internal{path} HTTP/1.1\r\nHost: e\r\n\
         Content-Length: {UPLOAD_BYTES}\r\n\r\n"
    );
    let mut request = head.into_bytes();
    request.resize(request.len() + UPLOAD_BYTES, b'x');
    request
}

#[tokio::test]
async fn an_early_answer_arrives_though_its_sender_hangs_up() {
    let world = World::start().await;
    let egress = Egress::start("w1").await;
    put_egress(world.sidecar, egress.port).await;
    let request = upload("/early");
    let mut app = dial(world.proxy, "").await;
    for turn in 0..50 {
        // Nothing is read before all is written: the connection must bear that.
        soon("the upload", app.write_all(&request)).await.unwrap();
        let head = read_head(&mut app).await.unwrap();
        assert_eq!(head.line, "HTTP/1.1 413 Payload Too Large", "turn {turn}");
        assert_eq!(read_body(&mut app, &head).await, "too long", "turn {turn}");
        // The tunnel that was hung up on is not used again.
        let (line, body) = world.get("http://edge.internal/next").await;
        assert_eq!((line.as_str(), body.as_str()), ("HTTP/1.1 200 OK", "w1 GET /next HTTP/1.1 "));
    }
}

#[tokio::test]
async fn an_early_answer_does_not_wait_for_the_upload() {
    let world = World::start().await;
    let egress = Egress::start("w1").await;
    put_egress(world.sidecar, egress.port).await;
    let (reading, mut writing) = dial(world.proxy, "").await.into_inner().into_split();
    let request = upload("/early/wait");
    let sent = tokio::spawn(async move { writing.write_all(&request).await.map(|()| writing) });
    let mut reading = tokio::io::BufReader::new(reading);
    let head = soon("the answer", read_head(&mut reading)).await.unwrap();
    assert_eq!(head.line, "HTTP/1.1 413 Payload Too Large");
    egress.seen.second_half.notify_one();
    soon("the rest of the upload", sent).await.unwrap().unwrap();
}

#[tokio::test]
async fn hanging_up_without_an_answer_is_said_after_the_upload() {
    let world = World::start().await;
    let egress = Egress::start("w1").await;
    put_egress(world.sidecar, egress.port).await;
    let mut app = dial(world.proxy, "").await;
    soon("the upload", app.write_all(&upload("/early/silent"))).await.unwrap();
    let head = read_head(&mut app).await.unwrap();
    assert_eq!(head.line, "HTTP/1.1 502 Bad Gateway");
    let body = read_body(&mut app, &head).await;
    assert!(body.contains("got no answer"), "{body}");
}

#[tokio::test]
async fn every_life_has_its_own_proxy_and_takes_it_along() {
    let world = World::start().await;
    let egress = Egress::start("w1").await;
    put_egress(world.sidecar, egress.port).await;
    // A connection, a stream and a tunnel that a former life has open.
    let mut idle =
        dial(world.proxy, "GET http://edge.internal/x HTTP/1.1\r\nHost: e\r\n\r\n").await;
    let head = read_head(&mut idle).await.unwrap();
    read_body(&mut idle, &head).await;
    let request = "GET http://edge.internal/stream HTTP/1.1\r\nHost: e\r\n\r\n";
    let mut stream = dial(world.proxy, request).await;
    read_head(&mut stream).await.unwrap();
    let request = "CONNECT edge.internal:80 HTTP/1.1\r\nHost: edge.internal:80\r\n\r\n";
    let mut tunnel = dial(world.proxy, request).await;
    read_head(&mut tunnel).await.unwrap();

    assert_eq!(world.engine.call("POST", "/containers/app/kill?signal=SIGKILL").await.status, 204);
    assert_eq!(world.engine.wait("app").await, 137);
    let old = world.proxy;
    let refused = tokio::net::TcpStream::connect(("127.0.0.1", old)).await;
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    for connection in [&mut idle, &mut stream, &mut tunnel] {
        let mut rest = Vec::new();
        drop(soon("its end", connection.read_to_end(&mut rest)).await);
    }

    // The sidecar stayed, as workerd's does, and the next life goes out through it.
    std::fs::remove_file(world.engine.folder("app").join("env")).unwrap();
    assert_eq!(world.engine.call("POST", "/containers/app/start").await.status, 204);
    let world = World { proxy: proxy_of(&world.engine).await, ..world };
    assert_ne!(world.proxy, old);
    assert_eq!(world.get("http://edge.internal/y").await.1, "w1 GET /y HTTP/1.1 ");
    assert_eq!(world.engine.call("DELETE", "/containers/app?force=true").await.status, 204);
    closed(world.proxy).await;
}

#[tokio::test]
async fn bytes_to_other_hosts_pass_as_they_are() {
    let world = World::start().await;
    let egress = Egress::start("w1").await;
    put_egress(world.sidecar, egress.port).await;
    let request = "CONNECT 10.9.9.9:443 HTTP/1.1\r\nHost: 10.9.9.9:443\r\n\r\n";
    let mut app = dial(world.proxy, request).await;
    let head = read_head(&mut app).await.unwrap();
    assert_eq!(head.line, "HTTP/1.1 200 OK");
    app.write_all(b"\x16\x03\x01 raw").await.unwrap();
    app.shutdown().await.unwrap();
    let mut received = Vec::new();
    soon("the echo", app.read_to_end(&mut received)).await.unwrap();
    assert_eq!(received, b"hello \x16\x03\x01 raw");
    let tunnel = egress.seen.tunnels.lock().unwrap()[0].clone();
    assert_eq!(tunnel.line, "CONNECT 10.9.9.9:443 HTTP/1.1");
    assert_eq!(tunnel.fields["x-tls-sni"], "10.9.9.9");
}

#[tokio::test]
async fn a_tunnel_to_a_mapped_host_carries_plain_http_but_no_tls() {
    let world = World::start().await;
    let egress = Egress::start("w1").await;
    put_egress(world.sidecar, egress.port).await;
    let request = "CONNECT edge.internal:80 HTTP/1.1\r\nHost: edge.internal:80\r\n\r\n";
    let mut app = dial(world.proxy, request).await;
    assert_eq!(read_head(&mut app).await.unwrap().line, "HTTP/1.1 200 OK");
    app.write_all(b"GET /t HTTP/1.1\r\nHost: edge.internal\r\n\r\n").await.unwrap();
    let head = read_head(&mut app).await.unwrap();
    assert_eq!(read_body(&mut app, &head).await, "w1 GET /t HTTP/1.1 ");

    let request = "CONNECT edge.internal:443 HTTP/1.1\r\nHost: edge.internal:443\r\n\r\n";
    let (head, body) = exchange(world.proxy, request).await;
    assert_eq!(head.line, "HTTP/1.1 502 Bad Gateway");
    assert!(body.contains("use http://edge.internal"), "{body}");
}

#[tokio::test]
async fn a_switch_of_protocols_becomes_a_tunnel() {
    let world = World::start().await;
    let egress = Egress::start("w1").await;
    put_egress(world.sidecar, egress.port).await;
    let request = "GET http://edge.internal/socket HTTP/1.1\r\nHost: e\r\n\
                   Connection: Upgrade\r\nUpgrade: x\r\n\r\n";
    let mut app = dial(world.proxy, request).await;
    let head = read_head(&mut app).await.unwrap();
    assert_eq!(head.line, "HTTP/1.1 101 Switching Protocols");
    let mut received = [0; 2];
    soon("the first bytes", app.read_exact(&mut received)).await.unwrap();
    assert_eq!(&received, b"hi");
}

#[tokio::test]
async fn after_a_restart_of_workerd_nothing_uses_the_old_port() {
    let world = World::start().await;
    let old = Egress::start("old").await;
    put_egress(world.sidecar, old.port).await;
    assert_eq!(world.get("http://edge.internal/1").await.1, "old GET /1 HTTP/1.1 ");

    // The old one still listens and its tunnel is still open and idle.
    let new = Egress::start("new").await;
    put_egress(world.sidecar, new.port).await;
    assert_eq!(world.get("http://edge.internal/2").await.1, "new GET /2 HTTP/1.1 ");
    assert_eq!((old.seen.tunnel_count(), new.seen.tunnel_count()), (1, 1));

    new.stop();
    closed(new.port).await;
    let (line, body) = world.get("http://other.internal/3").await;
    assert_eq!(line, "HTTP/1.1 502 Bad Gateway");
    assert!(body.contains("is it running"), "{body}");
}

#[tokio::test]
async fn names_that_workerd_announces_need_no_resolver_and_others_do() {
    let world = World::start().await;
    let egress = Egress::start("w1").await;
    put_egress(world.sidecar, egress.port).await;
    // `.invalid` resolves nowhere (RFC 6761).
    assert_eq!(world.get("http://mapped.invalid/a").await.1, "w1 GET /a HTTP/1.1 ");
    let (line, body) = world.get("http://unknown.invalid/a").await;
    assert_eq!(line, "HTTP/1.1 502 Bad Gateway");
    assert!(body.contains("unknown.invalid"), "{body}");
}

#[tokio::test]
async fn refusals_and_bad_requests_say_why() {
    let world = World::start().await;
    let egress = Egress::start("w1").await;
    put_egress(world.sidecar, egress.port).await;
    let (line, body) = world.get("http://refused.internal/").await;
    assert_eq!(line, "HTTP/1.1 502 Bad Gateway");
    assert!(body.contains("403"), "{body}");
    let cases = ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT x HTTP/1.1\r\nHost: x\r\n\r\n"];
    for request in cases {
        let (head, _) = exchange(world.proxy, request).await;
        assert_eq!(head.line, "HTTP/1.1 400 Bad Request", "{request}");
    }
}

#[tokio::test]
async fn containers_of_a_session_whose_workerd_is_gone_are_removed() {
    let engine = Engine::start();
    let gone = Egress::start("gone").await;
    let alive = Egress::start("alive").await;
    let script = crate::support::STAYS;
    let sidecar = engine.run_in_session("s1-app", script, "s1").await;
    put_egress(sidecar, gone.port).await;
    let sidecar = engine.run_in_session("s2-app", script, "s2").await;
    put_egress(sidecar, alive.port).await;
    gone.stop();
    closed(gone.port).await;

    let sidecar = engine.run_in_session("s3-app", script, "s3").await;
    let wait = engine.call("POST", "/containers/s1-app-proxy/wait?condition=removed").await;
    assert!(wait.status == 200 || wait.status == 404, "{wait:?}");
    assert_eq!(engine.call("GET", "/containers/s1-app/json").await.status, 404);
    for name in ["s2-app", "s2-app-proxy", "s3-app", "s3-app-proxy"] {
        assert_eq!(engine.inspect(name).await["State"]["Status"], "running", "{name}");
    }
    let (head, _) = connect_in(sidecar).await;
    assert_eq!(head.line, "HTTP/1.1 400 Bad Request");
}
