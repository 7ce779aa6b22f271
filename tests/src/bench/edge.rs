//! What the edge costs a model call: the time that it adds to the first token, and the memory that it
//! takes while long answers pass.
//!
//! Both are measured from a command in the container, since that is where the edge is called. The
//! same request goes to the same double once by way of the edge and once past it, over the same
//! proxies, in turn; the difference is the Worker, the object and the books.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use integration_tests::chat::Chat;
use integration_tests::model::{Reply, ScriptedModel};
use integration_tests::stack::{CANARY_KEY, NO_CAPS, Stack};
use tokio::time::sleep;

use crate::memory::pss_mb;
use crate::report::Report;
use crate::statistics::Series;

/// Pairs of calls, and those at the beginning that do not count.
const CALLS: usize = 150;
const WARM_UPS: usize = 20;
/// Streams at once.
const STREAMS: usize = 20;
/// The bytes of each, and the bytes a second that each is read at: slower than it could come, so that
/// whoever takes it all would have to keep it. The second round has four times as much of both.
const ROUNDS: [(usize, &str); 2] = [(5_000_000, "1M"), (20_000_000, "4M")];
/// How often memory is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(crate) async fn measure(report: &mut Report) -> Result<()> {
    let model = ScriptedModel::start().await?;
    let mut settings = NO_CAPS.to_vec();
    settings.extend([("ANTHROPIC_API_KEY", CANARY_KEY), ("ANTHROPIC_BASE_URL", &model.url)]);
    let mut stack = Stack::start(&settings).await?;
    first_token(&stack, &model, report).await?;
    streams(&stack, &model, report).await?;
    stack.stop().await
}

/// Calls the model by way of the edge and past it, in turn, and prints the seconds to the first byte.
fn pairs(direct: &str) -> String {
    let calls = CALLS + WARM_UPS;
    format!(
        r#"
turn=$(curl -sS "http://edge.internal/session/edge-pairs/records?from=1" | grep -o '"turn":"[^"]*"' | tail -n 1 | cut -d '"' -f 4)
word=$(printf '%s%s' timed -call)
text=$(head -c 40000 /dev/zero | tr '\0' x)
printf '{{"model":"claude-sonnet-5","max_tokens":99,"stream":true,"messages":[{{"role":"user","content":"%s %s"}}]}}' "$text" "$word" > body
ask() {{
  curl -sS -o answer -w '%{{time_starttransfer}} ' -H 'content-type: application/json' -H 'anthropic-version: 2023-06-01' \
    -H "x-pagurus-turn: $turn" -d @body "$1"
  grep -q message_stop answer || echo broken
}}
for n in $(seq 1 {calls}); do
  ask http://edge.internal/model/anthropic/v1/messages
  ask {direct}/v1/messages
  echo
done > figures
"#
    )
}

async fn first_token(stack: &Stack, model: &ScriptedModel, report: &mut Report) -> Result<()> {
    let timed = model.topic("timed-call");
    for _ in 0..2 * (CALLS + WARM_UPS) {
        timed.says("Here it is.");
    }
    model.topic("edge-pairs").runs(&pairs(&model.url)).says("Measured.");
    let mut chat = Chat::open(&stack.url, "edge-pairs", 0).await?;
    chat.ask("edge-pairs").await?.completed()?;
    let figures = std::fs::read_to_string(stack.workspace().await?.join("figures"))?;
    let (mut through, mut added) = (Series::default(), Series::default());
    for line in figures.lines().skip(WARM_UPS) {
        let seconds: Vec<f64> = line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()
            .context(line.to_owned())?;
        let [edge, direct] = seconds.as_slice() else { anyhow::bail!("no pair: {line:?}") };
        through.push_number(edge * 1000.0);
        added.push_number((edge - direct) * 1000.0);
    }
    ensure!(through.len() == CALLS, "{} pairs: {figures}", through.len());
    report.series("model call of 40 KB: to the first token", "ms", &through, None);
    report.series("  of it: added by the edge", "ms", &added, Some(5.0));
    Ok(())
}

/// Reads so many answers at once, slowly, and prints how large each was.
fn slow_readers(session: &str, rate: &str) -> String {
    format!(
        r#"
turn=$(curl -sS "http://edge.internal/session/{session}/records?from=1" | grep -o '"turn":"[^"]*"' | tail -n 1 | cut -d '"' -f 4)
word=$(printf '%s%s' long -answer)
printf '{{"model":"claude-sonnet-5","max_tokens":99,"stream":true,"messages":[{{"role":"user","content":"%s"}}]}}' "$word" > body
for n in $(seq 1 {STREAMS}); do
  curl -sS --limit-rate {rate} -H 'content-type: application/json' -H 'anthropic-version: 2023-06-01' \
    -H "x-pagurus-turn: $turn" -d @body http://edge.internal/model/anthropic/v1/messages | wc -c > size-$n &
done
wait
cat size-*
"#
    )
}

/// Memory that is taken while streams pass. Freed buffers wait for a garbage collection, which V8
/// makes after some 64 MB of them whatever passes; what would be held grows with the streams.
async fn streams(stack: &Stack, model: &ScriptedModel, report: &mut Report) -> Result<()> {
    let workerd = stack.workerd()?.context("there is no workerd")?;
    let before = pss_mb(workerd)?;
    let mut peaks = Vec::new();
    for (bytes, rate) in ROUNDS {
        peaks.push(round(stack, model, workerd, bytes, rate).await?);
    }
    let [first, second] = peaks.as_slice() else { anyhow::bail!("{} rounds", peaks.len()) };
    let megabytes = ROUNDS.map(|(bytes, _)| STREAMS * bytes / 1_000_000);
    let name = format!("workerd: memory more while {} MB pass in {STREAMS} streams", megabytes[0]);
    report.fact(&name, "MB", first - before, None);
    let name = format!("  and while {} MB pass: more than that", megabytes[1]);
    report.fact(&name, "MB", second - first, Some(50.0));
    Ok(())
}

/// The most memory that workerd had while so large streams passed.
async fn round(
    stack: &Stack,
    model: &ScriptedModel,
    workerd: i32,
    bytes: usize,
    rate: &str,
) -> Result<f64> {
    let text = format!("{} ", "x".repeat(990)).repeat(bytes / 1000);
    let long = model.topic("long-answer");
    for _ in 0..STREAMS {
        long.then(Reply::Text(text.clone()));
    }
    let session = format!("edge-streams-{bytes}");
    model.topic(&session).runs(&slow_readers(&session, rate)).says("All read.");
    let mut chat = Chat::open(&stack.url, &session, 0).await?;
    chat.send(&session).await?;
    let mut most = pss_mb(workerd)?;
    let answer = {
        let answer = chat.answer();
        tokio::pin!(answer);
        loop {
            tokio::select! {
                answer = &mut answer => break answer?.completed()?,
                () = sleep(LOOK_EVERY) => most = most.max(pss_mb(workerd)?),
            }
        }
    };
    let output = answer.tools().first().context("the tool did not run")?.output.clone();
    let sizes: Vec<usize> = output.lines().filter_map(|line| line.trim().parse().ok()).collect();
    let whole = sizes.iter().filter(|size| **size >= bytes).count();
    ensure!(whole == STREAMS, "{whole} whole answers: {output}");
    Ok(most)
}
