//! Logs settle to R2, exports hold everything, and the bucket alone gives an agent back; what is
//! broken in it is named and never replaced.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use integration_tests::bucket::Bucket;
use integration_tests::chat::{Chat, outline};
use integration_tests::http::{self, Answer};
use integration_tests::model::ScriptedModel;
use integration_tests::stack::{CANARY_KEY, Stack};
use integration_tests::{paths, wait};
use protocol::Problem;
use protocol::chat::ServerFrame;
use protocol::object::Restored;
use protocol::session::Record;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::gate::{self, system};
use crate::scenarios::Scenarios;

/// The token that programs show in these tests.
const TOKEN: &str = "token-for-programs-2718281828";
/// Turns of the long conversation; each has several records.
const TURNS: usize = 6;
/// The conversation's name.
const LONG: &str = "long";

#[test]
fn archive() -> gate::Outcome {
    system("archive", async {
        let model = ScriptedModel::start().await?;
        let mut stack = Stack::start(&[
            ("ANTHROPIC_API_KEY", CANARY_KEY),
            ("ANTHROPIC_BASE_URL", &model.url),
            ("API_TOKEN", TOKEN),
            ("FAULTS", "true"),
            ("LOG_RECORDS_KEPT", "6"),
        ])
        .await?;
        let mut all = Scenarios::default();
        let mut past = Vec::new();
        all.check("a long conversation settles", settles(&stack, &model, &mut past)).await;
        all.check("R2 fails", failing(&stack, &model, &mut past)).await;
        all.check("everything is still there", still_there(&mut stack, &model, &mut past)).await;
        all.check("exports", exports(&stack, &past)).await;
        all.check("control exports by themselves", by_itself(&stack)).await;
        all.check("from the bucket alone", rebuilt(&mut stack, &model, &mut past)).await;
        all.check("a broken bucket", broken(&mut stack, &model, &past)).await;
        all.end(&stack)?;
        model.assert_done()?;
        stack.interrupt().await
    })
}

async fn ask(stack: &Stack, line: &str) -> Result<Answer> {
    let bearer = format!("Bearer {TOKEN}");
    http::send(&stack.url, line, &[("authorization", &bearer)], b"").await
}

async fn order(stack: &Stack, faults: &Value) -> Result<()> {
    let answer = http::post_json(&stack.url, "/faults", faults).await?;
    ensure!(answer.status == 204, "{}: {}", answer.status, answer.body);
    Ok(())
}

/// The whole log as a page that opens now is shown it.
async fn shown(stack: &Stack, session: &str) -> Result<Vec<Record>> {
    let chat = Chat::open(&stack.url, session, 0).await?;
    let problems = problems(&chat)?;
    ensure!(problems.is_empty(), "the page tells of {problems:?}");
    Ok(chat.records)
}

/// What a page was told to be wrong when it opened.
fn problems(chat: &Chat) -> Result<&[Problem]> {
    match &chat.welcome {
        ServerFrame::Welcome { problems, .. } => Ok(problems),
        other => bail!("no welcome: {other:?}"),
    }
}

fn ensure_whole(records: &[Record]) -> Result<()> {
    let numbers: Vec<u64> = records.iter().map(|record| record.sequence).collect();
    ensure!(numbers == (1..=records.len() as u64).collect::<Vec<_>>(), "{numbers:?}");
    Ok(())
}

fn ensure_same(found: &[Record], wanted: &[Record]) -> Result<()> {
    ensure!(found == wanted, "{} is not {}", outline(found), outline(wanted));
    Ok(())
}

/// How often the stack has said that something settled.
fn settled(stack: &Stack) -> usize {
    let logs = stack.files().into_iter().filter(|path| path.ends_with("logs/wrangler.log"));
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    logs.map(|path| read(path).matches(" settled").count()).sum()
}

async fn settles(stack: &Stack, model: &ScriptedModel, past: &mut Vec<Record>) -> Result<()> {
    let model = model.topic("remember-me");
    let mut chat = Chat::open(&stack.url, LONG, 0).await?;
    for n in 1..=TURNS {
        model.runs(&format!("echo {n} >> kept.txt")).says(&format!("Answer number {n}."));
        chat.ask(&format!("remember-me {n}")).await?.completed()?;
    }
    wait::until_true("segments", || settled(stack) >= 3).await?;
    *past = shown(stack, LONG).await?;
    ensure_whole(past)?;
    ensure_same(past, &chat.records)
}

async fn failing(stack: &Stack, model: &ScriptedModel, past: &mut Vec<Record>) -> Result<()> {
    let model = model.topic("remember-me");
    let mut chat = Chat::open(&stack.url, LONG, 0).await?;
    let before = settled(stack);
    // Every write is done and answered with a failure: nobody knows, and it is tried again.
    order(stack, &json!({ "r2": { "lose_answer_per_mille": 1000, "seed": 3 } })).await?;
    for n in TURNS + 1..=TURNS + 2 {
        model.says(&format!("Answer number {n}."));
        chat.ask(&format!("remember-me {n}")).await?.completed()?;
    }
    let said = |stack: &Stack| stack.tails().contains("settling: R2 failed");
    wait::until_true("a failure that is told", || said(stack)).await?;
    ensure!(settled(stack) == before, "something settled without an answer");
    // Half an hour later.
    order(stack, &json!({ "clock_offset_ms": 30 * 60_000, "ring": 1 })).await?;
    wait::until_true("what had failed", || settled(stack) > before).await?;
    order(stack, &json!({})).await?;
    *past = shown(stack, LONG).await?;
    ensure_whole(past)
}

async fn still_there(
    stack: &mut Stack,
    model: &ScriptedModel,
    past: &mut Vec<Record>,
) -> Result<()> {
    stack.kill().await?;
    stack.start_again().await?;
    ensure_same(&shown(stack, LONG).await?, past)?;
    goes_on(stack, model, past, "after a restart").await
}

/// One more turn, in which the model is told all that was ever said.
async fn goes_on(
    stack: &Stack,
    model: &ScriptedModel,
    past: &mut Vec<Record>,
    what: &str,
) -> Result<()> {
    let model = model.topic("remember-me");
    let mut chat = Chat::open(&stack.url, LONG, 0).await?;
    model.runs("cat kept.txt").says("I remember.");
    let answer = chat.ask(&format!("remember-me, {what}")).await?.completed()?;
    let output = &answer.tools()[0].output;
    ensure!(output.starts_with("1\n2\n3\n4\n5\n6\n"), "{output}");
    let calls = model.calls();
    let call = calls.last().context("no call")?;
    for n in 1..=TURNS + 2 {
        ensure!(call.holds(&format!("Answer number {n}.")), "answer {n} is forgotten {what}");
    }
    past.clone_from(&chat.records);
    ensure_whole(past)
}

/// The lines of a body that came in chunks.
fn lines(answer: &Answer) -> Result<Vec<Value>> {
    let mut text = String::new();
    let mut rest = answer.body.as_str();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).context("a chunk's size")?;
        text.push_str(after.get(..size).context("a chunk breaks off")?);
        rest = after.get(size + 2..).context("a chunk has no end")?;
        if size == 0 {
            break;
        }
    }
    text.lines().map(|line| serde_json::from_str(line).context("a line")).collect()
}

async fn exports(stack: &Stack, past: &[Record]) -> Result<()> {
    let closed = http::send(&stack.url, "GET /api/export", &[], b"").await?;
    ensure!(closed.status == 401, "{}: {}", closed.status, closed.body);
    let unknown = ask(stack, "GET /api/export/nobody").await?;
    ensure!(unknown.status == 404, "{}: {}", unknown.status, unknown.body);

    let one = lines(&ask(stack, &format!("GET /api/export/{LONG}")).await?)?;
    let (header, records) = one.split_first().context("an empty export")?;
    let count = past.len();
    ensure!(*header == json!({ "session": LONG, "first": 1, "last": count }), "{header}");
    let (end, records) = records.split_last().context("no end")?;
    ensure!(*end == json!({ "end": { "sessions": 1, "records": count } }), "{end}");
    let records: Vec<Record> = records
        .iter()
        .map(|line| Ok(serde_json::from_value(line.clone())?))
        .collect::<Result<_>>()?;
    ensure_same(&records, past)?;

    let all = lines(&ask(stack, "GET /api/export").await?)?;
    ensure!(all == one, "the export of all has {} lines, of the one {}", all.len(), one.len());
    Ok(())
}

/// Gives a command and its answer.
async fn command(stack: &Stack, text: &str) -> Result<String> {
    Chat::open(&stack.url, LONG, 0).await?.command(text).await
}

async fn by_itself(stack: &Stack) -> Result<()> {
    command(stack, "/schedule add cron \"0 8 * * 1-5\" read the news").await?;
    stack.runtime().await?;
    let exported = |stack: &Stack| stack.tails().contains("control tables exported to");
    ensure!(!exported(stack), "it was exported before its time");
    // Idle for long enough: the container goes to sleep, and then the books are copied.
    order(stack, &json!({ "clock_offset_ms": 11 * 60_000, "ring": 1 })).await?;
    wait::until_true("sleep", || stack.runtime_now().is_ok_and(|now| now.is_none())).await?;
    order(stack, &json!({ "clock_offset_ms": 13 * 60_000, "ring": 1 })).await?;
    wait::until_true("a control export", || exported(stack)).await?;
    order(stack, &json!({})).await
}

async fn backed_up(stack: &Stack) -> Result<String> {
    let answer = ask(stack, "POST /api/backup").await?;
    ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
    Ok(answer.json()["file"].as_str().context("no file")?.to_owned())
}

/// Runs `xtask restore`; its last line and whether it was content.
async fn restore(stack: &Stack) -> Result<(bool, Value)> {
    let file = stack.folder().join("token");
    std::fs::write(&file, format!("{TOKEN}\n"))?;
    let output = Command::new(paths::xtask()?)
        .current_dir(paths::root()?)
        .args(["restore", "--from-bucket", "--json", "--url", &stack.url, "--token-file"])
        .arg(&file)
        .output()
        .await
        .context("starting xtask")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = said
        .lines()
        .last()
        .with_context(|| format!("it said nothing: {}", String::from_utf8_lossy(&output.stderr)))?;
    Ok((output.status.success(), serde_json::from_str(line)?))
}

async fn restored(stack: &Stack) -> Result<Restored> {
    let (content, said) = restore(stack).await?;
    ensure!(content, "{said}");
    Ok(serde_json::from_value(said)?)
}

/// Takes the agent's object away; what is in the bucket stays.
async fn lose_the_object(stack: &mut Stack) -> Result<()> {
    stack.kill().await?;
    let object = stack.folder().join("state/wrangler/v3/do");
    std::fs::remove_dir_all(&object).with_context(|| format!("removing {}", object.display()))
}

async fn rebuilt(stack: &mut Stack, model: &ScriptedModel, past: &mut Vec<Record>) -> Result<()> {
    let jobs = command(stack, "/schedule").await?;
    ensure!(jobs.contains("read the news"), "{jobs}");
    let file = backed_up(stack).await?;
    ensure!(file.starts_with("agents/main/control/"), "{file}");
    let again = ask(stack, "POST /api/backup").await?.json();
    ensure!(again["bytes"] == 0, "it is written again though nothing has changed: {again}");

    lose_the_object(stack).await?;
    stack.start_again().await?;
    ensure!(shown(stack, LONG).await?.is_empty(), "the object is not gone");
    let back = restored(stack).await?;
    ensure!(back.warnings.is_empty() && back.control == file, "{back:?}");
    ensure!(back.jobs == 1 && back.records == past.len() as u64, "{back:?}");
    ensure_same(&shown(stack, LONG).await?, past)?;
    let jobs_now = command(stack, "/schedule").await?;
    ensure!(jobs_now == jobs, "{jobs_now} is not {jobs}");

    let (content, said) = restore(stack).await?;
    let reason = said["reason"].as_str().unwrap_or_default();
    ensure!(!content && reason.contains("not empty"), "it was restored over: {said}");
    goes_on(stack, model, past, "after a restore").await
}

/// A segment's name, with its records.
fn segment(past: &[Record]) -> Result<(String, u64)> {
    // Turns stay whole, and six records are enough for a segment.
    let ends =
        |record: &&Record| record.sequence >= 6 && outline(&[(*record).clone()]) == "completed";
    let last = past.iter().find(ends).context("no turn ends")?.sequence;
    Ok((format!("agents/main/sessions/{LONG}/{:012}-{last:012}.jsonl", 1), last))
}

async fn broken(stack: &mut Stack, model: &ScriptedModel, past: &[Record]) -> Result<()> {
    let file = backed_up(stack).await?;
    lose_the_object(stack).await?;
    let bucket = Bucket::of(stack);
    let control = bucket.get(&file).await?;
    let (key, last) = segment(past)?;
    let good = bucket.get(&key).await?;

    // A newer control export that breaks off, and a segment that breaks off.
    let torn = control.get(..control.len() - 9).context("a short control export")?;
    bucket.put("agents/main/control/2099-01-01.jsonl", torn).await?;
    let cut = good.get(..good.len() / 2).context("a short segment")?;
    bucket.put(&key, cut).await?;
    stack.start_again().await?;
    let back = restored(stack).await?;
    let warnings = back.warnings.join("\n");
    ensure!(back.control == file, "{back:?}");
    ensure!(warnings.contains("2099-01-01.jsonl cannot be used: its end is missing"), "{warnings}");
    ensure!(warnings.contains(&key), "{warnings}");

    // The page opens, says what is broken, and shows what is not.
    let chat = Chat::open(&stack.url, LONG, last).await?;
    ensure_same(&chat.records, past.get(usize::try_from(last)?..).context("a short past")?)?;
    let page = Chat::open(&stack.url, LONG, 0).await;
    let page = page.context("the page does not open")?;
    let problems = problems(&page)?;
    let named = problems.iter().any(|problem| problem.message.contains(&key));
    ensure!(named, "the page does not name {key}: {problems:?}");
    let export = ask(stack, &format!("GET /api/export/{LONG}")).await?;
    ensure!(!export.body.contains("\"end\""), "a broken export looks whole");

    // A control export of a later time is not replaced.
    let answer = ask(stack, "POST /api/backup").await?;
    ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);

    // The good one is put back: nothing was replaced meanwhile.
    stack.kill().await?;
    ensure!(bucket.get(&key).await? == cut, "the broken segment was replaced");
    bucket.put(&key, &good).await?;
    bucket.delete("agents/main/control/2099-01-01.jsonl").await?;
    stack.start_again().await?;
    ensure_same(&shown(stack, LONG).await?, past)?;
    let mut past = past.to_vec();
    goes_on(stack, model, &mut past, "after a repair").await?;
    newer_than_the_books(stack).await
}

/// Today's control export says that it is of tomorrow: another agent's, or of a wrong clock.
async fn newer_than_the_books(stack: &mut Stack) -> Result<()> {
    let file = backed_up(stack).await?;
    stack.kill().await?;
    let bucket = Bucket::of(stack);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?;
    let tomorrow = now.as_millis() + 24 * 60 * 60 * 1000;
    let header = json!({
        "control_export": 1,
        "agent": "main",
        "at_ms": u64::try_from(tomorrow)?,
        "rows": {},
    });
    bucket.put(&file, format!("{header}\n").as_bytes()).await?;
    stack.start_again().await?;
    // Something has changed, so that there is something to export.
    command(stack, "/schedule add every 2h look again").await?;
    let refused = ask(stack, "POST /api/backup").await?;
    ensure!(refused.status == 502 && refused.body.contains("newer"), "{refused:?}");
    Ok(())
}
