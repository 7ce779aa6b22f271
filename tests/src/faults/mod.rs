//! The fault harness: conversations whose steps change files and have counted side effects, while
//! parts of the stack are killed, cut off, slowed down or lied to; afterwards the books are looked at.
//!
//! Invariant: what goes wrong, and when, follows from the seed alone.

pub mod books;
pub mod chance;
mod kinds;
mod plan;
mod player;
mod report;
mod talk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::future::{join, try_join_all};

pub use kinds::Kind;
pub use report::Report;

use crate::limits::{FAULTS_PAUSE_MS_MAX, FAULTS_ROUNDS_PER_SESSION, FAULTS_SESSIONS};
use crate::stack::{CANARY_KEY, Stack};
use chance::Chance;
use player::Player;
use talk::{Message, Talk};

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where chance begins.
    pub seed: u64,
    /// How many faults.
    pub rounds: u32,
    /// Told after each round.
    pub progress: fn(&str),
}

/// One conversation and what it was asked.
#[derive(Debug, Default)]
struct Session {
    messages: Vec<String>,
    tasks: Vec<String>,
}

/// The harness in the middle of its work.
#[derive(Debug)]
struct Harness {
    stack: Stack,
    player: Player,
    effects: PathBuf,
    chance: Chance,
    sessions: BTreeMap<String, Session>,
    report: Report,
}

/// Runs the rounds and looks at the books. The stack's folder is kept when something is wrong.
pub async fn run(options: &Options) -> Result<Report> {
    let effects = tempfile::TempDir::with_prefix("pagurus-effects-")?;
    let player = Player::start(effects.path()).await?;
    let stack = Stack::start(&[
        ("ANTHROPIC_API_KEY", CANARY_KEY),
        ("ANTHROPIC_BASE_URL", &player.url),
        ("FAULTS", "true"),
        ("MODEL_IDLE_TIMEOUT_MS", "1500"),
        ("MODEL_FIRST_BYTE_TIMEOUT_MS", "5000"),
    ])
    .await?;
    let mut harness = Harness {
        stack,
        player,
        effects: effects.path().to_owned(),
        chance: Chance::new(options.seed),
        sessions: BTreeMap::new(),
        report: Report::new(options),
    };
    for round in 0..options.rounds {
        let kind = Kind::choose(&mut harness.chance);
        let took = harness.round(round, kind).await;
        let took = took.with_context(|| format!("round {round}, {kind:?}"));
        if let Err(error) = took {
            harness.report.error = Some(format!("{error:#}"));
            break;
        }
        if let (Ok(took), progress) = (took, options.progress) {
            progress(&format!("round {:>4}  {kind:<16}  {:>6} ms", round + 1, took.as_millis()));
        }
    }
    harness.end().await
}

impl Harness {
    /// One fault in the middle of conversations, and their end; gives the time from the fault to
    /// the last answer.
    async fn round(&mut self, round: u32, kind: Kind) -> Result<Duration> {
        let generation = round / FAULTS_ROUNDS_PER_SESSION;
        let mut pages = Vec::new();
        let url = self.stack.url.clone();
        for n in 0..FAULTS_SESSIONS {
            let session = format!("s{n}x{generation}");
            let (messages, tasks) = self.ask(&session, round);
            let url = url.clone();
            let repeat = kind == Kind::SentTwice;
            pages.push(Talk { url, session, unaccepted: messages, tasks, repeat }.run());
        }
        let pause = Duration::from_millis(self.chance.below(FAULTS_PAUSE_MS_MAX));
        let fault = async {
            tokio::time::sleep(pause).await;
            let began = Instant::now();
            kind.happen(&mut self.stack, &self.player, &mut self.chance).await.map(|()| began)
        };
        let (told, began) = join(try_join_all(pages), fault).await;
        let (told, began) = (told?, began?);
        let took = began.elapsed();
        self.report.round(kind, took);
        for told in told {
            self.report.explained += told.explained;
            self.report.accepted += told.explained;
        }
        Ok(took)
    }

    /// What a session is asked in a round: one task, or two in quick succession.
    fn ask(&mut self, session: &str, round: u32) -> (Vec<Message>, Vec<String>) {
        let count = 1 + self.chance.below(2);
        let entry = self.sessions.entry(session.to_owned()).or_default();
        let mut messages = Vec::new();
        let mut tasks = Vec::new();
        for n in 0..count {
            let task = format!("{session}-r{round}n{n}");
            let id = format!("m-{task}");
            messages.push(Message { id: id.clone(), text: format!("Please see to task:{task}") });
            entry.messages.push(id);
            entry.tasks.push(task.clone());
            tasks.push(task);
        }
        self.report.accepted += messages.len();
        (messages, tasks)
    }

    /// Asks every session once more in a fresh life of the container, and looks at everything.
    async fn end(mut self) -> Result<Report> {
        kinds::calm(&self.stack).await?;
        if self.report.error.is_none() && self.stack.runtime_now()?.is_some() {
            self.stack.kill_runtime().await?;
        }
        let names: Vec<String> = self.sessions.keys().cloned().collect();
        if self.report.error.is_none() {
            for name in &names {
                let tasks = self.sessions.get(name).map(|s| s.tasks.clone()).unwrap_or_default();
                let last = Message { id: format!("last-{name}"), text: "Is all well?".into() };
                let (url, session) = (self.stack.url.clone(), name.clone());
                let page = Talk { url, session, unaccepted: vec![last], tasks, repeat: false };
                if let Err(error) = page.run().await {
                    self.report.findings.broken.push(format!("{name}: {error:#}"));
                }
                self.report.accepted += 1;
            }
        }
        let effects = counted(&self.effects)?;
        for (name, session) in &self.sessions {
            let records = talk::records(&self.stack.url, name).await?;
            let found = books::look(name, &records, &session.messages, &session.tasks, &effects);
            self.report.findings.add(found);
        }
        if self.report.error.is_none() {
            let lost = self.missing_files().await?;
            self.report.findings.files_lost.extend(lost);
        }
        let complaints = self.player.complaints();
        self.report.findings.broken.extend(complaints.into_iter().map(|c| format!("model: {c}")));
        self.report.answered = self.report.accepted.saturating_sub(self.report.findings.lost.len());
        self.report.model_calls = self.player.calls();
        if self.report.is_bad() {
            self.report.kept = Some(self.stack.keep());
        }
        self.stack.stop().await?;
        Ok(self.report)
    }

    /// Files that are not as the tasks left them, in the workspace of the running container.
    async fn missing_files(&self) -> Result<Vec<String>> {
        let pid = self.stack.runtime().await?;
        let workspace = workspace_of(pid)?;
        let mut wrong = Vec::new();
        for (name, session) in &self.sessions {
            let lines =
                std::fs::read_to_string(workspace.join("work").join(format!("lines.{name}")))
                    .unwrap_or_default();
            for task in &session.tasks {
                let file = workspace.join("work").join(format!("{task}.txt"));
                if std::fs::read_to_string(&file).ok().as_deref() != Some(task) {
                    wrong.push(format!("{name}: work/{task}.txt"));
                }
                if !lines.lines().any(|line| line == task) {
                    wrong.push(format!("{name}: the line of {task}"));
                }
            }
        }
        Ok(wrong)
    }
}

/// How often each side effect has happened.
fn counted(effects: &Path) -> Result<BTreeMap<String, usize>> {
    let mut counted = BTreeMap::new();
    for entry in std::fs::read_dir(effects)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        counted.insert(name, std::fs::read_to_string(&path)?.lines().count());
    }
    Ok(counted)
}

/// The workspace of a running runtime, as its environment says.
fn workspace_of(pid: i32) -> Result<PathBuf> {
    let environment = std::fs::read(format!("/proc/{pid}/environ"))?;
    let mut variables = environment.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let folder =
        variables.find_map(|variable| variable.strip_prefix("WORKSPACE_DIR=").map(PathBuf::from));
    folder.context("the runtime has no WORKSPACE_DIR")
}
