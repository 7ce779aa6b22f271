//! The HTTP client: one pool for everything, plain HTTP, no redirects, bounded answers.

use std::time::Duration;

use protocol::edge::EdgeRoute;
use protocol::{Method, Problem};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::{
    EDGE_CONNECT_TIMEOUT, EDGE_IDLE_CONNECTIONS_MAX, EDGE_IDLE_TIMEOUT, SESSION_ANSWER_BYTES_MAX,
    SESSION_CALL_TIMEOUT,
};

/// Why the edge gave no good answer.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// The client could not be made.
    #[error("the HTTP client could not be made")]
    Client(#[source] reqwest::Error),
    /// The request's body could not be written.
    #[error("the request could not be written as JSON")]
    Request(#[source] serde_json::Error),
    /// No answer, or not all of it.
    #[error("the edge could not be reached or its answer broke off")]
    Transport(#[source] reqwest::Error),
    /// No answer in time.
    #[error("the edge did not answer within {0:?}")]
    Timeout(Duration),
    /// The answer is larger than anything the edge sends.
    #[error("the edge's answer has more than {0} bytes")]
    TooLarge(usize),
    /// The answer is not what the route promises.
    #[error("the edge's answer is not what the route promises")]
    Answer(#[source] serde_json::Error),
    /// The answer's parts contradict each other or the request.
    #[error("the edge's answer contradicts itself or the request: {0}")]
    Contradiction(&'static str),
    /// The edge said no, in its own words.
    #[error("the edge refused ({status}): {problem}")]
    Refused {
        /// The status.
        status: u16,
        /// What it said.
        problem: Problem,
    },
    /// The edge failed without words of its own.
    #[error("the edge answered with status {0}")]
    Status(u16),
}

impl EdgeError {
    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transport(_) | Self::Timeout(_) => true,
            Self::Refused { status, .. } | Self::Status(status) => *status >= 500 || *status == 429,
            _ => false,
        }
    }
}

/// The client and the address of the edge.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
    base: Url,
}

impl Http {
    /// A client of the edge at `base`. `HTTP_PROXY` is honoured.
    pub fn new(base: Url) -> Result<Self, EdgeError> {
        let client = Client::builder()
            .connect_timeout(EDGE_CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .pool_max_idle_per_host(EDGE_IDLE_CONNECTIONS_MAX)
            .pool_idle_timeout(EDGE_IDLE_TIMEOUT)
            .redirect(redirect::Policy::none())
            .build()
            .map_err(EdgeError::Client)?;
        Ok(Self { client, base })
    }

    /// Sends a request and gives the answer, its body unread.
    pub async fn send(
        &self,
        route: &EdgeRoute,
        headers: &[(&'static str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Result<Response, EdgeError> {
        let url = format!("{}{}", self.base.as_str().trim_end_matches('/'), route.path());
        let request = match route.method() {
            Method::Head => self.client.head(url),
            Method::Get => self.client.get(url),
            Method::Post => self.client.post(url).body(body),
            Method::Delete => self.client.delete(url),
        };
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.send().await.map_err(EdgeError::Transport)
    }

    /// Asks for JSON, with JSON if the route takes a body.
    pub async fn call<T: DeserializeOwned>(
        &self,
        route: &EdgeRoute,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, EdgeError> {
        let bytes = body.map(serde_json::to_vec).transpose().map_err(EdgeError::Request)?;
        let exchange = async {
            let headers: &[(_, &str)] =
                if bytes.is_some() { &[("content-type", "application/json")] } else { &[] };
            let response = self.send(route, headers, bytes.unwrap_or_default()).await?;
            let status = response.status();
            let bytes = read(response, SESSION_ANSWER_BYTES_MAX).await?;
            if status == StatusCode::OK {
                serde_json::from_slice(&bytes).map_err(EdgeError::Answer)
            } else {
                Err(refusal(status, &bytes))
            }
        };
        tokio::time::timeout(SESSION_CALL_TIMEOUT, exchange)
            .await
            .unwrap_or(Err(EdgeError::Timeout(SESSION_CALL_TIMEOUT)))
    }
}

/// What the edge says in an answer that it made itself.
pub async fn read_problem(response: Response) -> EdgeError {
    let status = response.status();
    match read(response, SESSION_ANSWER_BYTES_MAX).await {
        Ok(bytes) => refusal(status, &bytes),
        Err(error) => error,
    }
}

/// What a failed answer says: the edge's own words if it used any.
fn refusal(status: StatusCode, body: &[u8]) -> EdgeError {
    let status = status.as_u16();
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => EdgeError::Refused { status, problem },
        Err(error) => {
            tracing::debug!(%error, status, "the edge's refusal is no problem document");
            EdgeError::Status(status)
        }
    }
}

/// The whole body, when it has at most `bytes_max` bytes.
pub async fn read(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, EdgeError> {
    // Grown step by step, a pack would take twice its memory.
    let expected = response.content_length().and_then(|bytes| usize::try_from(bytes).ok());
    let mut bytes = Vec::with_capacity(expected.unwrap_or(0).min(bytes_max));
    while let Some(chunk) = response.chunk().await.map_err(EdgeError::Transport)? {
        if bytes.len() + chunk.len() > bytes_max {
            return Err(EdgeError::TooLarge(bytes_max));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
