//! The body of a request on its way from the app to workerd.
//!
//! A server may answer before it has read the whole body, as one does that refuses it for its
//! size. The app may still be sending then; if nobody took its bytes, closing the connection would
//! reset it, and the app could meet the reset before it has read the answer.
//!
//! *Invariant:* what upstream does not want any more is still taken from the app, up to a bound.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::EXPECT;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::limits::{UPLOAD_DRAIN_BYTES_MAX, UPLOAD_DRAIN_SECONDS_MAX};

/// A body that passes through, and whose rest is taken and dropped when it is.
#[derive(Debug)]
pub struct Upload {
    /// Gone once it has ended.
    body: Option<Incoming>,
    /// The app waits for a sign (100) before it sends; asking for bytes gives the sign, so bytes
    /// must not be asked for only to be dropped.
    awaits_sign: bool,
    token: CancellationToken,
}

impl Upload {
    /// Wraps the body of a request; `token` ends the taking of its rest.
    pub fn wrap(request: Request<Incoming>, token: &CancellationToken) -> Request<Self> {
        let awaits_sign = request.headers().contains_key(EXPECT);
        request.map(|body| Self { body: Some(body), awaits_sign, token: token.clone() })
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.awaits_sign = false;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else { return };
        // Without a runtime the engine is ending, and the app's connection with it.
        let Ok(runtime) = Handle::try_current() else { return };
        if !self.awaits_sign {
            let bounded = timeout(Duration::from_secs(UPLOAD_DRAIN_SECONDS_MAX), drain(body));
            runtime.spawn(self.token.clone().run_until_cancelled_owned(bounded));
        }
    }
}

/// Takes a body until it ends, the app hangs up, or the bound is reached.
async fn drain(mut body: Incoming) {
    let mut left = UPLOAD_DRAIN_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, Buf::remaining);
        match left.checked_sub(bytes as u64) {
            Some(less) => left = less,
            None => return,
        }
    }
}
