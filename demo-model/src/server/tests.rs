use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::*;

async fn started() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, Duration::ZERO));
    address
}

fn post(address: SocketAddr, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

async fn posted(path: &'static str, body: String) -> String {
    let address = started().await;
    tokio::task::spawn_blocking(move || post(address, path, &body)).await.unwrap()
}

const HELLO: &str =
    r#"{"model":"demo","stream":true,"messages":[{"role":"user","content":"hello"}]}"#;

#[tokio::test]
async fn both_routes_stream_events() {
    for (path, end) in [("/v1/messages", "message_stop"), ("/v1/chat/completions", "[DONE]")] {
        let answer = posted(path, HELLO.into()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.to_lowercase().contains("content-type: text/event-stream"), "{answer}");
        assert!(answer.contains("You said") && answer.contains(end), "{answer}");
    }
}

#[tokio::test]
async fn nonsense_is_refused_in_the_formats_own_words() {
    for (body, why) in [
        ("nonsense", "not JSON"),
        ("{}", "stream"),
        (r#"{"stream":true,"model":"m"}"#, "messages"),
        (r#"{"stream":true,"model":"m","messages":[{"role":"robot","content":"x"}]}"#, "role"),
    ] {
        for path in ["/v1/messages", "/v1/chat/completions"] {
            let answer = posted(path, body.into()).await;
            assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
            assert!(answer.contains("invalid_request_error") && answer.contains(why), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused() {
    let answer = posted("/v1/messages", " ".repeat(REQUEST_BYTES_MAX + 1)).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}
