//! The first minute: no key, no settings, one command.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use integration_tests::chat::{Chat, outline};
use integration_tests::limits::STACK_READY;
use integration_tests::paths;
use integration_tests::stack::Stack;
use protocol::chat::ServerFrame;
use serde_json::Value;
use tokio::process::Command;

use crate::gate::{self, system};
use crate::scenarios::Scenarios;

#[test]
fn a_newcomer_without_a_key() -> gate::Outcome {
    system("a_newcomer_without_a_key", async {
        let mut stack = Stack::start(&[]).await?;
        let mut all = Scenarios::default();
        all.check("the demo model", demo(&stack)).await;
        stack.stop().await?;
        all.check("one command that says something", say()).await;
        all.end(&stack)
    })
}

async fn demo(stack: &Stack) -> Result<()> {
    let mut chat = Chat::open(&stack.url, "newcomer", 0).await?;
    let ServerFrame::Welcome { model, problems, .. } = &chat.welcome else {
        anyhow::bail!("no welcome");
    };
    ensure!(model.starts_with("demo/"), "{model} answers");
    ensure!(problems.is_empty(), "{problems:?}");
    let hello = chat.ask("Good day, I am new here").await?.completed()?;
    ensure!(hello.text().to_lowercase().contains("demo"), "it hides what it is: {}", hello.text());
    let run = chat.ask("run echo shells-$((40 + 2))").await?.completed()?;
    let tools = run.tools();
    ensure!(tools.len() == 1 && tools[0].output.contains("shells-42"), "{tools:?}");
    ensure!(run.text().contains("shells-42"), "it does not say so: {}", run.text());
    let expected = "user assistant completed \
                    user assistant started finished:ok assistant completed";
    ensure!(outline(&chat.records) == expected, "{}", outline(&chat.records));
    Ok(())
}

/// `xtask dev --say`: boots, talks, prints, ends by itself.
async fn say() -> Result<()> {
    let mut command = Command::new(paths::xtask()?);
    command
        .current_dir(paths::root()?)
        .args(["dev", "--json", "--say", "Good day", "--say", "run echo shells-$((40 + 2))"])
        .envs([("PAGURUS_BUILT", "1"), ("PAGURUS_HERMETIC", "1")])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(STACK_READY, command.output()).await.context("no end")??;
    let printed = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{}: {printed}", output.status);
    let lines: Vec<Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: {line}")))
        .collect::<Result<_>>()?;
    ensure!(printed.contains("shells-42"), "no reply: {printed}");
    ensure!(lines.last().is_some_and(Value::is_object), "no timings: {printed}");
    Ok(())
}
