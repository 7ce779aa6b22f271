//! Where a repository's files are. Every call blocks.

use std::time::Duration;

use bytes::Bytes;
use protocol::edge::EdgeRoute;
use protocol::limits::REPOSITORY_FILE_BYTES_MAX;
use protocol::workspace::{FileAction, FileKind, FileName, LISTING_V2, ListedFile, WorkspaceRoute};
use protocol::{Problem, ProblemCode};
use reqwest::{Response, StatusCode};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::edge::{EdgeError, Http, http};
use crate::limits::{
    STORE_ATTEMPTS_MAX, STORE_CALL_TIMEOUT, STORE_LISTING_BYTES_MAX, STORE_RETRY_DELAY_MAX,
    STORE_RETRY_DELAY_MIN,
};

/// Why a store gave no good answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// There is no such file.
    #[error("there is no such file")]
    NotFound,
    /// Another life of the container has begun.
    #[error("another life of the container has taken over")]
    StaleEpoch,
    /// It said no.
    #[error("the store refused: {0}")]
    Refused(Problem),
    /// It did not answer, or not in time, however often it was asked.
    #[error("the store does not answer: {0}")]
    Silent(String),
    /// Its answer is not what was asked for.
    #[error("the store's answer is wrong: {0}")]
    Wrong(String),
}

/// A file of the repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// The configuration.
    Config,
    /// Any other file.
    File(FileKind, FileName),
}

/// Where a repository's files are.
pub trait Store: Send + Sync + 'static {
    /// The files of a kind with their sizes.
    fn list(&self, kind: FileKind) -> Result<Vec<ListedFile>, StoreError>;

    /// A whole file.
    fn read(&self, place: &Place) -> Result<Bytes, StoreError>;

    /// A part of a file: exactly `length` bytes from `offset`.
    fn read_range(&self, place: &Place, offset: u64, length: u64) -> Result<Bytes, StoreError>;

    /// Writes a file that is not there, or is the same.
    fn write(&self, place: &Place, content: Bytes) -> Result<(), StoreError>;

    /// Removes a file; it need not be there.
    fn remove(&self, place: &Place) -> Result<(), StoreError>;
}

impl Place {
    fn route(&self, action: FileAction) -> EdgeRoute {
        EdgeRoute::Workspace(match self {
            Self::Config => WorkspaceRoute::Config(action),
            Self::File(kind, name) => WorkspaceRoute::File(action, *kind, name.clone()),
        })
    }
}

/// The edge as a store. Its calls may come from any thread but that of the event loop.
#[derive(Debug, Clone)]
pub struct EdgeStore {
    http: Http,
    handle: Handle,
}

impl EdgeStore {
    /// The edge behind this client; `handle` is the event loop that does the waiting.
    pub fn new(http: Http, handle: Handle) -> Self {
        Self { http, handle }
    }

    /// Asks until there is an answer that says something, within the bounds.
    fn ask(
        &self,
        route: &EdgeRoute,
        headers: &[(&'static str, &str)],
        body: &Bytes,
        bytes_max: usize,
    ) -> Result<(StatusCode, Bytes), StoreError> {
        self.handle.block_on(async {
            let mut attempt = 1;
            loop {
                let asked = self.ask_once(route, headers, body.clone(), bytes_max);
                let why = match timeout(STORE_CALL_TIMEOUT, asked).await {
                    Ok(Ok((status, bytes))) if !is_transient(status) => return Ok((status, bytes)),
                    Ok(Ok((status, bytes))) => refusal(status, &bytes).to_string(),
                    Ok(Err(error)) => crate::chain(&error),
                    Err(_elapsed) => format!("no answer within {STORE_CALL_TIMEOUT:?}"),
                };
                if attempt >= STORE_ATTEMPTS_MAX {
                    return Err(StoreError::Silent(why));
                }
                tracing::debug!(attempt, why, path = route.path(), "the store is asked again");
                tokio::time::sleep(delay(attempt)).await;
                attempt += 1;
            }
        })
    }

    async fn ask_once(
        &self,
        route: &EdgeRoute,
        headers: &[(&'static str, &str)],
        body: Bytes,
        bytes_max: usize,
    ) -> Result<(StatusCode, Bytes), EdgeError> {
        let response: Response = self.http.send(route, headers, body).await?;
        let status = response.status();
        let bytes = http::read(response, bytes_max).await?;
        Ok((status, bytes.into()))
    }
}

impl Store for EdgeStore {
    fn list(&self, kind: FileKind) -> Result<Vec<ListedFile>, StoreError> {
        let route = EdgeRoute::Workspace(WorkspaceRoute::List(kind));
        let headers = [("accept", LISTING_V2)];
        let (status, bytes) = self.ask(&route, &headers, &Bytes::new(), STORE_LISTING_BYTES_MAX)?;
        expect(status, StatusCode::OK, &bytes)?;
        serde_json::from_slice(&bytes).map_err(|error| StoreError::Wrong(error.to_string()))
    }

    fn read(&self, place: &Place) -> Result<Bytes, StoreError> {
        let bytes_max = usize::try_from(REPOSITORY_FILE_BYTES_MAX).unwrap_or(usize::MAX);
        let route = place.route(FileAction::Get);
        let (status, bytes) = self.ask(&route, &[], &Bytes::new(), bytes_max)?;
        expect(status, StatusCode::OK, &bytes)?;
        Ok(bytes)
    }

    fn read_range(&self, place: &Place, offset: u64, length: u64) -> Result<Bytes, StoreError> {
        let Some(last) = (offset + length).checked_sub(1) else { return Ok(Bytes::new()) };
        let wanted = usize::try_from(length).unwrap_or(usize::MAX);
        let range = format!("bytes={offset}-{last}");
        let route = place.route(FileAction::Get);
        let (status, bytes) = self.ask(&route, &[("range", &range)], &Bytes::new(), wanted)?;
        if status == StatusCode::RANGE_NOT_SATISFIABLE {
            return Err(StoreError::Wrong("the file is shorter than it should be".into()));
        }
        expect(status, StatusCode::PARTIAL_CONTENT, &bytes)?;
        if bytes.len() != wanted {
            let what = format!("{} bytes came where {wanted} were asked for", bytes.len());
            return Err(StoreError::Wrong(what));
        }
        Ok(bytes)
    }

    fn write(&self, place: &Place, content: Bytes) -> Result<(), StoreError> {
        let headers = [("content-type", "application/octet-stream")];
        let route = place.route(FileAction::Post);
        let (status, bytes) = self.ask(&route, &headers, &content, STORE_LISTING_BYTES_MAX)?;
        expect(status, StatusCode::OK, &bytes)
    }

    fn remove(&self, place: &Place) -> Result<(), StoreError> {
        let route = place.route(FileAction::Delete);
        match self.ask(&route, &[], &Bytes::new(), STORE_LISTING_BYTES_MAX)? {
            (StatusCode::NOT_FOUND, _) => Ok(()),
            (status, bytes) => expect(status, StatusCode::OK, &bytes),
        }
    }
}

fn expect(status: StatusCode, wanted: StatusCode, body: &[u8]) -> Result<(), StoreError> {
    if status == wanted { Ok(()) } else { Err(refusal(status, body)) }
}

fn refusal(status: StatusCode, body: &[u8]) -> StoreError {
    let problem = serde_json::from_slice::<Problem>(body).unwrap_or_else(|_| {
        let message = format!("The workspace's store answered with status {status}.");
        Problem::new(ProblemCode::UpstreamFailed, message)
    });
    match problem.code {
        ProblemCode::StaleEpoch => StoreError::StaleEpoch,
        _ if status == StatusCode::NOT_FOUND => StoreError::NotFound,
        _ => StoreError::Refused(problem),
    }
}

/// Whether the same request may succeed later. Writing twice is safe: a file's name is its content.
fn is_transient(status: StatusCode) -> bool {
    (status.is_server_error() && status != StatusCode::INTERNAL_SERVER_ERROR)
        || status == StatusCode::TOO_MANY_REQUESTS
}

fn delay(attempt: u32) -> Duration {
    let factor = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    STORE_RETRY_DELAY_MIN.saturating_mul(factor).min(STORE_RETRY_DELAY_MAX)
}
