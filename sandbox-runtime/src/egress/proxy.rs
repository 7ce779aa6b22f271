//! The forward proxy: `CONNECT host:port`, and requests in absolute form (RFC 9112 section 3.2).
//!
//! Each connection carries one request: the far end is told to close behind its answer, so no body
//! has to be understood. Bytes pass as they are in both directions.
//!
//! Invariants: it listens on loopback only; heads, waiting and connections are bounded.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::tally::Tally;
use crate::limits::{
    ACCEPT_RETRY_DELAY, PROXY_BUFFER_BYTES, PROXY_CONNECT_TIMEOUT, PROXY_CONNECTIONS_MAX,
    PROXY_FIELDS_MAX, PROXY_HEAD_BYTES_MAX, PROXY_HEAD_TIMEOUT,
};

/// A proxy through which everything goes that goes out: where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// Fields that are between a client and its proxy. `Connection` is written anew.
const DROPPED: [&str; 5] =
    ["connection", "keep-alive", "proxy-authorization", "proxy-connection", "proxy-authenticate"];

/// Opens the proxy and gives its port. It runs as long as the process does.
pub(super) async fn open(upstream: Option<Upstream>, tally: Arc<Tally>) -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(accept(listener, Arc::new(Proxy { upstream, tally })));
    Ok(port)
}

struct Proxy {
    upstream: Option<Upstream>,
    tally: Arc<Tally>,
}

async fn accept(listener: TcpListener, proxy: Arc<Proxy>) {
    let permits = Arc::new(Semaphore::new(PROXY_CONNECTIONS_MAX));
    // The semaphore is never closed.
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        let near = match listener.accept().await {
            Ok((near, _)) => near,
            Err(error) => {
                tracing::warn!(%error, "the commands' proxy cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                continue;
            }
        };
        let proxy = Arc::clone(&proxy);
        tokio::spawn(async move {
            // A command that hangs up, or a host that does, is told by TCP itself.
            if let Err(error) = proxy.serve(near).await {
                tracing::debug!(%error, "a command's connection ended");
            }
            drop(permit);
        });
    }
}

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    host: String,
    port: u16,
    is_tunnel: bool,
    /// What the far end is sent first: the rewritten head, and what came behind it.
    first: Vec<u8>,
}

impl Proxy {
    async fn serve(&self, mut near: TcpStream) -> io::Result<()> {
        near.set_nodelay(true)?;
        let head = timeout(PROXY_HEAD_TIMEOUT, read_head(&mut near)).await??;
        let Some(asked) = parse(&head, self.upstream.is_some()) else {
            return refuse(&mut near, "400 Bad Request", "This is no request to a proxy.").await;
        };
        let (host, port) = match &self.upstream {
            Some(upstream) => (upstream.host.as_str(), upstream.port),
            None => (asked.host.as_str(), asked.port),
        };
        self.tally.note(&asked.host, asked.port, 1, 0);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let connected = timeout(PROXY_CONNECT_TIMEOUT, TcpStream::connect((host, port))).await;
        let mut far = match connected.unwrap_or_else(|late| Err(late.into())) {
            Ok(far) => far,
            Err(error) => {
                let why = format!("{} could not be reached: {error}", asked.host);
                return refuse(&mut near, "502 Bad Gateway", &why).await;
            }
        };
        far.set_nodelay(true)?;
        if asked.is_tunnel && self.upstream.is_none() {
            near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        }
        far.write_all(&asked.first).await?;
        let bytes = join(near, far).await;
        self.tally.note(&asked.host, asked.port, 0, bytes);
        Ok(())
    }
}

async fn read_head(near: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > PROXY_HEAD_BYTES_MAX || near.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(head)
}

async fn refuse(near: &mut TcpStream, status: &str, why: &str) -> io::Result<()> {
    let (length, kind) = (why.len() + 1, "text/plain; charset=utf-8");
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{why}\n"
    );
    near.write_all(answer.as_bytes()).await?;
    near.shutdown().await
}

/// Reads a head and what came behind it. With a proxy further up, targets stay as they are. Pure.
fn parse(bytes: &[u8], has_upstream: bool) -> Option<Asked> {
    let mut fields = [httparse::EMPTY_HEADER; PROXY_FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(size) = request.parse(bytes).ok()? else { return None };
    let behind = bytes.get(size..)?;
    let (method, target) = (request.method?, request.path?);
    if method == "CONNECT" {
        let (host, port) = target.rsplit_once(':')?;
        let first = if has_upstream { bytes.to_vec() } else { behind.to_vec() };
        let (host, port) = (host.to_owned(), port.parse().ok()?);
        return Some(Asked { host, port, is_tunnel: true, first });
    }
    let url = reqwest::Url::parse(target).ok().filter(|url| url.scheme() == "http")?;
    let (host, port) = (url.host_str()?.to_owned(), url.port().unwrap_or(80));
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let target = if has_upstream { target.to_owned() } else { format!("{}{query}", url.path()) };
    let upgrades = request.headers.iter().any(|field| field.name.eq_ignore_ascii_case("upgrade"));
    let connection = if upgrades { "upgrade" } else { "close" };
    let mut first = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
    for field in request.headers.iter() {
        if DROPPED.iter().any(|dropped| field.name.eq_ignore_ascii_case(dropped)) {
            continue;
        }
        first.extend([field.name.as_bytes(), b": ", field.value, b"\r\n"].concat());
    }
    first.extend(format!("connection: {connection}\r\n\r\n").as_bytes());
    first.extend(behind);
    Some(Asked { host, port, is_tunnel: false, first })
}

/// Passes bytes in both directions until both have ended; the bytes that came from the far end.
async fn join(near: TcpStream, far: TcpStream) -> u64 {
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let (_, bytes) = tokio::join!(pass(near_read, far_write), pass(far_read, near_write));
    bytes
}

/// Passes bytes one way until that way ends, well or badly, and passes the end on.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> u64 {
    let mut buffer = vec![0; PROXY_BUFFER_BYTES];
    let mut bytes = 0;
    // An end that failed is an end: both sides see their own.
    while let Ok(count) = from.read(&mut buffer).await {
        let piece = buffer.get(..count).unwrap_or_default();
        if piece.is_empty() || to.write_all(piece).await.is_err() {
            break;
        }
        bytes += count as u64;
    }
    if let Err(error) = to.shutdown().await {
        tracing::trace!(%error, "a connection was closed already");
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked(head: &str, has_upstream: bool) -> Option<(String, u16, bool, String)> {
        let asked = parse(head.as_bytes(), has_upstream)?;
        let first = String::from_utf8(asked.first).unwrap();
        Some((asked.host, asked.port, asked.is_tunnel, first))
    }

    #[test]
    fn a_plain_request_goes_on_in_origin_form_and_closes() {
        let head = "POST http://a.example:8080/b?c HTTP/1.1\r\nHost: a.example:8080\r\n\
            Proxy-Connection: keep-alive\r\nProxy-Authorization: x\r\nContent-Length: 2\r\n\r\nhi";
        let (host, port, is_tunnel, first) = asked(head, false).unwrap();
        assert_eq!((host.as_str(), port, is_tunnel), ("a.example", 8080, false));
        assert_eq!(
            first,
            "POST /b?c HTTP/1.1\r\nHost: a.example:8080\r\nContent-Length: 2\r\n\
             connection: close\r\n\r\nhi"
        );
        let (.., first) = asked(head, true).unwrap();
        assert!(first.starts_with("POST http://a.example:8080/b?c HTTP/1.1\r\n"), "{first}");
        let upgrade =
            "GET http://a.example/ HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        let (.., first) = asked(upgrade, false).unwrap();
        assert!(first.ends_with("connection: upgrade\r\n\r\n"), "{first}");
    }

    #[test]
    fn a_tunnel_is_opened_here_or_further_up() {
        let head = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n";
        assert_eq!(asked(head, false), Some(("a.example".into(), 443, true, String::new())));
        assert_eq!(asked(head, true), Some(("a.example".into(), 443, true, head.into())));
        assert_eq!(asked("CONNECT [::1]:1 HTTP/1.1\r\n\r\n", false).unwrap().0, "[::1]");
    }

    #[test]
    fn what_is_no_request_to_a_proxy_is_refused() {
        for head in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET https://a.example/ HTTP/1.1\r\n\r\n",
            "CONNECT a.example HTTP/1.1\r\n\r\n",
            "CONNECT a.example:99999 HTTP/1.1\r\n\r\n",
            "nonsense\r\n\r\n",
        ] {
            assert_eq!(asked(head, false), None, "{head}");
        }
    }

    #[tokio::test]
    async fn bytes_pass_and_are_counted() {
        let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = origin.local_addr().unwrap();
        let tally = Arc::new(Tally::default());
        let port = open(None, Arc::clone(&tally)).await.unwrap();
        let serve = async {
            let (mut socket, _) = origin.accept().await.unwrap();
            let mut seen = vec![0; 5];
            socket.read_exact(&mut seen).await.unwrap();
            socket.write_all(b"world!").await.unwrap();
            seen
        };
        let ask = async {
            let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let head = format!("CONNECT {address} HTTP/1.1\r\n\r\nhello");
            socket.write_all(head.as_bytes()).await.unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let (seen, answer) = tokio::join!(serve, ask);
        assert_eq!(seen, b"hello");
        assert_eq!(answer, "HTTP/1.1 200 Connection established\r\n\r\nworld!");
        tally.changed().await;
        let mut taken = tally.take();
        while taken.iter().map(|t| t.bytes).sum::<u64>() == 0 {
            tally.changed().await;
            taken.extend(tally.take());
        }
        assert_eq!(
            taken.iter().map(|t| (t.calls, t.bytes)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1)),
            (1, 6)
        );
    }

    proptest! {
        #[test]
        fn no_head_makes_it_fall(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "(GET|CONNECT|X) (http://)?[a-z.:@\\[\\]0-9/]{0,30} HTTP/1.1\r\n([A-Za-z-]{1,9}: [ -~]{0,9}\r\n){0,4}\r\n") {
            drop(parse(&bytes, false));
            drop(parse(text.as_bytes(), true));
        }
    }
}
