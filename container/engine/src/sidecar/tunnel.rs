//! Opening tunnels to workerd's egress port: `CONNECT <address>` with the host's name in a header,
//! answered 200 (the Worker is at the other end) or 202 (the origin is).
//!
//! *Invariant:* a far end that hangs up is noticed by reading, never by writing. It may have sent an
//! answer before, which the kernel still holds, and an HTTP client that meets a failed write throws
//! the connection away without looking. So writing to a tunnel that was hung up on never ends, and
//! reading yields what there is and then the failure of that write.

use std::io::{Error, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::{HOST, HeaderValue};
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::limits::{CONNECT_SECONDS_MAX, HANG_UP_READ_BYTES_MAX, HEAD_BYTES_MAX, TUNNELS_MAX};
use crate::sidecar::address::{AddressError, resolve};
use crate::sidecar::egress::EgressSettings;
use crate::sidecar::ingress::dial;

/// Tells workerd the host of a plain HTTP connection.
const HOST_NAME: &str = "x-hostname";
/// Tells workerd the host of a TLS connection.
const TLS_NAME: &str = "x-tls-sni";
/// The port on which TLS is taken to be spoken.
const TLS_PORT: u16 = 443;

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FarEnd {
    /// 200: the Worker, which speaks plain HTTP/1.1.
    Worker,
    /// 202: whoever listens at the address; workerd passes bytes as they are.
    Origin,
}

/// Why a tunnel was not opened.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// workerd has not said where egress goes.
    #[error("egress is not set up yet: workerd has sent no PUT /egress")]
    NoEgress,
    /// Too many tunnels are open.
    #[error("{TUNNELS_MAX} tunnels are open already; close some connections")]
    TooMany,
    /// The host has no address.
    #[error("no address for the host")]
    Address(#[from] AddressError),
    /// The host's name cannot stand in a header.
    #[error("the host name cannot be sent in a header")]
    HostName(#[from] hyper::header::InvalidHeaderValue),
    /// workerd's egress port cannot be reached.
    #[error("cannot reach workerd on its egress port {port}; is it running?")]
    Dial {
        /// The port.
        port: u16,
        /// Why.
        #[source]
        source: Error,
    },
    /// workerd broke off in the middle of the exchange.
    #[error("workerd broke off while opening the tunnel")]
    Exchange(#[from] hyper::Error),
    /// workerd did not answer.
    #[error("workerd did not open the tunnel within {CONNECT_SECONDS_MAX} s")]
    Slow,
    /// workerd refused.
    #[error("workerd refused the tunnel with status {0}")]
    Refused(StatusCode),
    /// The request could not be put together.
    #[error("cannot ask workerd for a tunnel")]
    Request(#[from] hyper::http::Error),
}

/// Opens tunnels to one egress port.
#[derive(Debug, Clone)]
pub struct Opener {
    settings: Arc<EgressSettings>,
    permits: Arc<Semaphore>,
}

/// An open tunnel.
#[derive(Debug)]
pub struct OpenTunnel {
    upgraded: Upgraded,
    far_end: FarEnd,
    /// Why writing failed, once it has.
    hang_up: Option<ErrorKind>,
    _permit: OwnedSemaphorePermit,
}

impl Opener {
    /// An opener for these settings; `permits` bounds the tunnels of the whole sidecar.
    pub const fn new(settings: Arc<EgressSettings>, permits: Arc<Semaphore>) -> Self {
        Self { settings, permits }
    }

    /// The egress port.
    pub fn port(&self) -> u16 {
        self.settings.port
    }

    /// Opens a tunnel to a host and port.
    pub async fn open(&self, host: &str, port: u16) -> Result<OpenTunnel, TunnelError> {
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            return Err(TunnelError::TooMany);
        };
        let address = resolve(host, port, &self.settings.dns.allow_hostnames).await?.to_string();
        let name = if port == TLS_PORT { TLS_NAME } else { HOST_NAME };
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri(address.as_str())
            .header(HOST, address.as_str())
            .header(name, HeaderValue::from_str(host)?)
            .body(Empty::<Bytes>::new())?;
        let exchange = timeout(Duration::from_secs(CONNECT_SECONDS_MAX), self.exchange(request));
        let (upgraded, far_end) = exchange.await.unwrap_or(Err(TunnelError::Slow))?;
        Ok(OpenTunnel { upgraded, far_end, hang_up: None, _permit: permit })
    }

    async fn exchange(
        &self,
        request: Request<Empty<Bytes>>,
    ) -> Result<(Upgraded, FarEnd), TunnelError> {
        let port = self.settings.port;
        let dialled = dial(port).await;
        let stream = dialled.map_err(|source| TunnelError::Dial { port, source })?;
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await?;
        let driven = tokio::spawn(connection.with_upgrades());
        let response = sender.send_request(request).await?;
        let far_end = match response.status() {
            StatusCode::OK => FarEnd::Worker,
            StatusCode::ACCEPTED => FarEnd::Origin,
            status => {
                driven.abort();
                return Err(TunnelError::Refused(status));
            }
        };
        Ok((hyper::upgrade::on(response).await?, far_end))
    }
}

impl OpenTunnel {
    /// Who is at the other end.
    pub const fn far_end(&self) -> FarEnd {
        self.far_end
    }

    /// Holds back the failure of a write to a far end that has hung up.
    fn hold_back(
        &mut self,
        context: &Context<'_>,
        written: Poll<Result<usize, Error>>,
    ) -> Poll<Result<usize, Error>> {
        match written {
            Poll::Ready(Err(error)) if is_hang_up(&error) => {
                self.hang_up = Some(error.kind());
                // Whoever wrote may have read before the answer came, and is to read again.
                context.waker().wake_by_ref();
                Poll::Pending
            }
            written => written,
        }
    }
}

/// Whether a write failed because the far end takes no more. The connection is over then, so
/// reading comes to an end too.
fn is_hang_up(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

impl Connection for OpenTunnel {
    fn connected(&self) -> Connected {
        // Not "proxied": the request inside the tunnel is in origin form.
        Connected::new()
    }
}

impl Read for OpenTunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<Result<(), Error>> {
        let Some(kind) = self.hang_up else {
            return Pin::new(&mut self.upgraded).poll_read(context, buffer);
        };
        // Read aside first: a cursor does not tell whether anything came.
        let mut aside = [0; HANG_UP_READ_BYTES_MAX];
        let size = buffer.remaining().min(aside.len());
        let mut aside = ReadBuf::new(aside.get_mut(..size).unwrap_or_default());
        ready!(Pin::new(&mut self.upgraded).poll_read(context, aside.unfilled()))?;
        // The end of the stream would say that all is well.
        if aside.filled().is_empty() && size > 0 {
            return Poll::Ready(Err(kind.into()));
        }
        buffer.put_slice(aside.filled());
        Poll::Ready(Ok(()))
    }
}

impl Write for OpenTunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Error>> {
        if self.hang_up.is_some() {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.upgraded).poll_write(context, bytes);
        self.hold_back(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.upgraded).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.upgraded).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.upgraded.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize, Error>> {
        if self.hang_up.is_some() {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.upgraded).poll_write_vectored(context, slices);
        self.hold_back(context, written)
    }
}
