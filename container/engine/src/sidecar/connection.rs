//! What the sidecar's servers share: accepting, serving HTTP/1.1 with upgrades, joining two byte
//! streams.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::limits::{ACCEPT_RETRY_MILLISECONDS, HEAD_BYTES_MAX, SPLICE_BUFFER_BYTES};
use crate::terminal::report;

/// A body made here, or one that passes through.
pub type Body = Either<Full<Bytes>, Incoming>;

/// Answers requests of one server.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request.
    fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// Accepts and serves connections until cancelled, at most `limit` at once: more wait in the
/// kernel's queue.
pub async fn accept<H: Handler>(
    listener: TcpListener,
    limit: usize,
    token: CancellationToken,
    handler: Arc<H>,
) {
    let permits = Arc::new(Semaphore::new(limit));
    // The semaphore is never closed, so this loop ends by cancellation only.
    while let Ok(permit) = permits.clone().acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                report(&format!("the sidecar cannot accept a connection: {error}"));
                tokio::time::sleep(Duration::from_millis(ACCEPT_RETRY_MILLISECONDS)).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            // The peer is gone already.
            report(&format!("the sidecar lost a new connection: {error}"));
            continue;
        }
        let handler = handler.clone();
        let serve = async move {
            let service = service_fn(move |request| {
                let handler = handler.clone();
                async move { Ok::<_, Infallible>(handler.handle(request).await) }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
                .await;
            // A peer that hangs up in the middle is its own affair: both ends are told by TCP.
            drop(served);
            drop(permit);
        };
        tokio::spawn(token.clone().run_until_cancelled_owned(serve));
    }
}

/// A short text answer.
pub fn text(status: StatusCode, message: impl Into<String>) -> Response<Body> {
    let mut message: String = message.into();
    message.push('\n');
    let mut response = Response::new(Either::Left(Full::from(message)));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = status;
    response
}

/// Says what failed and why, causes included.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Joins a connection that is about to be upgraded with another stream, in both directions, until
/// both have ended. Each end's close is passed on, so half-closed streams work.
pub fn join_after_upgrade<S>(token: &CancellationToken, near: OnUpgrade, far: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let work = async move {
        // Failing here means that the near end hung up before it saw the answer.
        let Ok(near) = near.await else { return };
        join(TokioIo::new(near), far).await;
    };
    tokio::spawn(token.clone().run_until_cancelled_owned(work));
}

/// Joins two upgraded connections in the same way.
pub fn join_upgrades(token: &CancellationToken, near: OnUpgrade, far: OnUpgrade) {
    let work = async move {
        let Ok((near, far)) = futures_util::future::try_join(near, far).await else { return };
        join(TokioIo::new(near), TokioIo::new(far)).await;
    };
    tokio::spawn(token.clone().run_until_cancelled_owned(work));
}

/// An upgraded connection as a tokio stream.
pub type Tunnel = TokioIo<Upgraded>;

async fn join(mut near: Tunnel, mut far: impl AsyncRead + AsyncWrite + Unpin) {
    let size = SPLICE_BUFFER_BYTES;
    // A reset of one end has ended both streams, which is all that an error here could tell.
    drop(copy_bidirectional_with_sizes(&mut near, &mut far, size, size).await);
}
