//! Messages by webhook, and their answers through the outbox: once in, once out, in order, and
//! labelled where nobody knows.

use anyhow::{Result, ensure};
use integration_tests::chat::Chat;
use integration_tests::hook::{self, HOOK_SECRET, Receiver, Reception};
use integration_tests::http;
use integration_tests::model::{Reply, ScriptedModel};
use integration_tests::stack::{CANARY_KEY, Stack};
use integration_tests::wait;
use protocol::chat::{ClientFrame, ServerFrame};

use crate::gate::{self, system};
use crate::scenarios::Scenarios;

#[test]
fn outbox() -> gate::Outcome {
    system("outbox", async {
        let model = ScriptedModel::start().await?;
        let receiver = Receiver::start().await?;
        let mut stack = Stack::start(&[
            ("ANTHROPIC_API_KEY", CANARY_KEY),
            ("ANTHROPIC_BASE_URL", &model.url),
            ("WEBHOOK_SECRET", HOOK_SECRET),
            ("WEBHOOK_REPLY_URL", &receiver.url),
        ])
        .await?;
        let mut all = Scenarios::default();
        all.check("three times and out of order", repeated(&stack, &model, &receiver)).await;
        all.check("who is let in", the_door(&stack)).await;
        all.check("a receiver that is busy", busy(&stack, &model, &receiver)).await;
        all.check("a receiver that refuses", refused(&stack, &model, &receiver)).await;
        all.check("an answer that no page has", unseen(&stack, &model)).await;
        all.check("killed while it sends", killed(&mut stack, &model, &receiver)).await;
        all.end(&stack)?;
        model.assert_done()?;
        stack.interrupt().await
    })
}

async fn repeated(stack: &Stack, model: &ScriptedModel, receiver: &Receiver) -> Result<()> {
    let model = model.topic("by-hook");
    model.then(Reply::Held("One answer.".into())).says("Another answer.");
    for (id, before) in [("m-2", false), ("m-2", true)] {
        let answer = hook::send(&stack.url, "ci", id, "by-hook, first").await?;
        ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
        ensure!(answer.json()["before"] == before, "{id}: {}", answer.body);
    }
    model.called(1).await?;
    hook::send(&stack.url, "ci", "m-1", "by-hook, second").await?;
    let again = hook::send(&stack.url, "ci", "m-2", "by-hook, first").await?;
    ensure!(again.json()["before"] == true, "{}", again.body);
    model.release();
    wait::until_true("the answer", || !receiver.received().is_empty()).await?;
    let answers = receiver.received();
    ensure!(answers.len() == 1, "{answers:?}");
    let answer = &answers[0];
    ensure!(answer.genuine, "the signature does not fit");
    ensure!(answer.body["text"] == "One answer.\n\nAnother answer.", "{}", answer.body);
    ensure!(answer.body["chat"] == "hook:ci", "{}", answer.body);
    ensure!(answer.body["possible_duplicate"] == false, "{}", answer.body);
    ensure!(model.count() == 2, "the model was asked {} times", model.count());
    Ok(())
}

async fn the_door(stack: &Stack) -> Result<()> {
    let forged =
        [("webhook-id", "x"), ("webhook-timestamp", "1"), ("webhook-signature", "v1,AA==")];
    let answer = http::send(&stack.url, "POST /hooks/in/ci", &forged, b"hello").await?;
    ensure!(answer.status == 401, "{}: {}", answer.status, answer.body);
    let answer = hook::send(&stack.url, "a%20b", "m-9", "hello").await?;
    ensure!(answer.status == 400, "{}: {}", answer.status, answer.body);
    let get = http::send(&stack.url, "GET /hooks/in/ci", &[], b"").await?;
    ensure!(get.status == 404, "{}", get.status);
    Ok(())
}

/// Sends a message and waits until the receiver has taken one more answer.
async fn answered(
    stack: &Stack,
    receiver: &Receiver,
    (id, text): (&str, &str),
) -> Result<hook::Received> {
    let before = receiver.received().len();
    let answer = hook::send(&stack.url, "home", id, text).await?;
    ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
    wait::until("the answer", || receiver.received().get(before).cloned()).await
}

async fn busy(stack: &Stack, model: &ScriptedModel, receiver: &Receiver) -> Result<()> {
    let model = model.topic("busy-receiver");
    model.says("Patience.").says("And order.");
    let tries = receiver.tries();
    receiver.script(&[Reception::Status(429), Reception::Status(503)]);
    let first = answered(stack, receiver, ("b-1", "busy-receiver")).await?;
    ensure!(first.body["text"] == "Patience.", "{}", first.body);
    ensure!(first.body["possible_duplicate"] == false, "{}", first.body);
    ensure!(receiver.tries() == tries + 3, "{} tries", receiver.tries() - tries);
    // Nobody knows what a 500 means, so the next try says so.
    receiver.script(&[Reception::Status(500)]);
    let second = answered(stack, receiver, ("b-2", "go on")).await?;
    ensure!(second.body["possible_duplicate"] == true, "{}", second.body);
    ensure!(second.body["text"].to_string().contains("may be a repetition"), "{}", second.body);
    Ok(())
}

async fn refused(stack: &Stack, model: &ScriptedModel, receiver: &Receiver) -> Result<()> {
    let model = model.topic("refusing-receiver");
    model.says("Refused.").says("Taken.");
    receiver.script(&[Reception::Status(410)]);
    let tries = receiver.tries();
    hook::send(&stack.url, "home", "r-1", "refusing-receiver").await?;
    wait::until_true("the refusal", || receiver.tries() > tries).await?;
    let next = answered(stack, receiver, ("r-2", "go on")).await?;
    ensure!(next.body["text"] == "Taken.", "a parked answer holds up the chat: {}", next.body);
    let page = Chat::open(&stack.url, "anything", 0).await?;
    let ServerFrame::Welcome { problems, .. } = &page.welcome else { anyhow::bail!("no welcome") };
    ensure!(problems.iter().any(|p| p.message.contains("could not be delivered")), "{problems:?}");
    Ok(())
}

async fn unseen(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("unseen-answer");
    model.then(Reply::Held("Nobody looks.".into()));
    let mut chat = Chat::open(&stack.url, "unseen-answer", 0).await?;
    let id = chat.send("unseen-answer").await?;
    chat.accepted(&id).await?;
    model.called(1).await?;
    drop(chat);
    model.release();
    let mut page = Chat::open(&stack.url, "unseen-answer", 0).await?;
    let offered = |frame| match frame {
        ServerFrame::Answer { key, .. } => Some(key),
        _ => None,
    };
    let key = page.until(offered).await?;
    let mut other = Chat::open(&stack.url, "unseen-answer", 0).await?;
    ensure!(other.until(offered).await? == key, "another page is offered another answer");
    page.say(&ClientFrame::Received { key: key.clone() }).await?;
    model.says("Seen.");
    page.ask("next").await?.completed()?;
    // The oldest is offered first. (A page that was open at the end may have been told twice.)
    let mut third = Chat::open(&stack.url, "unseen-answer", 0).await?;
    ensure!(third.until(offered).await? != key, "what a page has is offered again");
    Ok(())
}

async fn killed(stack: &mut Stack, model: &ScriptedModel, receiver: &Receiver) -> Result<()> {
    let model = model.topic("killed-sender");
    model.says("Did you get this?");
    let before = receiver.received().len();
    receiver.script(&[Reception::TakeAndHang]);
    hook::send(&stack.url, "home", "k-1", "killed-sender").await?;
    wait::until_true("the first try", || receiver.received().len() > before).await?;
    stack.kill().await?;
    stack.start_again().await?;
    // A page wakes the object at once; without one the alarm does it a minute later.
    let _page = Chat::open(&stack.url, "anything", 0).await?;
    let second = wait::until("the second try", || receiver.received().get(before + 1).cloned());
    let second = second.await?;
    let first = &receiver.received()[before];
    ensure!(first.key == second.key, "{} and {}", first.key, second.key);
    ensure!(first.body["possible_duplicate"] == false, "{}", first.body);
    ensure!(second.body["possible_duplicate"] == true, "{}", second.body);
    Ok(())
}
