//! The end of a run: every session is asked once more, everything settles, and all books are looked
//! at.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use tokio::time::{Instant, sleep};

use super::talk::{Message, Talk, Way};
use super::{Harness, Report, TOKEN, books, delivered, kinds, plan, tables, talk};
use crate::limits::{FAULTS_DELIVERY, POLL};
use crate::restic::{self, Restic};

impl Harness {
    /// Asks every session once more in a fresh life of the container, and looks at everything.
    pub(super) async fn end(mut self) -> Result<Report> {
        if let Err(error) = self.look().await {
            let before = self.report.error.take().map(|before| format!("{before}; then "));
            self.report.error = Some(format!("{}{error:#}", before.unwrap_or_default()));
        }
        if self.report.is_bad() {
            self.report.kept = Some(self.victims.stack.keep());
        }
        // After a failure it may be gone already.
        if let Err(error) = self.victims.stack.stop().await {
            self.report.findings.broken.push(format!("the end of the stack: {error:#}"));
        }
        self.look_at_tables()?;
        if let Some(disk) = self.victims.disk.take() {
            disk.unmount()?;
        }
        if self.report.is_bad() {
            self.report.kept = Some(self.victims.stack.keep());
        }
        Ok(self.report)
    }

    async fn look(&mut self) -> Result<()> {
        kinds::calm(&self.victims.stack).await?;
        let went_through = self.report.error.is_none();
        if went_through {
            self.rest().await?;
            if self.victims.stack.runtime_now()?.is_some() {
                self.victims.stack.kill_runtime().await?;
            }
            self.ask_all_once_more().await;
        }
        let effects = counted(&self.effects)?;
        for (name, session) in &self.sessions {
            let records = talk::records(&self.victims.stack.url, name).await?;
            let found = books::look(name, &records, &session.messages, &session.tasks, &effects);
            self.report.findings.add(found);
        }
        if went_through {
            let workspace = self.victims.stack.workspace().await?;
            let missing = self.missing_files(&workspace, "the workspace");
            self.report.findings.files_lost.extend(missing);
            self.ask_restic().await?;
            self.await_deliveries().await;
        }
        let complaints = self.victims.player.complaints();
        self.report.findings.broken.extend(complaints.into_iter().map(|c| format!("model: {c}")));
        self.report.model_calls = self.victims.player.calls();
        Ok(())
    }

    async fn ask_all_once_more(&mut self) {
        for (name, session) in &self.sessions {
            let id = format!("last-{}", name.replace(':', "-"));
            let page = Talk {
                url: self.victims.stack.url.clone(),
                session: name.clone(),
                unaccepted: vec![Message { id, text: "Is all well?".into() }],
                said: Vec::new(),
                tasks: session.tasks.clone(),
                way: session.way.clone(),
                repeat: false,
            };
            self.report.accepted += 1;
            let talked = match page.run().await {
                Ok(_) => talk::take_answers(&self.victims.stack.url, name).await,
                Err(error) => Err(error),
            };
            if let Err(error) = talked {
                self.report.findings.broken.push(format!("{name}: {error:#}"));
            }
        }
    }

    /// Files that are not as the tasks left them.
    fn missing_files(&self, workspace: &Path, place: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        for task in self.sessions.values().flat_map(|session| &session.tasks) {
            let file = workspace.join("work").join(format!("{task}.txt"));
            if std::fs::read_to_string(&file).ok().as_deref() != Some(task) {
                wrong.push(format!("work/{task}.txt in {place}"));
            }
            let lines = workspace.join("work").join(format!("lines.{}", plan::session(task)));
            let lines = std::fs::read_to_string(lines).unwrap_or_default();
            match lines.lines().filter(|line| line == task).count() {
                1 => {}
                times => wrong.push(format!("the line of {task} is {times} times in {place}")),
            }
        }
        wrong
    }

    /// Has the stock client check every byte of the repository, and restore the newest snapshot.
    async fn ask_restic(&mut self) -> Result<()> {
        if !restic::is_here() {
            self.report.skip("restic", "it is not installed; `cargo xtask setup` does it".into());
            return Ok(());
        }
        let restic = Restic::new(&self.victims.stack, TOKEN, "owner").await?;
        if let Err(error) = restic.run(&["check", "--read-data"]).await {
            self.report.findings.broken.push(format!("{error:#}"));
            return Ok(());
        }
        let snapshots = restic.run(&["snapshots", "--json"]).await?;
        let snapshots: serde_json::Value = serde_json::from_str(&snapshots)?;
        self.report.snapshots = snapshots.as_array().map(Vec::len).unwrap_or_default();
        restic.run(&["restore", "latest", "--target", "restored"]).await?;
        let restored = restic.folder.join("restored/workspace");
        let missing = self.missing_files(&restored, "the newest snapshot");
        self.report.findings.files_lost.extend(missing);
        Ok(())
    }

    /// The tasks that came by webhook.
    fn hooked(&self) -> Vec<String> {
        let hooks = self.sessions.values().filter(|session| session.way != Way::Page);
        hooks.flat_map(|session| session.tasks.clone()).collect()
    }

    /// Waits until the receiver knows of every task. What is missing then is found later.
    async fn await_deliveries(&self) {
        let deadline = Instant::now() + FAULTS_DELIVERY;
        let state = self.victims.stack.folder().join("state");
        // What cannot be read at this moment is looked at again; the last look is after the end.
        while !tables::is_all_sent(&state).unwrap_or(false) && Instant::now() < deadline {
            sleep(POLL).await;
        }
    }

    fn look_at_tables(&mut self) -> Result<()> {
        let tables = tables::read(&self.victims.stack.folder().join("state"))?;
        self.report.findings.add(tables.findings);
        let received = self.victims.receiver.received();
        self.report.delivered = received.len();
        if self.report.error.is_none() {
            let found = delivered::look(&received, &self.hooked(), &tables.outgoing);
            self.report.findings.add(found);
        }
        self.report.answered = self.report.accepted.saturating_sub(self.report.findings.lost.len());
        Ok(())
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
