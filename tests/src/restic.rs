//! The owner's own stock `restic` on the agent's workspace.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;

use crate::http;
use crate::stack::Stack;

/// Where Debian's package puts it.
const PROGRAM: &str = "/usr/bin/restic";

/// Why there is none on this machine; `None` where there is.
pub fn missing() -> Option<&'static str> {
    (!Path::new(PROGRAM).exists()).then_some("restic is not installed; `cargo xtask setup` does it")
}

/// One client with a folder of its own.
#[derive(Debug)]
pub struct Restic {
    /// Its working folder.
    pub folder: PathBuf,
}

impl Restic {
    /// A client of the stack's workspace, let in by the stack's `API_TOKEN`.
    pub async fn new(stack: &Stack, name: &str, token: &str) -> Result<Self> {
        let folder = stack.folder().join(name);
        std::fs::create_dir_all(&folder)?;
        let authority = http::authority(&stack.url);
        let repository = format!("rest:http://owner:{token}@{authority}/workspace/main/");
        std::fs::write(folder.join("repository"), repository)?;
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let password =
            http::send(&stack.url, "GET /workspace/main/password", &headers, b"").await?;
        ensure!(password.status == 200 && password.body.len() >= 32, "no password: {password:?}");
        std::fs::write(folder.join("password"), &password.body)?;
        Ok(Self { folder })
    }

    /// Runs it and gives what it printed. Nothing secret is in its arguments.
    pub async fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(PROGRAM)
            .args(["--no-cache", "--repository-file"])
            .arg(self.folder.join("repository"))
            .args(arguments)
            .env("RESTIC_PASSWORD_FILE", self.folder.join("password"))
            .current_dir(&self.folder)
            .output()
            .await
            .context("starting restic")?;
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        if !output.status.success() {
            bail!("restic {arguments:?}: {said}");
        }
        Ok(said)
    }
}
