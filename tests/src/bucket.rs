//! The bucket of a stopped stack, looked at and tampered with from outside by Wrangler's own tool.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::paths;
use crate::stack::Stack;

/// As in `wrangler.toml`.
const NAME: &str = "pagurus";

/// The bucket of a stack that does not run.
#[derive(Debug)]
pub struct Bucket {
    state: PathBuf,
    scratch: PathBuf,
}

impl Bucket {
    /// The bucket in the state folder of a stack.
    pub fn of(stack: &Stack) -> Self {
        let state = stack.folder().join("state/wrangler");
        Self { state, scratch: stack.folder().join("object") }
    }

    /// An object's bytes.
    pub async fn get(&self, key: &str) -> Result<Vec<u8>> {
        self.run("get", key, Some(&self.scratch)).await?;
        std::fs::read(&self.scratch).with_context(|| format!("reading {key}"))
    }

    /// Writes an object, whatever was there.
    pub async fn put(&self, key: &str, content: &[u8]) -> Result<()> {
        std::fs::write(&self.scratch, content).with_context(|| format!("writing {key}"))?;
        self.run("put", key, Some(&self.scratch)).await
    }

    /// Removes an object.
    pub async fn delete(&self, key: &str) -> Result<()> {
        self.run("delete", key, None).await
    }

    async fn run(&self, what: &str, key: &str, file: Option<&Path>) -> Result<()> {
        let mut command = Command::new(paths::node()?);
        command
            .current_dir(paths::root()?)
            .arg(paths::node_modules()?.join("wrangler/wrangler-dist/cli.js"))
            .args(["r2", "object", what, &format!("{NAME}/{key}"), "--local", "--persist-to"])
            .arg(&self.state)
            .env("WRANGLER_SEND_METRICS", "false")
            .env("WRANGLER_LOG_PATH", self.state.join("r2-tool"))
            .env("CI", "1");
        if let Some(file) = file {
            command.arg("--file").arg(file);
        }
        let output = command.output().await.context("starting wrangler")?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "wrangler r2 object {what} {key}: {said}");
        Ok(())
    }
}
