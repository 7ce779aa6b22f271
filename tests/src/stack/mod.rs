//! The whole product, started as a user starts it: `cargo xtask dev` in a folder of its own.
//!
//! Invariant: no process of a stack outlives the value, however a test ends.

mod census;

use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use protocol::object::UsageReport;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::limits::{STACK_READY, TAIL_LINES};
use crate::process::{Process, Signal, send};
use crate::{http, model::ScriptedModel, paths, wait};

/// The key that a stack with a scripted model is given. Tests look for it where it must not be.
pub const CANARY_KEY: &str = "canary-7f3a-never-inside";

/// What a stack takes from the environment of its test, besides names that begin with `PAGURUS_`: where
/// things are on this machine. No setting of the product is among them.
const SURROUNDINGS: &[&str] = &[
    "CARGO_HOME",
    "HOME",
    "LANG",
    "LC_ALL",
    "LOGNAME",
    "PATH",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "SHELL",
    "TMPDIR",
    "USER",
    "XDG_CACHE_HOME",
];

fn is_surrounding(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("PAGURUS_") || SURROUNDINGS.contains(&name))
}

/// Settings that lift all caps on spending, for runs of thousands of calls.
pub const NO_CAPS: [(&str, &str); 6] = [
    ("SPEND_PER_TURN_USD", "none"),
    ("SPEND_PER_DAY_USD", "none"),
    ("SPEND_PER_MONTH_USD", "none"),
    ("TOKENS_PER_TURN", "none"),
    ("TOKENS_PER_DAY", "none"),
    ("TOKENS_PER_MONTH", "none"),
];

/// A running stack with its state.
#[derive(Debug)]
pub struct Stack {
    /// Where its page is. The same after a restart.
    pub url: String,
    process: Option<Process>,
    state: TempDir,
    variables: Vec<(String, String)>,
    starts: u32,
}

impl Stack {
    /// Starts a stack that thinks with `model` in Anthropic's format.
    pub async fn with(model: &ScriptedModel) -> Result<Self> {
        Self::start(&[("ANTHROPIC_API_KEY", CANARY_KEY), ("ANTHROPIC_BASE_URL", &model.url)]).await
    }

    /// Starts a stack that thinks with `model` in `OpenAI`'s format.
    pub async fn with_openai(model: &ScriptedModel) -> Result<Self> {
        let base_url = format!("{}/v1", model.url);
        Self::start(&[("OPENAI_API_KEY", CANARY_KEY), ("OPENAI_BASE_URL", &base_url)]).await
    }

    /// Starts a stack with these settings and no others.
    pub async fn start(variables: &[(&str, &str)]) -> Result<Self> {
        let mut stack = Self::prepare(variables)?;
        stack.start_again().await?;
        Ok(stack)
    }

    /// A stack with these settings that is yet to be started.
    pub fn prepare(variables: &[(&str, &str)]) -> Result<Self> {
        let mut stack = Self {
            url: String::new(),
            process: None,
            state: TempDir::with_prefix("pagurus-test-")?,
            variables: Vec::new(),
            starts: 0,
        };
        stack.set(variables);
        Ok(stack)
    }

    /// Replaces the settings; they count from the next start on.
    pub fn set(&mut self, variables: &[(&str, &str)]) {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.variables = variables.iter().map(own).collect();
    }

    /// Starts what was stopped or killed, on the same state and the same port.
    pub async fn start_again(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "the stack runs");
        self.starts += 1;
        let port = self.url.rsplit(':').next().filter(|port| !port.is_empty()).unwrap_or("0");
        let mut command = Command::new(paths::xtask()?);
        command
            .current_dir(paths::root()?)
            .args(["dev", "--json", "--port", port, "--state"])
            .arg(self.folder().join("state"))
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| is_surrounding(name)))
            .env("PAGURUS_BUILT", "1")
            .env("PAGURUS_HERMETIC", "1");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let log = self.folder().join(format!("dev-{}.log", self.starts));
        let mut process = Process::spawn(&mut command, &log)?;
        let url = process.wait_for("url of a ready stack", STACK_READY, ready_url).await;
        self.process = Some(process);
        self.url = url?;
        Ok(())
    }

    /// Stops it, and starts it again with these settings.
    pub async fn restart(&mut self, variables: &[(&str, &str)]) -> Result<()> {
        self.stop().await?;
        self.set(variables);
        self.start_again().await
    }

    /// What `GET /api/usage` says to a program that shows this token.
    pub async fn usage(&self, token: &str) -> Result<UsageReport> {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let answer = http::send(&self.url, "GET /api/usage", &headers, b"").await?;
        ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
        serde_json::from_value(answer.json()).context("the report does not read")
    }

    /// The folder in which everything of this stack lies.
    pub fn folder(&self) -> &Path {
        self.state.path()
    }

    /// Everything that the stack has printed since its last start.
    pub fn printed(&self) -> String {
        self.process.as_ref().map(Process::printed).unwrap_or_default()
    }

    /// The ends of all its logs, for a failure's message.
    pub fn tails(&self) -> String {
        let is_log = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "log");
        let tail = |path: PathBuf| {
            let log = std::fs::read(&path).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default();
            format!("--- {}\n{}\n", path.display(), tail.join("\n"))
        };
        census::files(self.folder()).into_iter().filter(is_log).map(tail).collect()
    }

    /// Stops the stack as `kill` does and checks that nothing of it is left.
    pub async fn stop(&mut self) -> Result<()> {
        let process = self.process.take().context("the stack does not run")?;
        let before = census::descendants(process.pid())?;
        process.stop().await?;
        self.gone(&before).await
    }

    /// Stops the stack as Ctrl-C does and checks that nothing of it is left.
    pub async fn interrupt(&mut self) -> Result<()> {
        let process = self.process.take().context("the stack does not run")?;
        let before = census::descendants(process.pid())?;
        process.interrupt().await?;
        self.gone(&before).await
    }

    /// Kills every process of the stack without warning.
    pub async fn kill(&mut self) -> Result<()> {
        let process = self.process.take().context("the stack does not run")?;
        let before = census::descendants(process.pid())?;
        kill_all(&before);
        process.kill().await?;
        self.gone(&before).await
    }

    /// Waits until these processes, and all that know the state's folder, have ended.
    async fn gone(&self, before: &[i32]) -> Result<()> {
        let folder = self.folder().to_string_lossy().into_owned();
        let left = || {
            let known = before.iter().copied().filter(|pid| crate::process::alive(*pid));
            known.chain(census::mentioning(&folder)).map(census::describe).collect::<Vec<_>>()
        };
        let gone = wait::until_true("the end of all processes", || left().is_empty()).await;
        gone.with_context(|| format!("left over: {:?}", left()))?;
        // A process that the kernel is still taking apart holds the port a moment longer.
        let port = self.url.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
        let is_free = || port.is_none_or(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
        let others = || census::mentioning("workerd").into_iter().map(census::describe);
        let freed = wait::until_true("a free port", is_free).await;
        freed.with_context(|| {
            format!("{} is held; there are {:?}", self.url, others().collect::<Vec<_>>())
        })
    }

    /// Kills the runtime without warning and waits until it is gone.
    pub async fn kill_runtime(&self) -> Result<()> {
        let pid = self.runtime().await?;
        send(pid, Signal::Kill)?;
        let what = format!("the death of {pid}");
        wait::until_true(&what, || !crate::process::alive(pid)).await
    }

    /// The runtime's process, as soon as there is one.
    pub async fn runtime(&self) -> Result<i32> {
        let root = self.process.as_ref().context("the stack does not run")?.pid();
        wait::until("a runtime", || {
            let pids = census::descendants(root).ok()?;
            pids.into_iter().find(|pid| census::name(*pid) == "sandbox-runtime")
        })
        .await
    }

    /// The workspace of the running runtime, as its environment says.
    pub async fn workspace(&self) -> Result<PathBuf> {
        let environment = std::fs::read(format!("/proc/{}/environ", self.runtime().await?))?;
        let mut variables = environment.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let folder = variables
            .find_map(|variable| variable.strip_prefix("WORKSPACE_DIR=").map(PathBuf::from));
        folder.context("the runtime has no WORKSPACE_DIR")
    }

    /// The runtime's process, if there is one right now.
    pub fn runtime_now(&self) -> Result<Option<i32>> {
        let root = self.process.as_ref().context("the stack does not run")?.pid();
        let pids = census::descendants(root)?;
        Ok(pids.into_iter().find(|pid| census::name(*pid) == "sandbox-runtime"))
    }

    /// The `workerd` that runs the Worker and the object.
    pub fn workerd(&self) -> Result<Option<i32>> {
        let root = self.process.as_ref().context("the stack does not run")?.pid();
        let port = self.url.rsplit(':').next().unwrap_or_default();
        // The other one is wrangler's own, which passes requests on from the public port.
        let public = format!("--socket-addr=entry=127.0.0.1:{port}");
        let is_ours = |pid: &i32| {
            census::name(*pid) == "workerd" && !census::describe(*pid).contains(&public)
        };
        Ok(census::descendants(root)?.into_iter().find(is_ours))
    }

    /// Kills the `workerd` that runs the Worker and the object, and nothing else.
    pub fn kill_workerd(&self) -> Result<()> {
        self.workerd()?.map_or(Ok(()), |pid| send(pid, Signal::Kill))
    }

    /// The processes that run and hold this text in their command line or environment.
    pub fn processes_mentioning(&self, text: &str) -> Vec<i32> {
        census::mentioning(text)
    }

    /// Keeps the stack's folder when the value goes, and says where it is.
    pub fn keep(&mut self) -> PathBuf {
        self.state.disable_cleanup(true);
        self.folder().to_owned()
    }

    /// All files of the stack.
    pub fn files(&self) -> Vec<PathBuf> {
        census::files(self.folder())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // Its children may lead groups of their own, which the process's own end does not reach.
        if let Some(process) = &self.process {
            kill_all(&census::descendants(process.pid()).unwrap_or_default());
        }
        if std::env::var_os("PAGURUS_KEEP_STATE").is_some() {
            self.state.disable_cleanup(true);
        }
    }
}

fn kill_all(pids: &[i32]) {
    for pid in pids {
        // One that has just ended by itself is as good as killed.
        drop(send(*pid, Signal::Kill));
    }
}

/// The URL in the line by which `xtask dev --json` says that the stack is ready.
fn ready_url(line: &str) -> Option<String> {
    let value: Value = serde_json::from_str(line).ok()?;
    (value.get("event")? == "ready").then(|| value.get("url")?.as_str().map(str::to_owned))?
}
