//! Processes that stay until they are told to go.
//!
//! Invariants: each has a process group of its own, so that a Ctrl-C at the terminal reaches this
//! program alone, which then stops them in the reverse order of their start; a dropped crew leaves
//! no process behind. A dead child is not reaped before its group is killed, because its id could
//! name somebody else then.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};

use super::tail_of;
use crate::console;
use crate::environment;
use crate::limits::{LINE_BYTES_MAX, PROCESS_STOP_SECONDS_MAX};

/// What a crew tells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ChildEvent {
    /// A process said something.
    Line {
        /// Which.
        name: &'static str,
        /// What.
        line: String,
    },
    /// A process has ended without having been told to.
    Ended {
        /// Which.
        name: &'static str,
    },
}

/// The processes.
#[derive(Debug)]
pub(crate) struct Crew<E> {
    logs: PathBuf,
    tell: Sender<E>,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    name: &'static str,
    pid: Pid,
    child: Child,
    ended: Receiver<()>,
}

impl<E: From<ChildEvent> + Send + 'static> Crew<E> {
    /// Nobody yet. Output goes to files in `logs`, events to `tell`.
    pub(crate) fn new(logs: PathBuf, tell: Sender<E>) -> Result<Self> {
        fs::create_dir_all(&logs).with_context(|| format!("creating {}", logs.display()))?;
        Ok(Self { logs, tell, members: Vec::new() })
    }

    /// Starts a process. Its stdin stays open as long as the crew lives.
    pub(crate) fn start(&mut self, name: &'static str, command: &Command) -> Result<()> {
        let log = self.log_of(name);
        let log = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let log = Arc::new(Mutex::new(log));
        let mut child = environment::not_outliving_us(command)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let pid = Pid::from_child(&child);
        if let Some(output) = child.stdout.take() {
            self.listen(name, output, Arc::clone(&log));
        }
        if let Some(errors) = child.stderr.take() {
            self.listen(name, errors, log);
        }
        let ended = self.watch(name, pid);
        self.members.push(Member { name, pid, child, ended });
        Ok(())
    }

    /// The end of what a process said.
    pub(crate) fn tail(&self, name: &str) -> Result<String> {
        tail_of(&self.log_of(name))
    }

    fn log_of(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    /// Copies output to the log and tells each line.
    fn listen(
        &self,
        name: &'static str,
        output: impl Read + Send + 'static,
        log: Arc<Mutex<File>>,
    ) {
        let tell = self.tell.clone();
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            while let Some(line) = read_line(&mut output) {
                let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                if let Err(error) = log.write_all(&line) {
                    console::note(&format!("the log of {name} cannot be written: {error}"));
                }
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                // Nobody listens any more while the program ends; the log still counts.
                tell.send(ChildEvent::Line { name, line }.into()).ok();
            }
        });
    }

    /// Tells when the process has ended, and leaves it unreaped.
    fn watch(&self, name: &'static str, pid: Pid) -> Receiver<()> {
        let tell = self.tell.clone();
        let (ended, hears) = mpsc::channel();
        thread::spawn(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while matches!(waitid(WaitId::Pid(pid), options), Err(rustix::io::Errno::INTR)) {}
            // The receivers are gone only when the program ends.
            ended.send(()).ok();
            tell.send(ChildEvent::Ended { name }.into()).ok();
        });
        hears
    }
}

impl<E> Crew<E> {
    /// Stops everyone, last started first.
    pub(crate) fn stop(&mut self) {
        while let Some(member) = self.members.pop() {
            let name = member.name;
            if let Err(error) = member.stop() {
                console::note(&format!("{name} may still run: {error:#}"));
            }
        }
    }
}

impl<E> Drop for Crew<E> {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Member {
    fn stop(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        // Only the leader is told: it knows in which order its own processes end.
        if let Err(error) = kill_process(self.pid, Signal::TERM) {
            console::note(&format!("{} cannot be told to end: {error}", self.name));
        }
        let patience = Duration::from_secs(PROCESS_STOP_SECONDS_MAX);
        if self.ended.recv_timeout(patience).is_err() {
            console::note(&format!("{} did not end in {PROCESS_STOP_SECONDS_MAX} s", self.name));
        }
        match kill_process_group(self.pid, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(error).context("killing its process group"),
        }
        self.child.wait().context("reaping it")?;
        Ok(())
    }
}

/// The next line, or as much of it as is kept in one piece; `None` at the end.
fn read_line(output: &mut impl std::io::BufRead) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    // A pipe that breaks has ended.
    let count = output.take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line).unwrap_or(0);
    (count > 0).then_some(line)
}
