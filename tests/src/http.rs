//! Plain HTTP/1.1 written byte by byte, so that a test can say what no client library would.

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::limits::HTTP_ANSWER;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    /// The body as it came, chunk framing included.
    pub body: String,
}

impl Answer {
    /// The body as JSON; `Null` when it is none. Chunk framing is cut away.
    pub fn json(&self) -> Value {
        let (Some(start), Some(end)) = (self.body.find('{'), self.body.rfind('}')) else {
            return Value::Null;
        };
        self.body
            .get(start..=end)
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }
}

/// Sends a request with these headers and this body to the server of `base_url`.
pub async fn send(
    base_url: &str,
    request_line: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer> {
    let authority = authority(base_url);
    let mut lines = vec![format!("{request_line} HTTP/1.1"), "connection: close".to_owned()];
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        lines.push(format!("host: {authority}"));
    }
    lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    if !body.is_empty() {
        lines.push(format!("content-length: {}", body.len()));
    }
    let request = format!("{}\r\n\r\n", lines.join("\r\n"));
    raw(authority, &[request.as_bytes(), body].concat()).await
}

/// Sends JSON and reads JSON.
pub async fn post_json(base_url: &str, path: &str, body: &Value) -> Result<Answer> {
    let headers = [("content-type", "application/json")];
    send(base_url, &format!("POST {path}"), &headers, body.to_string().as_bytes()).await
}

/// Sends any bytes and reads whatever comes until the server closes.
pub async fn raw(authority: &str, bytes: &[u8]) -> Result<Answer> {
    raw_until(authority, bytes, |_| false).await
}

/// Sends any bytes and reads until the server closes or what it has said is `enough`.
pub async fn raw_until(
    authority: &str,
    bytes: &[u8],
    enough: impl Fn(&[u8]) -> bool,
) -> Result<Answer> {
    let exchange = async {
        let mut socket = TcpStream::connect(authority).await.context("connecting")?;
        // A server may refuse and close before it has read all; what it said counts.
        let written = socket.write_all(bytes).await;
        let mut answer = Vec::new();
        while !enough(&answer) {
            match socket.read_buf(&mut answer).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if answer.is_empty() => return Err(error).context("reading"),
                Err(_) => break,
            }
        }
        if answer.is_empty() {
            written.context("writing")?;
        }
        parse(&answer)
    };
    tokio::time::timeout(HTTP_ANSWER, exchange).await.context("no answer in time")?
}

fn parse(answer: &[u8]) -> Result<Answer> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").context("the answer has no head")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Answer {
        status: status.with_context(|| format!("no status in {head:?}"))?,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

/// Host and port of a base URL.
pub fn authority(base_url: &str) -> &str {
    let rest = base_url.strip_prefix("http://").unwrap_or(base_url);
    rest.split('/').next().unwrap_or(rest)
}
