//! The HTTP server: two routes on loopback.
//!
//! Invariants: a body is bounded before it is read; an answer streams, one frame a write.

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::Future;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use futures_util::stream::{self, StreamExt as _};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::Options;
use crate::dialect::Dialect;
use crate::limits::REQUEST_BYTES_MAX;
use crate::{rules, terminal};

/// Serves until a signal, or until stdin closes where that was asked for.
pub(crate) async fn run(options: &Options) -> Result<()> {
    let address = (Ipv4Addr::LOCALHOST, options.port);
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on 127.0.0.1:{}", options.port))?;
    terminal::listening(listener.local_addr().context("asking for the port")?)?;
    let end = end(options.with_stdin)?;
    tokio::select! {
        result = serve(listener, options.delay) => result,
        () = end => Ok(()),
    }
}

async fn serve(listener: TcpListener, delay: Duration) -> Result<()> {
    // Frames are small; waiting to fill a packet would add the delay that is being measured.
    let listener = listener.tap_io(|stream| {
        // A connection that cannot be set up is broken, and its first read will say so.
        stream.set_nodelay(true).ok();
    });
    axum::serve(listener, router(delay)).await.context("serving")
}

fn router(delay: Duration) -> Router {
    Router::new()
        .route("/", get(|| async { "Pagurus' demo model: fixed rules, not an AI.\n" }))
        .route("/v1/messages", post(messages))
        .route("/v1/chat/completions", post(chat_completions))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(delay)
}

/// What ends the program.
fn end(with_stdin: bool) -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = stdin_closed(), if with_stdin => {}
        }
    })
}

async fn stdin_closed() {
    let mut stdin = tokio::io::stdin();
    let mut ignored = [0; 64];
    // A broken stdin is as closed as an ended one.
    while stdin.read(&mut ignored).await.is_ok_and(|count| count > 0) {}
}

async fn messages(State(delay): State<Duration>, body: Bytes) -> Response {
    respond(Dialect::Anthropic, delay, &body)
}

async fn chat_completions(State(delay): State<Duration>, body: Bytes) -> Response {
    respond(Dialect::OpenAi, delay, &body)
}

fn respond(dialect: Dialect, delay: Duration, body: &[u8]) -> Response {
    let conversation = match dialect.read(body) {
        Ok(conversation) => conversation,
        Err(error) => {
            let refusal = dialect.refusal(&error).to_string();
            let json = [(header::CONTENT_TYPE, "application/json")];
            return (StatusCode::BAD_REQUEST, json, refusal).into_response();
        }
    };
    let frames = dialect.frames(&conversation, &rules::answer(&conversation));
    let frames =
        stream::iter(frames.into_iter().enumerate()).then(move |(number, frame)| async move {
            if number > 0 && !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            Ok::<_, Infallible>(frame)
        });
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    (headers, Body::from_stream(frames)).into_response()
}
