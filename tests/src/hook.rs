//! The other side of the webhook channel: signs what goes in, and receives what comes out, as
//! <https://www.standardwebhooks.com> has it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpListener;

use crate::http::{self, Answer};

/// The secret of these tests.
pub const HOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What the receiver does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reception {
    /// Takes it.
    Take,
    /// Says this status; 429 and 503 with `Retry-After: 1`.
    Status(u16),
    /// Takes it, and answers nothing.
    TakeAndHang,
}

/// A message that was taken.
#[derive(Debug, Clone)]
pub struct Received {
    /// The idempotency key.
    pub key: String,
    /// The body.
    pub body: Value,
    /// Whether the signature fits.
    pub genuine: bool,
}

/// A receiver of answers.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Where it listens.
    pub url: String,
    state: Arc<Mutex<Inside>>,
}

#[derive(Debug, Default)]
struct Inside {
    script: VecDeque<Reception>,
    received: Vec<Received>,
    tries: usize,
}

impl Receiver {
    /// Starts a receiver that takes everything.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/answers", listener.local_addr()?);
        let state = Arc::<Mutex<Inside>>::default();
        let app = Router::new().fallback(receive).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { url, state })
    }

    /// What it does with the next messages, one after the other.
    pub fn script(&self, receptions: &[Reception]) {
        self.inside().script.extend(receptions);
    }

    /// What it has taken, in order.
    pub fn received(&self) -> Vec<Received> {
        self.inside().received.clone()
    }

    /// How often it was tried.
    pub fn tries(&self) -> usize {
        self.inside().tries
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn receive(
    State(state): State<Arc<Mutex<Inside>>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let key = header("webhook-id").to_owned();
    let signature = signature(&key, header("webhook-timestamp"), &body);
    let genuine = signature.is_ok_and(|signature| signature == header("webhook-signature"));
    let reception = {
        let mut inside = state.lock().unwrap_or_else(PoisonError::into_inner);
        inside.tries += 1;
        let reception = inside.script.pop_front().unwrap_or(Reception::Take);
        if matches!(reception, Reception::Take | Reception::TakeAndHang) {
            let body = serde_json::from_slice(&body).unwrap_or_default();
            inside.received.push(Received { key, body, genuine });
        }
        reception
    };
    match reception {
        Reception::Take => StatusCode::NO_CONTENT.into_response(),
        Reception::Status(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT);
            (status, [("retry-after", "1")]).into_response()
        }
        Reception::TakeAndHang => {
            tokio::time::sleep(Duration::from_hours(1)).await;
            StatusCode::NO_CONTENT.into_response()
        }
    }
}

fn signature(id: &str, timestamp: &str, body: &[u8]) -> Result<String> {
    let key = BASE64_STANDARD.decode(HOOK_SECRET.trim_start_matches("whsec_"))?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).context("the key's length")?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    Ok(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
}

/// Sends a signed text to the hook `name`.
pub async fn send(url: &str, name: &str, id: &str, text: &str) -> Result<Answer> {
    signed(url, name, id, "text/plain", text.as_bytes()).await
}

/// Sends a signed message with its chat to the hook `name`.
pub async fn send_json(url: &str, name: &str, id: &str, body: &Value) -> Result<Answer> {
    signed(url, name, id, "application/json", body.to_string().as_bytes()).await
}

async fn signed(url: &str, name: &str, id: &str, kind: &str, body: &[u8]) -> Result<Answer> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let timestamp = now.as_secs().to_string();
    let signature = signature(id, &timestamp, body)?;
    let headers = [
        ("content-type", kind),
        ("webhook-id", id),
        ("webhook-timestamp", timestamp.as_str()),
        ("webhook-signature", signature.as_str()),
    ];
    http::send(url, &format!("POST /hooks/in/{name}"), &headers, body).await
}
