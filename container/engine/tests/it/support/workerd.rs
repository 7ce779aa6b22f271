//! What workerd does towards a sidecar: it connects in, says where egress goes, and listens there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// A head: the first line and the fields, names in lower case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    pub(crate) line: String,
    pub(crate) fields: HashMap<String, String>,
}

pub(crate) async fn read_head(stream: &mut (impl AsyncBufRead + Unpin)) -> Option<Head> {
    let mut head = Head::default();
    stream.read_line(&mut head.line).await.ok().filter(|bytes| *bytes > 0)?;
    head.line.truncate(head.line.trim_end().len());
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { return Some(head) };
        head.fields.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
}

pub(crate) async fn read_body(stream: &mut (impl AsyncBufRead + Unpin), head: &Head) -> String {
    let length = head.fields.get("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    String::from_utf8(body).unwrap()
}

/// Opens a loopback connection and sends text.
pub(crate) async fn dial(port: u16, text: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    BufReader::new(stream)
}

/// Sends one request and reads the answer.
pub(crate) async fn exchange(port: u16, text: &str) -> (Head, String) {
    let mut stream = dial(port, text).await;
    let head = read_head(&mut stream).await.unwrap();
    let body = read_body(&mut stream, &head).await;
    (head, body)
}

/// Asks a sidecar for a connection to its app, as workerd does.
pub(crate) async fn connect_in(sidecar: u16) -> (Head, BufReader<TcpStream>) {
    let text = "CONNECT 127.0.0.1:8080 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\
                X-Dst-Addr: 127.0.0.1:8080\r\n\r\n";
    let mut stream = dial(sidecar, text).await;
    (read_head(&mut stream).await.unwrap(), stream)
}

/// Says where egress goes.
pub(crate) async fn put_egress(sidecar: u16, port: u16) {
    let body = json!({"port": port, "dns": {"allowHostnames": ["mapped.invalid"]},
        "internet": {"enabled": false}});
    let body = body.to_string();
    let text =
        format!("PUT /egress HTTP/1.1\r\nHost: s\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (head, body) = exchange(sidecar, &text).await;
    assert_eq!(head.line, "HTTP/1.1 200 OK", "{body}");
}

/// An egress listener. Requests in mapped tunnels are answered with its name, their line and
/// their body; raw tunnels echo.
pub(crate) struct Egress {
    pub(crate) port: u16,
    pub(crate) seen: Arc<Seen>,
    server: JoinHandle<()>,
}

#[derive(Default)]
pub(crate) struct Seen {
    /// The heads of the CONNECT requests.
    pub(crate) tunnels: Mutex<Vec<Head>>,
    /// The heads of the requests inside.
    pub(crate) requests: Mutex<Vec<Head>>,
    /// Lets the second half of a streamed answer go.
    pub(crate) second_half: Notify,
}

impl Egress {
    pub(crate) async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Seen::default());
        let server = tokio::spawn({
            let seen = seen.clone();
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(serve(name, BufReader::new(stream), seen.clone()));
                }
            }
        });
        Self { port, seen, server }
    }

    pub(crate) fn stop(&self) {
        self.server.abort();
    }
}

impl Drop for Egress {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Seen {
    pub(crate) fn tunnel_count(&self) -> usize {
        self.tunnels.lock().unwrap().len()
    }
}

async fn serve(name: &str, mut stream: BufReader<TcpStream>, seen: Arc<Seen>) {
    let Some(connect) = read_head(&mut stream).await else { return };
    seen.tunnels.lock().unwrap().push(connect.clone());
    let host = connect.fields.get("x-hostname").or(connect.fields.get("x-tls-sni")).unwrap();
    if host.starts_with("refused.") {
        stream.write_all(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    } else if host.starts_with("10.") || host.starts_with("raw.") {
        // The origin speaks first here, in the same packet, as some do.
        stream.write_all(b"HTTP/1.1 202 Accepted\r\n\r\nhello ").await.unwrap();
        let (mut reading, mut writing) = tokio::io::split(stream);
        drop(tokio::io::copy(&mut reading, &mut writing).await);
        drop(writing.shutdown().await);
    } else {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while let Some(head) = read_head(&mut stream).await {
            seen.requests.lock().unwrap().push(head.clone());
            if head.line.contains("/early") {
                return answer_early(&mut stream, &head, &seen).await;
            }
            answer(name, &mut stream, &head, &seen).await;
        }
    }
}

/// Answers after the head alone and hangs up with the body unread.
async fn answer_early(stream: &mut BufReader<TcpStream>, head: &Head, seen: &Seen) {
    let text = "HTTP/1.1 413 Payload Too Large\r\nContent-Length: 8\r\n\r\ntoo long";
    if !head.line.contains("/silent") {
        stream.write_all(text.as_bytes()).await.unwrap();
    }
    if head.line.contains("/wait") {
        seen.second_half.notified().await;
    }
}

async fn answer(name: &str, stream: &mut BufReader<TcpStream>, head: &Head, seen: &Seen) {
    let body = read_body(stream, head).await;
    let text = if head.line.contains("/stream") {
        let half = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
        stream.write_all(half.as_bytes()).await.unwrap();
        seen.second_half.notified().await;
        if head.line.contains("/stream/cut") {
            return stream.shutdown().await.unwrap();
        }
        "6\r\nsecond\r\n0\r\n\r\n".to_owned()
    } else if head.fields.contains_key("upgrade") {
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhi".to_owned()
    } else {
        let body = format!("{name} {} {body}", head.line);
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    stream.write_all(text.as_bytes()).await.unwrap();
}
