//! A store over HTTP that keeps its files in a folder and waits before each answer.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use protocol::workspace::{FileAction, FileKind, FileName, ListedFile, WorkspaceRoute};
use tokio::net::TcpListener;

/// The store's process; it ends with this value.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    process: Child,
}

impl Server {
    pub(crate) fn start(folder: &Path, latency_ms: u64) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg(folder)
            .arg(latency_ms.to_string())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().context("the store says nothing")?;
        let mut url = String::new();
        BufReader::new(output).read_line(&mut url)?;
        Ok(Self { url: url.trim().to_owned(), process })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.process.kill().and_then(|()| self.process.wait()) {
            println!("the store's process could not be ended: {error}");
        }
    }
}

#[derive(Clone)]
struct Shared {
    folder: PathBuf,
    latency: Duration,
}

/// Serves until the process is killed.
pub(crate) async fn serve(folder: PathBuf, latency_ms: u64) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    for kind in FileKind::ALL {
        std::fs::create_dir_all(folder.join(kind.as_str()))?;
    }
    let shared = Shared { folder, latency: Duration::from_millis(latency_ms) };
    let router =
        Router::new().fallback(handle).layer(DefaultBodyLimit::disable()).with_state(shared);
    Ok(axum::serve(listener, router).await?)
}

async fn handle(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    tokio::time::sleep(shared.latency).await;
    let path = uri.path().strip_prefix("/workspace");
    let route = path.and_then(|path| {
        WorkspaceRoute::parse(method.as_str(), path, uri.query().unwrap_or_default())
    });
    let Some(route) = route else { return StatusCode::NOT_FOUND.into_response() };
    answer(&shared.folder, route, &headers, &body).unwrap_or_else(|error| {
        (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
    })
}

fn answer(
    folder: &Path,
    route: WorkspaceRoute,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Response> {
    let (action, path) = match route {
        WorkspaceRoute::Create => return Ok(StatusCode::OK.into_response()),
        WorkspaceRoute::List(kind) => return list(&folder.join(kind.as_str())),
        WorkspaceRoute::Config(action) => (action, folder.join("config")),
        WorkspaceRoute::File(action, kind, name) => {
            (action, folder.join(kind.as_str()).join(name.as_str()))
        }
    };
    match action {
        FileAction::Post => {
            std::fs::write(path, body)?;
            Ok(StatusCode::OK.into_response())
        }
        FileAction::Delete => {
            std::fs::remove_file(path)?;
            Ok(StatusCode::OK.into_response())
        }
        FileAction::Head | FileAction::Get if !path.exists() => {
            Ok(StatusCode::NOT_FOUND.into_response())
        }
        FileAction::Head | FileAction::Get => read(&path, headers),
    }
}

fn list(folder: &Path) -> Result<Response> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name: FileName = entry.file_name().to_string_lossy().parse()?;
        files.push(ListedFile { name, size: entry.metadata()?.len() });
    }
    Ok(axum::Json(files).into_response())
}

fn read(path: &Path, headers: &HeaderMap) -> Result<Response> {
    let Some(range) = headers.get("range") else {
        return Ok(std::fs::read(path)?.into_response());
    };
    let range = range.to_str()?.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let (first, last) = range.context("a range that is none")?;
    let (first, last): (u64, u64) = (first.parse()?, last.parse()?);
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(first))?;
    let mut bytes = vec![0; usize::try_from(last + 1 - first)?];
    file.read_exact(&mut bytes)?;
    Ok((StatusCode::PARTIAL_CONTENT, bytes).into_response())
}
