//! How one call is answered, and the doing of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::wire::{self, Counts, Format, Voice};
use crate::limits::MODEL_PING;

/// How one call is answered.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Text, in pieces of a few words, and the end of the turn.
    Text(String),
    /// A tool call.
    Tool {
        /// The tool.
        name: String,
        /// Its arguments.
        arguments: Value,
    },
    /// An error status before anything is streamed.
    Status(u16),
    /// Text, and then the connection ends without the terminal event.
    Cut(String),
    /// A tool call whose stream ends in the middle of its arguments.
    CutTool {
        /// The tool.
        name: String,
        /// Its arguments, of which half are sent.
        arguments: Value,
    },
    /// Text, and then an error event in the stream.
    ErrorEvent(String),
    /// Headers and no more, until the caller gives up.
    Silence,
    /// Text, and then nothing at all, until the caller gives up.
    Stall(String),
    /// Bytes that are no stream of events.
    Garbage,
    /// A whole answer that says nothing.
    Nothing,
    /// Everything that the request's headers hold, as an error's message under this status.
    EchoedRefusal(u16),
    /// The same as an answer's text.
    EchoedText,
    /// An answer with headers of a gateway's.
    Headed(&'static [(&'static str, &'static str)], Box<Reply>),
    /// The answer, but only when somebody calls `release`.
    Held(String),
    /// Text at once, signs of life, and the rest when somebody calls `release`.
    Paused {
        /// What is said at once.
        said: String,
        /// What is said after the release.
        rest: String,
    },
}

impl Reply {
    /// Whether the answer reaches its end, with its counts in it.
    pub(super) fn is_whole(&self) -> bool {
        match self {
            Self::Text(_)
            | Self::Tool { .. }
            | Self::Nothing
            | Self::EchoedText
            | Self::Held(_)
            | Self::Paused { .. } => true,
            Self::Headed(_, reply) => reply.is_whole(),
            Self::Status(_)
            | Self::Cut(_)
            | Self::CutTool { .. }
            | Self::ErrorEvent(_)
            | Self::Silence
            | Self::Stall(_)
            | Self::EchoedRefusal(_)
            | Self::Garbage => false,
        }
    }
}

/// What the answering of one call needs beside its script.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    /// Opens for what is held or paused.
    pub(super) gate: Arc<Notify>,
    /// Counts the answers that their caller left before the end.
    pub(super) left: Arc<AtomicUsize>,
    /// The call's number, which makes tool calls' names differ.
    pub(super) number: usize,
    /// What the answer says was used.
    pub(super) counts: Counts,
    /// The request's headers.
    pub(super) headers: HeaderMap,
}

pub(super) async fn respond(scene: Scene, reply: Reply, format: Format) -> Response {
    let voice = Voice { format, counts: scene.counts };
    match reply {
        Reply::Text(text) => whole(wire::text_events(&text, voice)),
        Reply::Tool { name, arguments } => {
            let id = format!("call_{}", scene.number);
            whole(wire::tool_events(&id, &name, &arguments, voice))
        }
        Reply::Nothing => whole(wire::text_events("", voice)),
        Reply::Held(text) => {
            let leaving = Leaving::watch(&scene);
            scene.gate.notified().await;
            leaving.stays();
            whole(wire::text_events(&text, voice))
        }
        Reply::EchoedText => whole(wire::text_events(&echo(&scene.headers), voice)),
        Reply::EchoedRefusal(status) => {
            let body = wire::refusal_saying(status, format, Some(&echo(&scene.headers)));
            let code = StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT);
            (code, axum::Json(body)).into_response()
        }
        Reply::Headed(headers, reply) => {
            let mut response = Box::pin(respond(scene, *reply, format)).await;
            for (name, value) in headers {
                let value = axum::http::HeaderValue::from_static(value);
                response.headers_mut().insert(*name, value);
            }
            response
        }
        Reply::Paused { said, rest } => paused(&scene, &said, &rest, voice),
        Reply::Status(status) => refuse(status, format),
        Reply::Cut(text) => whole(wire::text_begin(&text, voice)),
        Reply::CutTool { name, arguments } => {
            let id = format!("call_{}", scene.number);
            whole(wire::tool_begin(&id, &name, &arguments, voice))
        }
        Reply::ErrorEvent(text) => {
            let mut events = wire::text_begin(&text, voice);
            events.push(wire::error_event(format));
            whole(events)
        }
        Reply::Silence => stalled(&scene, Vec::new()),
        Reply::Stall(text) => stalled(&scene, wire::text_begin(&text, voice)),
        Reply::Garbage => whole(vec!["\u{0}\u{1}not a stream\n\n{{{".to_owned()]),
    }
}

/// The beginning, then signs of life until the release, then the rest.
fn paused(scene: &Scene, said: &str, rest: &str, voice: Voice) -> Response {
    let format = voice.format;
    let first = stream::iter(wire::text_begin(said, voice));
    let rest = wire::text_end(rest, said, voice).concat();
    let waiting = Some((Arc::clone(&scene.gate), Leaving::watch(scene), rest));
    let second = stream::unfold(waiting, move |waiting| async move {
        let (gate, leaving, rest) = waiting?;
        match timeout(MODEL_PING, gate.notified()).await {
            Ok(()) => {
                leaving.stays();
                Some((rest, None))
            }
            Err(_elapsed) => Some((wire::ping(format), Some((gate, leaving, rest)))),
        }
    });
    streamed(first.chain(second).boxed())
}

/// These events, and then an end that never comes.
fn stalled(scene: &Scene, events: Vec<String>) -> Response {
    let leaving = Leaving::watch(scene);
    let silence = stream::once(async move {
        let _leaving = leaving;
        std::future::pending::<String>().await
    });
    streamed(stream::iter(events).chain(silence).boxed())
}

/// The headers' values, one after the other.
fn echo(headers: &HeaderMap) -> String {
    let line = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
        format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))
    };
    headers.iter().map(line).collect::<Vec<_>>().join(" | ")
}

fn refuse(status: u16, format: Format) -> Response {
    let body = axum::Json(wire::refusal(status, format));
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT);
    if status == 429 {
        return (code, [("retry-after", "2")], body).into_response();
    }
    (code, body).into_response()
}

fn whole(events: Vec<String>) -> Response {
    streamed(stream::iter(events).boxed())
}

fn streamed(events: stream::BoxStream<'static, String>) -> Response {
    let body = Body::from_stream(events.map(Ok::<_, std::convert::Infallible>));
    ([("content-type", "text/event-stream")], body).into_response()
}

/// Counts its caller as gone when it is dropped before `stays` was said.
#[derive(Debug)]
struct Leaving(Option<Arc<AtomicUsize>>);

impl Leaving {
    fn watch(scene: &Scene) -> Self {
        Self(Some(Arc::clone(&scene.left)))
    }

    fn stays(mut self) {
        self.0 = None;
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(left) = self.0.take() {
            left.fetch_add(1, Ordering::SeqCst);
        }
    }
}
