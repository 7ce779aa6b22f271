//! Turns through the whole stack: from the message at the Worker's door to the turn's last byte,
//! less the model double's own time, and where that goes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use integration_tests::chat::{Answer, Chat};
use integration_tests::model::{Call, ScriptedModel};
use integration_tests::stack::{CANARY_KEY, NO_CAPS, Stack};
use protocol::session::Outcome;

use crate::memory::pss_mb;
use crate::report::Report;
use crate::statistics::Series;

const WARM_UPS: usize = 10;
const PLAIN: usize = 100;
const WITH_TOOL: usize = 60;
const COLD: usize = 12;
/// Turns after which memory is looked at, and looked at again.
const TURNS_FOR_MEMORY: [usize; 2] = [200, 2_000];
/// Turns of one conversation while memory is watched: what grows is then not its history.
const TURNS_PER_SESSION: usize = 100;

/// Where the time of a series of turns went.
#[derive(Debug, Default)]
struct Shares {
    added: Series,
    first_model_request: Series,
    runtime: Series,
    log: Series,
    tools: Series,
    save: Series,
    rest: Series,
}

struct Bench {
    stack: Stack,
    model: ScriptedModel,
    chat: Chat,
    turns: usize,
}

pub(crate) async fn measure(report: &mut Report) -> Result<()> {
    let model = ScriptedModel::start().await?;
    let model_url = model.url.clone();
    let own = [("ANTHROPIC_API_KEY", CANARY_KEY), ("ANTHROPIC_BASE_URL", model_url.as_str())];
    let stack = Stack::start(&[&own[..], &NO_CAPS].concat()).await?;
    let chat = Chat::open(&stack.url, "bench", 0).await?;
    let mut bench = Bench { stack, model, chat, turns: 0 };

    bench.plain("hi").await?;
    if let Some(call) = bench.model.calls().first() {
        let bytes = f64::from(u32::try_from(call.bytes)?);
        report.fact("first model request for \"hi\": size", "bytes", bytes, None);
        let tokens = (bytes / 4.0).round();
        report.fact("first model request for \"hi\": about", "tokens", tokens, Some(3000.0));
    }
    let pid = bench.stack.runtime().await?;
    report.fact("runtime: memory after 1 turn (PSS)", "MB", pss_mb(pid)?, None);
    for _ in 0..WARM_UPS {
        bench.plain("warm up").await?;
    }

    let mut plain = Shares::default();
    for _ in 0..PLAIN {
        let (elapsed, answer, calls) = bench.plain("how are you?").await?;
        plain.add(elapsed, &answer, &calls);
    }
    plain.report(report, "warm plain turn", 20.0, 3.0);
    let mut tool = Shares::default();
    for _ in 0..WITH_TOOL {
        let (elapsed, answer, calls) = bench.with_tool().await?;
        tool.add(elapsed, &answer, &calls);
    }
    tool.report(report, "warm one-tool turn", 35.0, 6.0);
    bench.memory(pid, report).await?;

    cold(&mut bench, report).await?;
    bench.model.assert_done()?;
    bench.stack.stop().await
}

async fn cold(bench: &mut Bench, report: &mut Report) -> Result<()> {
    let mut first = Series::default();
    let mut reply = Series::default();
    let mut start = Series::default();
    for _ in 0..COLD {
        // A session of its own, so that the figure holds no long history.
        bench.stack.kill_runtime().await?;
        let session = format!("cold-{}", bench.turns);
        bench.chat = Chat::open(&bench.stack.url, &session, 0).await?;
        let (elapsed, answer, calls) = bench.plain("hi").await?;
        if let Some(call) = calls.first() {
            first.push(call.elapsed_since_sent);
        }
        reply.push(elapsed);
        start.push_number(answer.timing.wake_ms);
    }
    report.series("container cold: message to first model request", "ms", &first, Some(150.0));
    report.series("container cold: message to complete reply", "ms", &reply, Some(250.0));
    report.series("  of it: container start to ready", "ms", &start, None);
    Ok(())
}

/// A model call with its distance from the message.
struct Seen {
    call: Call,
    elapsed_since_sent: Duration,
}

impl Bench {
    /// Memory of both programs over many turns in ever new conversations.
    async fn memory(&mut self, runtime: i32, report: &mut Report) -> Result<()> {
        let workerd = self.stack.workerd()?.context("there is no workerd")?;
        let mut sizes = Vec::new();
        for turns in TURNS_FOR_MEMORY {
            while self.turns < turns {
                if self.turns.is_multiple_of(TURNS_PER_SESSION) {
                    let session = format!("memory-{}", self.turns);
                    self.chat = Chat::open(&self.stack.url, &session, 0).await?;
                    self.model.forget();
                }
                self.plain("more").await?;
            }
            let after = |program: &str| format!("{program}: memory after {turns} turns (PSS)");
            let size = pss_mb(runtime)?;
            sizes.push(size);
            report.fact(&after("runtime"), "MB", size, Some(16.0));
            // The simulated bucket and everything else of the platform is in it.
            report.fact(&after("workerd"), "MB", pss_mb(workerd)?, None);
        }
        if let [first, .., last] = sizes.as_slice() {
            report.fact("  of the runtime's: growth in between", "MB", last - first, Some(1.0));
        }
        Ok(())
    }

    async fn plain(&mut self, text: &str) -> Result<(Duration, Answer, Vec<Seen>)> {
        self.model.says("I am well, thank you. What shall we do today?");
        self.ask(text).await
    }

    async fn with_tool(&mut self) -> Result<(Duration, Answer, Vec<Seen>)> {
        self.model.runs("true").says("Done.");
        self.ask("run true").await
    }

    async fn ask(&mut self, text: &str) -> Result<(Duration, Answer, Vec<Seen>)> {
        let before = self.model.count();
        let begin = Instant::now();
        let answer = self.chat.ask(text).await?;
        let elapsed = begin.elapsed();
        ensure!(answer.outcome == Outcome::Completed, "{:?}", answer.outcome);
        self.turns += 1;
        let calls = self.model.calls().split_off(before);
        let seen = |call: Call| Seen { elapsed_since_sent: call.arrived - begin, call };
        Ok((elapsed, answer, calls.into_iter().map(seen).collect()))
    }
}

impl Shares {
    fn add(&mut self, elapsed: Duration, answer: &Answer, calls: &[Seen]) {
        let model: Duration = calls.iter().map(|seen| seen.call.took).sum();
        self.added.push(elapsed.saturating_sub(model));
        if let Some(first) = calls.first() {
            self.first_model_request.push(first.elapsed_since_sent);
        }
        let timing = answer.timing.runtime;
        let [total, model_wait, log, tools] =
            [timing.total_us, timing.model_us, timing.log_us, timing.tools_us]
                .map(Duration::from_micros);
        let save = Duration::from_micros(timing.save_us);
        let own = total.saturating_sub(model_wait + log + tools + save);
        self.runtime.push(own);
        self.log.push(log);
        self.tools.push(tools);
        self.save.push(save);
        // What is neither the runtime's own nor its waiting for log and save, nor inside a tool: the
        // Worker, the object, the socket, and carrying the model's bytes.
        self.rest.push(elapsed.saturating_sub(model + own + log + tools + save));
    }

    fn report(&self, report: &mut Report, name: &str, below: f64, runtime_below: f64) {
        let line = |part: &str| format!("  of it: {part}");
        report.series(&format!("{name}: added by the stack"), "ms", &self.added, Some(below));
        report.series(&line("the runtime's own share"), "ms", &self.runtime, Some(runtime_below));
        report.series(&line("session log (appends at the object)"), "ms", &self.log, None);
        report.series(&line("inside tools"), "ms", &self.tools, None);
        report.series(&line("saving the workspace"), "ms", &self.save, None);
        report.series(&line("Worker, object, socket, model hop"), "ms", &self.rest, None);
        let first = &self.first_model_request;
        report.series(&line("message to first model request"), "ms", first, None);
    }
}
