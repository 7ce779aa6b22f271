//! Test doubles that other people wrote, as processes: found or missing with a reason, ended with
//! the value.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::limits::DOUBLE_READY;
use crate::paths;
use crate::process::Process;

/// A running double.
#[derive(Debug)]
pub struct Double {
    /// Its base URL.
    pub url: String,
    /// Ends it when dropped.
    _process: Process,
    /// Holds its log.
    _folder: TempDir,
}

impl Double {
    /// npm's `@copilotkit/aimock`, which answers as its fixtures say, in both wire formats.
    /// `Err` inside says why there is none on this machine.
    pub async fn aimock(fixtures: &Path) -> Result<Result<Self, String>> {
        let script = paths::node_modules()?.join(".bin/llmock");
        if !script.exists() {
            return Ok(Err(format!("{} does not exist; run `npm ci`", script.display())));
        }
        let mut command = Command::new(paths::node()?);
        command.arg(script).args(["--port", "0", "--strict", "--log-level", "info", "--fixtures"]);
        command.arg(fixtures);
        Self::start(command, |line| {
            line.split_once("listening on ").map(|(_, url)| url.trim().to_owned())
        })
        .await
        .map(Ok)
    }

    /// `PyPI`'s `llmock`, which breaks answers on demand and judges how its client takes it.
    pub async fn llmock() -> Result<Result<Self, String>> {
        let Some(program) = venv_program("llmock") else {
            return Ok(Err("PAGURUS_VENV holds no llmock; run `cargo xtask setup`".to_owned()));
        };
        // It cannot choose a port itself. Between this look and its start another process might
        // take the port; then it says so and the test fails with its words.
        let port = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
        let url = format!("http://127.0.0.1:{port}");
        let mut command = Command::new(program);
        command.args(["serve", "--host", "127.0.0.1", "--tool-mode", "off", "--port"]);
        command.arg(port.to_string());
        // At the pace of a real model. Otherwise a stream is in the socket's buffer before the client
        // can leave it, and the judge takes that for a client that read on.
        command.args(["--stream-chunk-delay-ms", "20"]);
        Self::start(command, move |line| {
            line.contains("Application startup complete").then(|| url.clone())
        })
        .await
        .map(Ok)
    }

    async fn start(mut command: Command, ready: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let folder = TempDir::with_prefix("pagurus-double-")?;
        let mut process = Process::spawn(&mut command, &folder.path().join("log"))?;
        let url = process.wait_for("address of a double", DOUBLE_READY, ready).await?;
        Ok(Self { url, _process: process, _folder: folder })
    }
}

fn venv_program(name: &str) -> Option<PathBuf> {
    let program = PathBuf::from(std::env::var_os("PAGURUS_VENV")?).join("bin").join(name);
    program.exists().then_some(program)
}

/// A file that belongs to the tests.
pub fn fixture(name: &str) -> Result<PathBuf> {
    let path = paths::root()?.join("tests/fixtures").join(name);
    path.canonicalize().with_context(|| format!("{} is missing", path.display()))
}
