//! Jobs and commands: a job wakes a container that sleeps, and commands wake nobody.

use anyhow::{Result, ensure};
use integration_tests::chat::{Chat, outline};
use integration_tests::http;
use integration_tests::model::ScriptedModel;
use integration_tests::stack::{CANARY_KEY, Stack};
use integration_tests::wait;
use protocol::chat::ServerFrame;
use serde_json::json;

use crate::gate::{self, system};
use crate::scenarios::Scenarios;

#[test]
fn schedule() -> gate::Outcome {
    system("schedule", async {
        let model = ScriptedModel::start().await?;
        let mut stack = Stack::start(&[
            ("ANTHROPIC_API_KEY", CANARY_KEY),
            ("ANTHROPIC_BASE_URL", &model.url),
            ("FAULTS", "true"),
            ("TIME_ZONE", "Europe/Berlin"),
        ])
        .await?;
        let mut all = Scenarios::default();
        all.check("commands wake nobody", commands(&stack)).await;
        all.check("a job wakes a sleeping agent", job(&stack, &model)).await;
        all.check("a heartbeat that has nothing to say", heartbeat(&stack, &model)).await;
        all.end(&stack)?;
        model.assert_done()?;
        stack.interrupt().await
    })
}

/// Gives a command and its answer.
async fn command(chat: &mut Chat, text: &str) -> Result<String> {
    let wanted = chat.send(text).await?;
    chat.until(|frame| match frame {
        ServerFrame::Notice { id, text } if id == wanted => Some(text),
        _ => None,
    })
    .await
}

async fn order(stack: &Stack, minutes: i64, ring: u32) -> Result<()> {
    order_ms(stack, minutes * 60_000, ring).await
}

async fn order_ms(stack: &Stack, offset_ms: i64, ring: u32) -> Result<()> {
    let faults = json!({ "clock_offset_ms": offset_ms, "ring": ring });
    let answer = http::post_json(&stack.url, "/faults", &faults).await?;
    ensure!(answer.status == 204, "{}: {}", answer.status, answer.body);
    Ok(())
}

async fn commands(stack: &Stack) -> Result<()> {
    let mut chat = Chat::open(&stack.url, "commands", 0).await?;
    let help = command(&mut chat, "/help").await?;
    ensure!(help.contains("/schedule add"), "{help}");
    let status = command(&mut chat, "/status").await?;
    ensure!(status.contains("container: asleep"), "{status}");
    let wrong = command(&mut chat, "/nonsense").await?;
    ensure!(wrong.contains("no command"), "{wrong}");
    let wrong = command(&mut chat, "/schedule add every 10s x").await?;
    ensure!(wrong.contains("20m"), "{wrong}");

    // The same message again is the same job.
    let add = "/schedule add cron \"0 8 * * 1-5\" read the news";
    let answer = command(&mut chat, add).await?;
    ensure!(answer.contains("is due"), "{answer}");
    let id = chat.send(add).await?;
    chat.send_as(&id, add).await?;
    let list = command(&mut chat, "/schedule").await?;
    ensure!(list.matches("read the news").count() == 2, "{list}");
    let name = list.split('`').nth(1).unwrap_or_default().to_owned();
    let paused = command(&mut chat, &format!("/schedule pause {name}")).await?;
    ensure!(paused.contains("paused"), "{paused}");
    for name in list.split('`').skip(1).step_by(2) {
        let gone = command(&mut chat, &format!("/schedule remove {name}")).await?;
        ensure!(gone.contains("gone"), "{gone}");
    }
    ensure!(chat.records.is_empty(), "commands are in the log: {}", outline(&chat.records));
    ensure!(stack.runtime_now()?.is_none(), "a command woke the container");
    Ok(())
}

async fn job(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("plants");
    let mut chat = Chat::open(&stack.url, "plants", 0).await?;
    let answer = command(&mut chat, "/schedule add in 20m water the plants").await?;
    ensure!(answer.contains("is due"), "{answer}");
    order(stack, 19, 2).await?;
    ensure!(stack.runtime_now()?.is_none(), "it runs too early");
    model.says("They are watered.");
    // The alarm rings twice; the job runs once.
    order(stack, 21, 2).await?;
    let answer = chat.answer().await?.completed()?;
    ensure!(answer.text() == "They are watered.", "{}", answer.text());
    ensure!(stack.runtime_now()?.is_some(), "nobody ran it");
    order(stack, 25, 2).await?;
    let list = command(&mut chat, "/schedule").await?;
    ensure!(list.contains("There are no jobs"), "{list}");
    ensure!(outline(&chat.records) == "user assistant completed", "{}", outline(&chat.records));
    // It sleeps again after its time.
    order(stack, 40, 1).await?;
    wait::until_true("sleep", || stack.runtime_now().is_ok_and(|now| now.is_none())).await
}

async fn heartbeat(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("HEARTBEAT.md");
    let mut chat = Chat::open(&stack.url, "heart", 0).await?;
    let answer = command(&mut chat, "/schedule heartbeat every 30m").await?;
    ensure!(answer.contains("is due"), "{answer}");
    // A heartbeat that was missed is left out.
    order(stack, 75, 1).await?;
    model.says("HEARTBEAT_OK");
    order_ms(stack, 100 * 60_000 + 20_000, 1).await?;
    chat.answer().await?.completed()?;
    ensure!(outline(&chat.records) == "user assistant completed", "{}", outline(&chat.records));
    let mut later = Chat::open(&stack.url, "heart", 0).await?;
    let status = command(&mut later, "/status").await?;
    ensure!(status.contains("next job"), "{status}");
    command(&mut later, "/schedule heartbeat off").await?;
    Ok(())
}
