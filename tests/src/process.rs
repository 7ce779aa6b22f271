//! A child process with its log: waited for by what it prints, ended by its pid.
//!
//! Invariant: a process leads its own group, and the whole group is gone when the value is.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

use crate::limits::{POLL, PROCESS_END, TAIL_LINES};

/// A running process.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: i32,
    log: PathBuf,
}

/// The signals that tests send.
#[derive(Debug, Clone, Copy)]
pub enum Signal {
    /// Please end.
    Term,
    /// What Ctrl-C sends.
    Interrupt,
    /// Stand still.
    Stop,
    /// Go on.
    Continue,
    /// End now.
    Kill,
}

impl Process {
    /// Starts a command whose output goes to `log`.
    pub fn spawn(command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        let errors = file.try_clone().context("sharing the log")?;
        command.stdin(Stdio::null()).stdout(file).stderr(errors).process_group(0);
        let child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let pid = child.id().context("the process ended at once")?;
        Ok(Self { child, pid: i32::try_from(pid)?, log: log.to_owned() })
    }

    /// The process's id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// What it has printed.
    pub fn printed(&self) -> String {
        std::fs::read(&self.log)
            .map(|b| String::from_utf8_lossy(&b).into_owned())
            .unwrap_or_default()
    }

    /// The end of what it has printed, for a failure's message.
    pub fn tail(&self) -> String {
        let printed = self.printed();
        let lines: Vec<&str> = printed.lines().collect();
        lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n")
    }

    /// Waits until a printed line gives `Some`.
    pub async fn wait_for<T>(
        &mut self,
        what: &str,
        within: std::time::Duration,
        find: impl Fn(&str) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(found) = self.printed().lines().find_map(&find) {
                return Ok(found);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended ({status}) before {what}:\n{}", self.tail());
            }
            if Instant::now() > deadline {
                bail!("no {what} within {within:?}:\n{}", self.tail());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Sends a signal to the process alone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        send(self.pid, signal)
    }

    /// Asks the process to end and waits until it has.
    pub async fn stop(self) -> Result<ExitStatus> {
        self.signal(Signal::Term)?;
        self.ended().await
    }

    /// Does what Ctrl-C in a terminal does, which reaches the whole group, and waits for the end.
    pub async fn interrupt(self) -> Result<ExitStatus> {
        send(-self.pid, Signal::Interrupt)?;
        self.ended().await
    }

    async fn ended(mut self) -> Result<ExitStatus> {
        match tokio::time::timeout(PROCESS_END, self.child.wait()).await {
            Ok(status) => status.context("waiting for the process"),
            Err(late) => Err(late).with_context(|| format!("it does not end:\n{}", self.tail())),
        }
    }

    /// Kills the process and everything in its group.
    pub async fn kill(mut self) -> Result<()> {
        send(-self.pid, Signal::Kill)?;
        self.child.wait().await.context("waiting for the killed process")?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already is what we want.
        drop(send(-self.pid, Signal::Kill));
    }
}

/// Sends a signal to a process, or to a group when `pid` is negative.
pub fn send(pid: i32, signal: Signal) -> Result<()> {
    let name = match signal {
        Signal::Term => "-TERM",
        Signal::Interrupt => "-INT",
        Signal::Stop => "-STOP",
        Signal::Continue => "-CONT",
        Signal::Kill => "-KILL",
    };
    let status = std::process::Command::new("kill")
        .args([name, "--", &pid.to_string()])
        .stderr(Stdio::null())
        .status()
        .context("running kill")?;
    if status.success() { Ok(()) } else { bail!("no process {pid}") }
}

/// Whether a process exists and is not a zombie.
pub fn alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().starts_with(" Z"))
}
