//! The workspace's repository at the fake edge: restic's REST protocol over a map.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use protocol::workspace::{FileAction, FileKind, FileName, ListedFile, WorkspaceRoute};
use protocol::{Problem, ProblemCode};

/// An empty repository, and the key that opens it: making one for each test would take its time.
const CONFIG: &[u8] = include_bytes!("repository/config");
pub(crate) const MASTER_KEY: &str = include_str!("repository/master_key.json");

#[derive(Debug)]
pub(crate) struct FakeStore {
    config: Option<Bytes>,
    files: BTreeMap<(FileKind, FileName), Bytes>,
    /// The snapshots, in the order in which they were written.
    snapshots: Vec<FileName>,
    /// How many writes, from now on, are refused.
    pub(crate) refuse_writes: usize,
}

impl Default for FakeStore {
    fn default() -> Self {
        let config = Some(Bytes::from_static(CONFIG));
        Self { config, files: BTreeMap::new(), snapshots: Vec::new(), refuse_writes: 0 }
    }
}

impl FakeStore {
    /// The names of all snapshots, the oldest first.
    pub(crate) fn snapshots(&self) -> Vec<FileName> {
        self.snapshots.clone()
    }

    /// Loses everything that was saved.
    pub(crate) fn lose(&mut self) {
        self.files.clear();
        self.snapshots.clear();
    }

    pub(crate) fn serve(
        &mut self,
        route: WorkspaceRoute,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Response {
        let writes = route.method().as_str() == "POST";
        if writes && self.refuse_writes > 0 {
            self.refuse_writes -= 1;
            let problem = Problem::new(ProblemCode::Forbidden, "no room");
            return (StatusCode::FORBIDDEN, axum::Json(problem)).into_response();
        }
        match route {
            WorkspaceRoute::Create => StatusCode::OK.into_response(),
            WorkspaceRoute::List(kind) => {
                let of_kind = self.files.iter().filter(|((its, _), _)| *its == kind);
                let listed = of_kind.map(|((_, name), content)| ListedFile {
                    name: name.clone(),
                    size: content.len() as u64,
                });
                axum::Json(listed.collect::<Vec<_>>()).into_response()
            }
            WorkspaceRoute::Config(FileAction::Post) => {
                self.config = Some(body);
                StatusCode::OK.into_response()
            }
            WorkspaceRoute::Config(_) => found(self.config.clone(), headers),
            WorkspaceRoute::File(FileAction::Post, kind, name) => {
                if kind == FileKind::Snapshots && !self.snapshots.contains(&name) {
                    self.snapshots.push(name.clone());
                }
                self.files.insert((kind, name), body);
                StatusCode::OK.into_response()
            }
            WorkspaceRoute::File(FileAction::Delete, kind, name) => {
                self.snapshots.retain(|its| kind != FileKind::Snapshots || *its != name);
                self.files.remove(&(kind, name));
                StatusCode::OK.into_response()
            }
            WorkspaceRoute::File(_, kind, name) => {
                found(self.files.get(&(kind, name)).cloned(), headers)
            }
        }
    }
}

fn found(content: Option<Bytes>, headers: &HeaderMap) -> Response {
    let Some(content) = content else { return StatusCode::NOT_FOUND.into_response() };
    let Some(range) = headers.get("range") else { return content.into_response() };
    let range = range.to_str().unwrap().strip_prefix("bytes=").unwrap();
    let (first, last) = range.split_once('-').unwrap();
    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
    (StatusCode::PARTIAL_CONTENT, content.slice(first..=last)).into_response()
}
