//! Commands that run to their end.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::tail_of;

/// Runs a command with its output in `log`; when it fails, the error shows the output's end.
pub(crate) fn run_logged(command: &mut Command, log: &Path) -> Result<()> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    let output = File::create(log).with_context(|| format!("creating {}", log.display()))?;
    let errors = output.try_clone().context("sharing the log")?;
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .status()
        .with_context(|| format!("starting {program}"))?;
    if status.success() {
        return Ok(());
    }
    bail!("{program} failed ({status}); the end of {}:\n{}", log.display(), tail_of(log)?)
}

/// What a command prints on stdout, trimmed; `None` when it cannot be run or fails. For questions
/// about the machine, where "no" and "cannot tell" mean the same.
pub(crate) fn answer(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
