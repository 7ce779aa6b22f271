//! A fake edge, a workspace and the real binary between them.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use protocol::session::{Item, Outcome};
use protocol::turn::{EventKind, TurnEvent, TurnRequest};
use protocol::version::PROTOCOL_VERSION;
use protocol::workspace::{Expected, FileName, RepositoryKey, WorkspaceEvent, WorkspaceOpening};
use protocol::{Problem, ProblemCode};
use reqwest::{Client, Response, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

use crate::fake_edge::FakeEdge;
use crate::fake_store::MASTER_KEY;

/// Nothing in these tests takes long; what takes this long hangs.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) edge: FakeEdge,
    pub(crate) workspace: TempDir,
}

/// One life of the binary.
pub(crate) struct Life {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    base: String,
    client: Client,
}

/// The events of a turn, as they come.
pub(crate) struct Follower {
    response: Response,
    buffer: Vec<u8>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self { edge: FakeEdge::start().await, workspace: TempDir::new().unwrap() }
    }

    pub(crate) async fn live(&self) -> Life {
        self.live_with(&[]).await
    }

    /// A life whose workspace is in place.
    pub(crate) async fn live_with(&self, environment: &[(&str, &str)]) -> Life {
        let life = self.live_unopened(environment).await;
        life.open_workspace(self.edge.store(|store| store.snapshots().pop())).await;
        life
    }

    /// The container's disk goes with it.
    pub(crate) fn wipe(&self) {
        for entry in std::fs::read_dir(self.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
        }
    }

    pub(crate) async fn live_unopened(&self, environment: &[(&str, &str)]) -> Life {
        let edge_url = format!("http://{}", self.edge.address);
        let mut command = program();
        command
            .env("PORT", "0")
            .env("EDGE_URL", edge_url)
            .env("EPOCH", "7")
            .env("WORKSPACE_DIR", self.workspace.path())
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let port = loop {
            let line = patiently(log.next_line()).await.unwrap().expect("it ended at once");
            if let Some((_, rest)) = line.split_once("address=0.0.0.0:") {
                break rest.split(' ').next().unwrap().to_owned();
            }
        };
        let client = Client::builder().no_proxy().build().unwrap();
        Life { child, log, base: format!("http://127.0.0.1:{port}"), client }
    }

    pub(crate) fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.workspace.path().join(name)).unwrap()
    }

    /// Waits until a file has a whole line in it.
    pub(crate) async fn await_file(&self, name: &str) {
        let path = self.workspace.path().join(name);
        patiently(async {
            while !std::fs::read_to_string(&path).is_ok_and(|text| text.ends_with('\n')) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    pub(crate) fn path(&self) -> &Path {
        self.workspace.path()
    }
}

/// The binary, without this process's proxy settings.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox-runtime"));
    for name in ["HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(name);
    }
    command
}

/// Ends a process that a command of the agent has become.
pub(crate) fn end_process(pid: &str) {
    let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

pub(crate) async fn patiently<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("it hangs")
}

impl Life {
    pub(crate) async fn get(&self, path: &str) -> Response {
        patiently(self.client.get(self.url(path)).send()).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Response {
        patiently(self.client.post(self.url(path)).body(body).send()).await.unwrap()
    }

    /// Has the workspace restored and waits for it, as the object does at each start.
    async fn open_workspace(&self, snapshot: Option<FileName>) {
        let expected = snapshot.map_or(Expected::Repository, |id| Expected::Snapshot { id });
        let events = self.open_with(expected).await;
        assert!(matches!(events.last(), Some(WorkspaceEvent::Restored { .. })), "{events:?}");
    }

    /// Has the workspace restored and gives what is told of it.
    pub(crate) async fn open_with(&self, expected: Expected) -> Vec<WorkspaceEvent> {
        let key = RepositoryKey::Master { json: MASTER_KEY.into() };
        let opening = WorkspaceOpening { protocol: PROTOCOL_VERSION, key, expected };
        let body = serde_json::to_vec(&opening).unwrap();
        let text = patiently(self.post("/workspace", body).await.text()).await.unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) async fn turn(&self, request: &TurnRequest) -> Follower {
        let response = self.post("/turns", serde_json::to_vec(request).unwrap()).await;
        assert_eq!(response.status(), StatusCode::OK, "{}", response.text().await.unwrap());
        Follower::new(response)
    }

    /// Runs a turn to its end and gives how it ended.
    pub(crate) async fn outcome(&self, request: &TurnRequest) -> Outcome {
        outcome(&self.turn(request).await.all().await)
    }

    pub(crate) async fn cancel(&self, turn: &str) -> StatusCode {
        self.post(&format!("/turns/{turn}/cancel"), "").await.status()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Waits until the process logs a line with this in it.
    pub(crate) async fn until_logged(&mut self, wanted: &str) {
        loop {
            let line = patiently(self.log.next_line()).await.unwrap().expect("it ended");
            if line.contains(wanted) {
                return;
            }
        }
    }

    /// As the kernel does it: nothing is flushed.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Waits for the process to end by itself and gives what it logged.
    pub(crate) async fn end(mut self) -> (ExitStatus, String) {
        let status = patiently(self.child.wait()).await.unwrap();
        let mut log = String::new();
        while let Some(line) = self.log.next_line().await.unwrap() {
            log.push_str(&line);
            log.push('\n');
        }
        (status, log)
    }
}

impl Follower {
    pub(crate) fn new(response: Response) -> Self {
        Self { response, buffer: Vec::new() }
    }

    /// The next event; `None` when the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<TurnEvent> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let chunk = patiently(self.response.chunk()).await.unwrap()?;
            self.buffer.extend_from_slice(&chunk);
        }
    }

    pub(crate) async fn all(mut self) -> Vec<TurnEvent> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }

    /// Reads on until the model has said this.
    pub(crate) async fn until_text(&mut self, wanted: &str) {
        loop {
            let event = self.next().await.expect("the stream ended without the text");
            if matches!(&event.kind, EventKind::Text { text } if text.contains(wanted)) {
                return;
            }
        }
    }

    /// Reads on until the log has this many records.
    pub(crate) async fn until_head(&mut self, wanted: u64) {
        loop {
            let event = self.next().await.expect("the stream ended before the log was so long");
            if matches!(event.kind, EventKind::Appended { head } if head >= wanted) {
                return;
            }
        }
    }
}

pub(crate) fn outcome(events: &[TurnEvent]) -> Outcome {
    match events.last().map(|event| &event.kind) {
        Some(EventKind::Finished { outcome, .. }) => outcome.clone(),
        other => panic!("the turn did not finish but with {other:?}"),
    }
}

/// The problem of a failed turn.
#[track_caller]
pub(crate) fn problem(outcome: Outcome) -> Problem {
    match outcome {
        Outcome::Failed { problem } => problem,
        other => panic!("the turn did not fail but {other:?}"),
    }
}

#[track_caller]
pub(crate) fn code(outcome: Outcome) -> ProblemCode {
    problem(outcome).code
}

/// Items in short, for comparing whole logs at a glance, without what is saved when.
pub(crate) fn brief(items: impl IntoIterator<Item = Item>) -> Vec<String> {
    let shown = |item: &Item| !matches!(item, Item::FilesSaved { .. });
    items.into_iter().filter(shown).map(|item| brief_item(&item)).collect()
}

fn brief_item(item: &Item) -> String {
    match item {
        Item::User(message) => format!("user {}", message.text),
        Item::Assistant(message) => {
            let blocks: Vec<String> = message
                .blocks
                .iter()
                .map(|block| match block {
                    protocol::session::Block::Text { text } => text.clone(),
                    protocol::session::Block::ToolCall { call, .. } => format!("<{call}>"),
                    other => format!("{other:?}"),
                })
                .collect();
            format!("assistant {}", blocks.join(" "))
        }
        Item::ToolStarted { call, .. } => format!("started {call}"),
        Item::ToolFinished(finished) => format!("finished {} {:?}", finished.call, finished.status),
        Item::FilesSaved { upto, .. } => format!("files saved up to {upto}"),
        Item::FilesLost { calls } => format!("files lost {}", calls.len()),
        Item::FilesUnsaved { problem } => format!("files unsaved {:?}", problem.code),
        Item::TurnEnded { outcome: Outcome::Failed { problem } } => {
            format!("ended {:?}", problem.code)
        }
        Item::TurnEnded { outcome } => format!("ended {outcome:?}"),
    }
}

/// The whole log of a session, in short.
pub(crate) fn brief_log(edge: &FakeEdge, session: &str) -> Vec<String> {
    brief(edge.log(session).into_iter().map(|record| record.item))
}
