//! The owner's own `restic` on the agent's workspace.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::process::Command;

use crate::http;
use crate::stack::Stack;

/// Where Debian's package puts it.
const RESTIC: &str = "/usr/bin/restic";

/// Whether it is installed.
pub fn is_here() -> bool {
    Path::new(RESTIC).exists()
}

/// A client with a folder of its own.
#[derive(Debug)]
pub struct Restic {
    /// Where it runs.
    pub folder: PathBuf,
}

impl Restic {
    /// A client in the stack's folder `name`, which gets the repository's password by `token`.
    pub async fn new(stack: &Stack, token: &str, name: &str) -> Result<Self> {
        let folder = stack.folder().join(name);
        std::fs::create_dir_all(&folder)?;
        let authority = http::authority(&stack.url);
        let repository = format!("rest:http://owner:{token}@{authority}/workspace/main/");
        std::fs::write(folder.join("repository"), repository)?;
        let bearer = format!("Bearer {token}");
        let ask = "GET /workspace/main/password";
        let password =
            http::send(&stack.url, ask, &[("authorization", bearer.as_str())], b"").await?;
        ensure!(password.status == 200 && password.body.len() >= 32, "no password: {password:?}");
        std::fs::write(folder.join("password"), &password.body)?;
        Ok(Self { folder })
    }

    /// Runs it and gives what it printed. Nothing secret is in its arguments.
    pub async fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(RESTIC)
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
