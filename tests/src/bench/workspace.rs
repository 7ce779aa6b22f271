//! A large workspace and a long conversation, with R2 far away: how soon a wiped container answers,
//! and how soon a small change is safe.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use integration_tests::chat::{Answer, Chat};
use integration_tests::http;
use integration_tests::model::{Reply, ScriptedModel};
use integration_tests::stack::{CANARY_KEY, Stack};
use protocol::session::Outcome;
use serde_json::json;

use crate::memory::pss_mb;
use crate::report::Report;
use crate::statistics::Series;

const BYTES: usize = 1_000_000_000;
const FILES: usize = 10_000;
const FILES_PER_FOLDER: usize = 100;
/// A question and its answer are two messages.
const QUESTIONS: usize = 1_000;
/// Added to every call of R2.
const R2_DELAY_MS: u64 = 30;
const SAVES: usize = 15;
const COLD: usize = 9;

struct Bench {
    stack: Stack,
    model: ScriptedModel,
    chat: Chat,
}

pub(crate) async fn measure(report: &mut Report) -> Result<()> {
    let model = ScriptedModel::start().await?;
    let settings = [
        ("ANTHROPIC_API_KEY", CANARY_KEY),
        ("ANTHROPIC_BASE_URL", model.url.as_str()),
        ("FAULTS", "true"),
    ];
    let stack = Stack::start(&settings).await?;
    let chat = Chat::open(&stack.url, "long", 0).await?;
    let mut bench = Bench { stack, model, chat };
    bench.converse(report).await?;
    bench.fill(report).await?;
    let order = json!({ "r2": { "delay_ms": R2_DELAY_MS } });
    let answer = http::post_json(&bench.stack.url, "/faults", &order).await?;
    ensure!(answer.status == 204, "/faults: {} {}", answer.status, answer.body);
    bench.change(report).await?;
    bench.wake(report).await?;
    bench.model.assert_done()?;
    bench.stack.stop().await
}

impl Bench {
    async fn ask(&mut self, text: &str) -> Result<Answer> {
        let answer = self.chat.ask(text).await?;
        ensure!(answer.outcome == Outcome::Completed, "{:?}", answer.outcome);
        Ok(answer)
    }

    async fn run(&mut self, command: &str) -> Result<Answer> {
        self.model.runs(command).says("Done.");
        self.ask("do it").await
    }

    /// A conversation of 2,000 messages.
    async fn converse(&mut self, report: &mut Report) -> Result<()> {
        for n in 0..QUESTIONS {
            self.model.says("I am well, thank you. What shall we do today?");
            self.ask(&format!("how are you, for the time number {n}?")).await?;
            self.model.forget();
        }
        let pid = self.stack.runtime().await?;
        let name = "runtime: memory after 1,000 turns of one session (PSS)";
        report.fact(name, "MB", pss_mb(pid)?, None);
        Ok(())
    }

    /// A workspace of 1 GB in 10,000 files, and its first save.
    async fn fill(&mut self, report: &mut Report) -> Result<()> {
        make(&self.stack.workspace().await?)?;
        let answer = self.run("true").await?;
        let took = Duration::from_micros(answer.timing.runtime.save_us);
        report.fact("1 GB in 10,000 files: first save", "s", took.as_secs_f64().round(), None);
        Ok(())
    }

    /// One line more in a file, again and again.
    async fn change(&mut self, report: &mut Report) -> Result<()> {
        let (mut took, mut sent) = (Series::default(), Series::default());
        for n in 0..SAVES {
            let before = self.stored()?;
            let path = path_of(n * FILES_PER_FOLDER);
            let answer = self.run(&format!("echo one more line >> {}", path.display())).await?;
            took.push(Duration::from_micros(answer.timing.runtime.save_us));
            sent.push_number(thousands(self.stored()? - before));
        }
        report.series("1 GB: one line changed, until it is safe", "ms", &took, Some(400.0));
        report.series("  of it: bytes that R2 got", "KB", &sent, Some(200.0));
        let pid = self.stack.runtime().await?;
        report.fact("runtime: memory after these saves (PSS)", "MB", pss_mb(pid)?, None);
        Ok(())
    }

    /// Bytes of all objects in R2.
    fn stored(&self) -> Result<u64> {
        let files = self.stack.files();
        let objects =
            files.iter().filter(|path| path.components().any(|part| part.as_os_str() == "blobs"));
        objects.map(|path| Ok(fs::metadata(path)?.len())).sum()
    }

    /// The container is killed and gets an empty disk.
    async fn wake(&mut self, report: &mut Report) -> Result<()> {
        let (mut from_start, mut from_message) = (Series::default(), Series::default());
        let (mut answered, mut one, mut all) =
            (Series::default(), Series::default(), Series::default());
        for n in 0..COLD {
            self.stack.kill_runtime().await?;
            let (count, begin) = (self.model.count(), Instant::now());
            let path = path_of(FILES - 1 - n * FILES_PER_FOLDER);
            let arguments = json!({ "path": path });
            self.model
                .says("Hello.")
                .then(Reply::Tool { name: "read".into(), arguments })
                .says("Read.");
            self.ask("hi").await?;
            answered.push(begin.elapsed());
            let call = self.model.calls().get(count).cloned().context("the model was not asked")?;
            from_message.push(call.arrived - begin);
            from_start.push(call.arrived - started(self.stack.runtime().await?)?);
            let asked = Instant::now();
            self.ask("read a file").await?;
            one.push(asked.elapsed());
            self.run("true").await?;
            all.push(begin.elapsed());
        }
        let name = "1 GB, 2,000 messages, cold: process start to model request";
        report.series(name, "ms", &from_start, Some(500.0));
        report.series("  message to first model request", "ms", &from_message, None);
        report.series("  message to complete reply", "ms", &answered, None);
        report.series("  a turn that reads one file meanwhile", "ms", &one, None);
        report.series("  message to a shell with all files", "ms", &all, None);
        Ok(())
    }
}

/// Where file number `n` is.
fn path_of(n: usize) -> PathBuf {
    format!("topic-{}/notes-{n}.txt", n / FILES_PER_FOLDER).into()
}

/// Makes the files; each is unlike the others, and half of it can be compressed away.
fn make(workspace: &Path) -> Result<()> {
    let mut number = 0x9e37_79b9_7f4a_7c15_u64;
    for n in 0..FILES {
        let path = workspace.join(path_of(n));
        let folder = path.parent().context("a path without a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let mut content = Vec::with_capacity(BYTES / FILES);
        while content.len() < BYTES / FILES {
            // Xorshift: <https://doi.org/10.18637/jss.v008.i14>.
            number ^= number << 13;
            number ^= number >> 7;
            number ^= number << 17;
            content.extend_from_slice(&number.to_le_bytes());
            content.extend_from_slice(b"plain ok");
        }
        fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
    }
    fs::write(workspace.join("AGENTS.md"), "Be brief.\n".repeat(200)).context("AGENTS.md")?;
    fs::write(workspace.join("MEMORY.md"), "The owner likes tea.\n".repeat(200))
        .context("MEMORY.md")
}

/// When a process began, to 20 ms: proc(5) counts in hundredths of a second.
fn started(pid: i32) -> Result<Instant> {
    let stat =
        fs::read_to_string(format!("/proc/{pid}/stat")).context("reading a process's state")?;
    // Behind the name, which may hold anything, field 3 follows.
    let (_, fields) = stat.rsplit_once(") ").context("a process's state without a name")?;
    let ticks: f64 = fields.split(' ').nth(22 - 3).context("no start time")?.parse()?;
    let uptime = fs::read_to_string("/proc/uptime").context("reading the uptime")?;
    let uptime: f64 = uptime.split(' ').next().context("no uptime")?.parse()?;
    let age = Duration::try_from_secs_f64((uptime - ticks / 100.0).max(0.0))?;
    Instant::now().checked_sub(age).context("a process older than the clock")
}

#[expect(clippy::cast_precision_loss, reason = "sizes of files")]
fn thousands(bytes: u64) -> f64 {
    (bytes as f64 / 1000.0).round()
}
