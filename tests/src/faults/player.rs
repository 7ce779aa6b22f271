//! The model of the fault harness: plays [`plan`](super::plan) over Anthropic's wire format, and
//! cuts or stalls an answer when it is ordered to.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use futures_util::stream;
use serde_json::Value;
use tokio::net::TcpListener;

use super::plan::{self, Action};
use crate::model::rules;
use crate::model::wire::{self, Format, Voice};

/// How an answer goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It breaks off.
    Cut,
    /// Nothing more comes.
    Stall,
}

/// The model.
#[derive(Debug, Clone)]
pub(super) struct Player {
    /// Its base URL.
    pub(super) url: String,
    state: Arc<Played>,
}

#[derive(Debug)]
struct Played {
    effects: String,
    trouble: Mutex<Option<Trouble>>,
    calls: AtomicUsize,
    complaints: Mutex<Vec<String>>,
}

impl Player {
    /// Starts the model; its side effects are counted in the folder `effects`.
    pub(super) async fn start(effects: &Path) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = Arc::new(Played {
            effects: effects.display().to_string(),
            trouble: Mutex::default(),
            calls: AtomicUsize::new(0),
            complaints: Mutex::default(),
        });
        let app = Router::new().fallback(answer).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { url, state })
    }

    /// Lets the next answer go wrong.
    pub(super) fn trouble(&self, trouble: Trouble) {
        *self.state.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(trouble);
    }

    /// How often it was asked.
    pub(super) fn calls(&self) -> usize {
        self.state.calls.load(Ordering::SeqCst)
    }

    /// Why a real provider would have refused requests.
    pub(super) fn complaints(&self) -> Vec<String> {
        self.state.complaints.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn answer(State(state): State<Arc<Played>>, body: Bytes) -> Response {
    state.calls.fetch_add(1, Ordering::SeqCst);
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    if let Some(complaint) = rules::complaint(&request, Format::Anthropic) {
        state.complaints.lock().unwrap_or_else(PoisonError::into_inner).push(complaint);
    }
    let messages = request.get("messages").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut events = match plan::next(&messages, &state.effects) {
        Action::Say(text) => wire::text_events(&text, Voice::plain(Format::Anthropic)),
        Action::Call { id, name, arguments } => {
            wire::tool_events(&id, name, &arguments, Voice::plain(Format::Anthropic))
        }
    };
    let trouble = state.trouble.lock().unwrap_or_else(PoisonError::into_inner).take();
    if trouble.is_some() {
        events.truncate(events.len() / 2);
    }
    stream_of(events, trouble)
}

/// A body that ends well, breaks off, or never ends.
fn stream_of(events: Vec<String>, trouble: Option<Trouble>) -> Response {
    let pieces = events.into_iter().map(|event| Ok::<_, std::io::Error>(Bytes::from(event)));
    let body = stream::unfold((pieces, false), move |(mut pieces, ended)| async move {
        if let Some(piece) = pieces.next() {
            return Some((piece, (pieces, ended)));
        }
        match trouble {
            None => None,
            Some(_) if ended => None,
            Some(Trouble::Cut) => {
                Some((Err(std::io::Error::other("cut off as ordered")), (pieces, true)))
            }
            Some(Trouble::Stall) => {
                tokio::time::sleep(Duration::from_hours(1)).await;
                None
            }
        }
    });
    let mut response = Response::new(Body::from_stream(body));
    let kind = axum::http::HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert("content-type", kind);
    response
}
