//! Asking a model through the edge: the provider's own wire format passes through.
//!
//! Invariant: no wait for the provider is longer than the settings say, neither for the first byte
//! nor between two.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use protocol::Problem;
use protocol::edge::{EdgeRoute, PROBLEM_HEADER};
use reqwest::Response;
use reqwest::header::HeaderMap;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Edge, EdgeError, retry_after};
use crate::limits::{MODEL_ERROR_BYTES_MAX, MODEL_TAIL_TIMEOUT};
use crate::settings::ModelTimeouts;

/// What came back.
#[derive(Debug)]
pub enum ModelAnswer {
    /// A stream.
    Stream(ModelBody),
    /// The provider's refusal.
    Refused {
        /// Its status.
        status: u16,
        /// Its headers that say whether and when to come back.
        headers: Vec<(String, String)>,
        /// Its beginning.
        body: Vec<u8>,
    },
    /// The edge itself refused.
    Problem(Problem),
}

/// A streamed answer, read piece by piece.
#[derive(Debug)]
pub struct ModelBody {
    response: Response,
    timeouts: ModelTimeouts,
    /// Until when the first byte must come; absent once it has.
    first_byte_until: Option<Instant>,
}

/// Why the model's bytes did not come.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// No connection, or it broke.
    #[error("the model could not be asked")]
    Edge(#[from] EdgeError),
    /// Nothing came.
    #[error("no first byte within {0:?}")]
    FirstByte(Duration),
    /// Nothing more came.
    #[error("no next byte within {0:?}")]
    Idle(Duration),
}

impl Edge {
    /// Sends a request to a model.
    pub async fn ask_model(
        &self,
        route: &EdgeRoute,
        headers: &[(&'static str, &str)],
        body: Vec<u8>,
        timeouts: ModelTimeouts,
    ) -> Result<ModelAnswer, ModelError> {
        let until = Instant::now() + timeouts.first_byte;
        let response = timeout_at(until, self.http.send(route, headers, body))
            .await
            .unwrap_or(Err(EdgeError::Timeout(timeouts.first_byte)));
        let response = match response {
            Err(EdgeError::Timeout(waited)) => return Err(ModelError::FirstByte(waited)),
            other => other?,
        };
        if response.status().is_success() && !response.headers().contains_key(PROBLEM_HEADER) {
            let first_byte_until = Some(until);
            return Ok(ModelAnswer::Stream(ModelBody { response, timeouts, first_byte_until }));
        }
        timeout(timeouts.idle, refused(response))
            .await
            .unwrap_or(Err(ModelError::Idle(timeouts.idle)))
    }
}

async fn refused(response: Response) -> Result<ModelAnswer, ModelError> {
    let status = response.status().as_u16();
    let from_edge = response.headers().contains_key(PROBLEM_HEADER);
    let headers = advice(response.headers(), SystemTime::now());
    let body = read_beginning(response).await?;
    if from_edge {
        return match serde_json::from_slice(&body) {
            Ok(problem) => Ok(ModelAnswer::Problem(problem)),
            Err(error) => Err(EdgeError::Answer(error).into()),
        };
    }
    Ok(ModelAnswer::Refused { status, headers, body })
}

/// The headers that say whether and when to come back; a date is given as seconds from `now`.
fn advice(headers: &HeaderMap, now: SystemTime) -> Vec<(String, String)> {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let kept = |name: &str| Some((name.to_owned(), value(name)?.to_owned()));
    let after = value("retry-after").map(|value| retry_after::seconds(value, now));
    [
        kept("retry-after-ms"),
        kept("x-should-retry"),
        after.map(|seconds| ("retry-after".to_owned(), seconds)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// As much of an error's body as is looked at.
async fn read_beginning(mut response: Response) -> Result<Vec<u8>, EdgeError> {
    let mut body = Vec::new();
    while body.len() < MODEL_ERROR_BYTES_MAX
        && let Some(chunk) = response.chunk().await.map_err(EdgeError::Transport)?
    {
        body.extend_from_slice(&chunk);
    }
    body.truncate(MODEL_ERROR_BYTES_MAX);
    Ok(body)
}

impl ModelBody {
    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ModelError> {
        let first_byte_until = self.first_byte_until.take();
        let until = first_byte_until.unwrap_or_else(|| Instant::now() + self.timeouts.idle);
        match timeout_at(until, self.response.chunk()).await {
            Ok(chunk) => Ok(chunk.map_err(EdgeError::Transport)?),
            Err(_elapsed) if first_byte_until.is_some() => {
                Err(ModelError::FirstByte(self.timeouts.first_byte))
            }
            Err(_elapsed) => Err(ModelError::Idle(self.timeouts.idle)),
        }
    }

    /// Reads the little that follows a finished answer, so that the connection can be used again.
    /// An answer is whole without it, so nothing that goes wrong here matters.
    pub async fn finish(mut self) {
        let rest = async { while let Ok(Some(_)) = self.response.chunk().await {} };
        if timeout(MODEL_TAIL_TIMEOUT, rest).await.is_err() {
            tracing::debug!("the model's connection was not closed in time and is dropped");
        }
    }
}
