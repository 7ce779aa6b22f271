//! Money: calls are counted to the token in every format, caps hold against calls that come at once,
//! and a provider hears nothing that the ledger has not granted.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use integration_tests::chat::Chat;
use integration_tests::model::{Counts, Reply, ScriptedModel};
use integration_tests::stack::{CANARY_KEY, Stack};
use integration_tests::wait;
use protocol::ProblemCode;
use protocol::chat::ClientFrame;
use protocol::object::UsageLine;
use protocol::session::Outcome;

use crate::gate::{self, system};
use crate::scenarios::Scenarios;

/// The token that programs show in these tests.
const TOKEN: &str = "token-for-programs-3141592653";

/// A model whose answers have at most a thousand tokens, at a dollar each thousand, and whose input
/// costs nothing: one call sets exactly one dollar aside.
const DOLLAR_MODEL: &str = "anthropic/dollar,100000,1000,0,1000";

/// Calls that are made at once, and those of them that the cap lets through.
const AT_ONCE: usize = 50;
const LET_THROUGH: usize = 10;

#[test]
fn money() -> gate::Outcome {
    system("money", async {
        let model = ScriptedModel::start().await?;
        let mut stack = Stack::start(&settings(&model, &[])).await?;
        let mut all = Scenarios::default();
        all.check("counted as anthropic counts", counted(&stack, &model, "anthropic")).await;
        all.check("priced", priced(&stack, &model)).await;
        all.check("stopped in mid-answer", stopped(&stack, &model)).await;
        all.check("not granted", not_granted(&stack, &model)).await;
        all.check("killed in mid-answer", killed(&mut stack, &model)).await;

        let base_url = format!("{}/v1", model.url);
        let openai = [
            ("OPENAI_API_KEY", CANARY_KEY),
            ("OPENAI_BASE_URL", base_url.as_str()),
            ("API_TOKEN", TOKEN),
            ("MODEL", "openai/gpt-5.1"),
        ];
        stack.restart(&openai).await?;
        all.check("counted as chat counts", counted(&stack, &model, "chat")).await;
        let responses = [&openai[..3], &[("OPENAI_API", "responses"), ("MODEL", "openai/gpt-5")]];
        stack.restart(&responses.concat()).await?;
        all.check("counted as responses count", counted(&stack, &model, "responses")).await;

        let dollar = [("MODEL", "anthropic/dollar"), ("MODELS", DOLLAR_MODEL)];
        let at_once = [("SPEND_PER_DAY_USD", "none"), ("SPEND_PER_TURN_USD", "10.50")];
        stack.restart(&settings(&model, &[dollar, at_once].concat())).await?;
        all.check("fifty at once", at_once_against_a_cap(&stack, &model)).await;
        let small = [("TOKENS_PER_TURN", "4000")];
        stack.restart(&settings(&model, &[&dollar[..], &small].concat())).await?;
        all.check("a task's cap", a_turns_cap(&stack, &model)).await;
        let nothing = [("SPEND_PER_DAY_USD", "0.000001")];
        stack.restart(&settings(&model, &nothing)).await?;
        all.check("a day's cap", a_days_cap(&stack, &model)).await;
        stack.restart(&settings(&model, &[])).await?;
        all.check("a raised cap", a_raised_cap(&stack, &model)).await;
        all.end(&stack)?;
        stack.interrupt().await
    })
}

fn settings<'a>(model: &'a ScriptedModel, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let own = [
        ("ANTHROPIC_API_KEY", CANARY_KEY),
        ("ANTHROPIC_BASE_URL", model.url.as_str()),
        ("API_TOKEN", TOKEN),
    ];
    own.into_iter().chain(more.iter().copied()).collect()
}

/// The line of a conversation, by its name.
async fn session_line(stack: &Stack, session: &str) -> Result<UsageLine> {
    let report = stack.usage(TOKEN).await?;
    let found = report.by_session.iter().find(|line| line.name == session);
    found.cloned().with_context(|| format!("no line of {session}: {report:?}"))
}

fn counts_of(line: &UsageLine) -> Counts {
    Counts {
        input: line.usage.input_tokens,
        output: line.usage.output_tokens,
        cache_read: line.usage.cache_read_tokens,
        cache_write: line.usage.cache_write_tokens,
    }
}

async fn counted(stack: &Stack, model: &ScriptedModel, name: &str) -> Result<()> {
    let name = format!("meter-{name}");
    let model = model.topic(&name);
    model.runs("echo one").says("First, in several words.").runs("echo two").says("Second.");
    let mut chat = Chat::open(&stack.url, &name, 0).await?;
    chat.ask(&name).await?.completed()?;
    chat.ask("and again").await?.completed()?;
    let line = session_line(stack, &name).await?;
    ensure!(line.calls == 4 && line.estimated == 0, "{line:?}");
    ensure!(counts_of(&line) == model.counted(), "{line:?}, the double: {:?}", model.counted());
    let report = stack.usage(TOKEN).await?;
    ensure!(report.by_channel.iter().any(|line| line.name == "web"), "{report:?}");
    ensure!(report.by_day.len() == 1 && report.by_day[0].name == report.day, "{report:?}");
    Ok(())
}

/// Sonnet 5: 2 and 10 dollars per million, 0.2 from the cache, 2.5 into it.
async fn priced(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let line = session_line(stack, "meter-anthropic").await?;
    let counts = model.topic("meter-anthropic").counted();
    let thousandths = counts.input * 2_000_000
        + counts.output * 10_000_000
        + counts.cache_read * 200_000
        + counts.cache_write * 2_500_000;
    // Each call is rounded up by itself.
    let exact = thousandths.div_ceil(1000);
    ensure!((exact..exact + line.calls).contains(&line.nanodollars), "{line:?}, not {exact}");
    let mut chat = Chat::open(&stack.url, "meter-anthropic", 0).await?;
    let told = chat.command("/usage").await?;
    ensure!(told.contains("today: $0.0") && told.contains("of $5.00"), "{told}");
    ensure!(told.contains("- meter-anthropic: $"), "{told}");
    Ok(())
}

async fn stopped(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let name = "meter-stopped";
    let model = model.topic(name);
    model.then(Reply::Paused { said: "A beginning ".into(), rest: "never said".into() });
    let mut chat = Chat::open(&stack.url, name, 0).await?;
    chat.send(name).await?;
    chat.hears("A beginning").await?;
    chat.say(&ClientFrame::Stop).await?;
    ensure!(chat.answer().await?.outcome == Outcome::Cancelled);
    model.left(1).await?;
    let booked = wait::until_async("a booked call", async || {
        session_line(stack, name).await.ok().filter(|line| line.calls == 1)
    })
    .await?;
    ensure!(booked.estimated == 1, "{booked:?}");
    let call = model.called(1).await?;
    let promised = call.counts.context("the double counted nothing")?;
    ensure!(counts_of(&booked).input == promised.input, "{booked:?}, not {promised:?}");
    let output = booked.usage.output_tokens;
    ensure!((1..=16_000).contains(&output), "{booked:?}");
    Ok(())
}

/// Calls that a command in the container makes by itself.
const NOT_GRANTED: &str = r#"
edge=http://edge.internal/model/anthropic/v1/messages
log=http://edge.internal/session/not-granted/records
turn=$(curl -sS "$log?from=1" | grep -o '"turn":"[^"]*"' | tail -n 1 | cut -d '"' -f 4)
word=$(printf '%s%s' never -granted)
say() { printf '{"model":"claude-sonnet-5","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"%s"}]%s}' "$word" "$1"; }
ask() {
  label=$1; body=$2; shift 2
  printf '%s %s\n' "$label" "$(curl -sS -m 20 -w ' %{http_code}' -H 'content-type: application/json' "$@" -d "$body" $edge | tr '\n' ' ')"
}
ask no-turn "$(say)"
ask other-turn "$(say)" -H 'x-pagurus-turn: no-such-turn'
ask tier "$(say ',"service_tier":"priority"')" -H "x-pagurus-turn: $turn"
ask search "$(say ',"tools":[{"type":"web_search_20250305","name":"web_search"}]')" -H "x-pagurus-turn: $turn"
ask twice "$(say ',"model":"claude-opus-4-1"')" -H "x-pagurus-turn: $turn"
ask unlimited '{"model":"m","stream":true,"messages":[]}' -H "x-pagurus-turn: $turn"
ask whole '{"model":"m","max_tokens":1,"stream":false,"messages":[]}' -H "x-pagurus-turn: $turn"
ask dear "$(say | sed 's/"max_tokens":9/"max_tokens":90000000/')" -H "x-pagurus-turn: $turn"
"#;

async fn not_granted(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let never = model.topic("never-granted");
    let topic = model.topic("not-granted");
    topic.runs(NOT_GRANTED).says("None of them.");
    let mut chat = Chat::open(&stack.url, "not-granted", 0).await?;
    let answer = chat.ask("not-granted").await?.completed()?;
    let output = answer.tools().first().context("the tool did not run")?.output.clone();
    for (label, status, code) in [
        ("no-turn", 400, "bad_request"),
        ("other-turn", 403, "forbidden"),
        ("tier", 400, "service_tier"),
        ("search", 400, "web_search"),
        ("twice", 400, "duplicate"),
        ("unlimited", 400, "max_tokens"),
        ("whole", 400, "stream"),
        ("dear", 402, "spending_cap"),
    ] {
        let line = output.lines().find(|line| line.starts_with(&format!("{label} ")));
        let line = line.with_context(|| format!("no answer to {label}: {output}"))?;
        ensure!(line.trim().ends_with(&status.to_string()) && line.contains(code), "{line}");
    }
    ensure!(never.count() == 0, "the provider heard of a call that was not granted");
    Ok(())
}

async fn killed(stack: &mut Stack, model: &ScriptedModel) -> Result<()> {
    let name = "meter-killed";
    let topic = model.topic(name);
    topic.then(Reply::Paused { said: "Doomed ".into(), rest: "to end".into() });
    topic.says("Done after all.");
    let before = stack.usage(TOKEN).await?.today;
    let mut chat = Chat::open(&stack.url, name, 0).await?;
    chat.send(name).await?;
    chat.hears("Doomed").await?;
    stack.kill().await?;
    stack.start_again().await?;
    let mut chat = Chat::open(&stack.url, name, 0).await?;
    ensure!(chat.answer().await?.completed()?.text() == "Done after all.");
    // The call that nobody saw end counts with all that it can have cost until it lapses.
    let after = stack.usage(TOKEN).await?.today;
    let tokens = |amount: protocol::object::Amount| amount.tokens.unwrap_or_default();
    ensure!(tokens(after) >= tokens(before) + 16_000, "{before:?}, then {after:?}");
    Ok(())
}

/// Makes so many calls at once, each in the background, and writes down what each was answered.
fn flood() -> String {
    format!(
        r#"
edge=http://edge.internal/model/anthropic/v1/messages
log=http://edge.internal/session/flood/records
turn=$(curl -sS "$log?from=1" | grep -o '"turn":"[^"]*"' | tail -n 1 | cut -d '"' -f 4)
word=$(printf '%s%s' held -call)
mkdir -p flood
for n in $(seq 1 {AT_ONCE}); do
  curl -sS -m 100 -o flood/body-$n -w '%{{http_code}}' -H 'content-type: application/json' \
    -H "x-pagurus-turn: $turn" \
    -d '{{"model":"dollar","max_tokens":1000,"stream":true,"messages":[{{"role":"user","content":"'$word'"}}]}}' \
    $edge > flood/part-$n && mv flood/part-$n flood/status-$n &
done
wait
cat flood/status-* | fold -w 3 | sort | uniq -c
grep -l spending_cap flood/body-* | wc -l
"#
    )
}

async fn at_once_against_a_cap(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let held = model.topic("held-call");
    for _ in 0..AT_ONCE {
        held.then(Reply::Held("At last.".into()));
    }
    let topic = model.topic("flood");
    topic.runs(&flood()).says("That was all.");
    let mut chat = Chat::open(&stack.url, "flood", 0).await?;
    chat.send("flood").await?;
    held.called(LET_THROUGH).await?;
    // All others are decided while those ten are under way.
    let folder = stack.workspace().await?.join("flood");
    let refused = AT_ONCE - LET_THROUGH;
    wait::until_true("forty refusals", || decided(&folder) >= refused).await?;
    ensure!(held.count() == LET_THROUGH, "{} calls got through", held.count());
    for _ in 0..LET_THROUGH {
        held.release();
    }
    let answer = chat.answer().await?.completed()?;
    let output = answer.tools().first().context("the tool did not run")?.output.clone();
    let lines: Vec<&str> = output.lines().map(str::trim).collect();
    let expected = [format!("{LET_THROUGH} 200"), format!("{refused} 402"), refused.to_string()];
    ensure!(lines.starts_with(&expected.each_ref().map(String::as_str)), "{output}");
    ensure!(held.count() == LET_THROUGH, "{} calls got through", held.count());
    Ok(())
}

fn decided(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let is_status = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("status-");
    entries.flatten().filter(|entry| is_status(&entry.file_name())).count()
}

async fn a_turns_cap(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let name = "small-task";
    let topic = model.topic(name);
    topic.runs("echo one").runs("echo two").runs("echo three").runs("echo four");
    let mut chat = Chat::open(&stack.url, name, 0).await?;
    let answer = chat.ask(name).await?;
    let problem = answer.problem()?;
    ensure!(problem.code == ProblemCode::SpendingCap, "{problem}");
    ensure!(problem.message.contains("this task's cap of 4000 tokens"), "{problem}");
    ensure!(problem.remedy.contains("TOKENS_PER_TURN"), "{problem}");
    let asked = topic.count();
    ensure!((1..4).contains(&asked), "{asked} calls");
    Ok(())
}

async fn a_days_cap(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let name = "poor-day";
    let topic = model.topic(name);
    let mut chat = Chat::open(&stack.url, name, 0).await?;
    let answer = chat.ask(name).await?;
    let problem = answer.problem()?;
    ensure!(problem.code == ProblemCode::SpendingCap, "{problem}");
    ensure!(problem.message.contains("today's cap of $0.00001"), "{problem}");
    ensure!(problem.remedy.contains("Raise SPEND_PER_DAY_USD"), "{problem}");
    ensure!(topic.count() == 0, "the provider was called");
    Ok(())
}

async fn a_raised_cap(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let topic = model.topic("poor-day");
    topic.says("Rich again.");
    let mut chat = Chat::open(&stack.url, "poor-day", 0).await?;
    let answer = chat.ask("and now?").await?.completed()?;
    match answer.text().as_str() {
        "Rich again." => Ok(()),
        other => bail!("{other}"),
    }
}
