//! Talking to the agent: answers, tools, queueing, stopping, and what a container can do meanwhile.

use anyhow::{Result, ensure};
use integration_tests::chat::{Chat, assistant_text, outline};
use integration_tests::model::{Call, Reply, ScriptedModel};
use integration_tests::stack::{CANARY_KEY, Stack};
use integration_tests::wait;
use protocol::ProblemCode;
use protocol::chat::{ClientFrame, ServerFrame};
use protocol::session::{Item, Outcome, ToolStatus};

use crate::container_view;
use crate::gate::{self, system};
use crate::scenarios::Scenarios;

#[test]
fn conversations() -> gate::Outcome {
    system("conversations", async {
        let model = ScriptedModel::start().await?;
        let mut stack = Stack::with(&model).await?;
        let mut all = Scenarios::default();
        all.check("three messages with a tool call", three_messages(&stack, &model)).await;
        all.check("a message sent twice", sent_twice(&stack, &model)).await;
        all.check("messages while a turn runs", queued(&stack, &model)).await;
        all.check("more messages than may wait", too_many(&stack, &model)).await;
        all.check("two sessions at once", side_by_side(&stack, &model)).await;
        all.check("a page that joins late", joins_late(&stack, &model)).await;
        all.check("stop in the answer", stop_in_answer(&stack, &model)).await;
        all.check("stop before the answer", stop_before_answer(&stack, &model)).await;
        all.check("stop in a tool", stop_in_tool(&stack, &model)).await;
        all.check("stop without a turn", stop_without_turn(&stack, &model)).await;
        all.check("what the container may ask", container_view::services(&stack, &model)).await;
        all.check("no key inside", container_view::no_key_inside(&stack, &model)).await;
        all.end(&stack)?;
        model.assert_done()?;
        stack.stop().await
    })
}

async fn three_messages(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("crab-talk");
    let mut chat = Chat::open(&stack.url, "crab-talk", 0).await?;
    ensure!(chat.head() == 0, "a new session is not empty");

    model.says("Hello Bernard, how do you do?");
    let first = chat.ask("crab-talk: my name is Bernard").await?.completed()?;
    ensure!(first.text() == "Hello Bernard, how do you do?", "{}", first.text());
    ensure!(first.streamed == first.text(), "streamed {:?}", first.streamed);

    model.runs("echo shell-of-$((40 + 2))-crabs").says("There are 42.");
    let second = chat.ask("count the shells").await?.completed()?;
    let tools = second.tools();
    ensure!(tools.len() == 1 && tools[0].output.contains("shell-of-42-crabs"), "{tools:?}");

    model.says("You are Bernard.");
    chat.ask("who am I?").await?.completed()?;
    let expected = "user assistant completed \
                    user assistant started finished:ok assistant completed \
                    user assistant completed";
    ensure!(outline(&chat.records) == expected, "{}", outline(&chat.records));

    let calls = model.calls();
    ensure!(calls.len() == 4, "{} calls", calls.len());
    ensure!(calls[2].holds("shell-of-42-crabs"), "the tool's output did not reach the model");
    ensure!(calls[3].holds("my name is Bernard"), "the first message is forgotten");
    ensure!(calls[0].path == "/v1/messages", "asked at {}", calls[0].path);
    ensure!(calls[0].header("x-api-key") == Some(CANARY_KEY), "the edge did not add the key");

    let again = Chat::open(&stack.url, "crab-talk", 0).await?;
    ensure!(again.records == chat.records, "a new page sees another history");
    let later = Chat::open(&stack.url, "crab-talk", again.head() - 3).await?;
    ensure!(outline(&later.records) == "user assistant completed", "{}", outline(&later.records));
    Ok(())
}

async fn sent_twice(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("echo-once");
    model.then(Reply::Held("Heard once.".into())).says("And now the next.");
    let mut chat = Chat::open(&stack.url, "echo-once", 0).await?;
    chat.send_as("same-id", "echo-once").await?;
    chat.accepted("same-id").await?;
    model.called(1).await?;
    chat.send_as("same-id", "echo-once").await?;
    chat.accepted("same-id").await?;
    model.release();
    chat.answer().await?.completed()?;

    let mut other = Chat::open(&stack.url, "echo-once", 0).await?;
    other.send_as("same-id", "echo-once").await?;
    other.accepted("same-id").await?;
    other.ask("another one").await?.completed()?;
    let expected = "user assistant completed user assistant completed";
    ensure!(outline(&other.records) == expected, "{}", outline(&other.records));
    ensure!(model.calls().len() == 2, "{} calls", model.calls().len());
    Ok(())
}

async fn queued(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("queue-line");
    model.then(Reply::Held("First.".into())).says("Second and third.");
    let mut chat = Chat::open(&stack.url, "queue-line", 0).await?;
    chat.send("queue-line, message one").await?;
    model.called(1).await?;
    for text in ["message two", "message three"] {
        let id = chat.send(text).await?;
        chat.accepted(&id).await?;
    }
    let late = Chat::open(&stack.url, "queue-line", 0).await?;
    let ServerFrame::Welcome { queued, turn, .. } = &late.welcome else {
        anyhow::bail!("no welcome");
    };
    let texts: Vec<&str> = queued.iter().map(|message| message.text.as_str()).collect();
    ensure!(texts == ["message two", "message three"], "queued: {texts:?}");
    ensure!(turn.is_some(), "the running turn is not told");

    model.release();
    let answer = chat.answer().await?.completed()?;
    ensure!(answer.text() == "First.\nSecond and third.", "{}", answer.text());
    let expected = "user assistant user user assistant completed";
    ensure!(outline(&chat.records) == expected, "{}", outline(&chat.records));
    let body = model.called(2).await?.body.to_string();
    let place = |text: &str| body.find(text);
    ensure!(place("message one") < place("message two"), "not in order");
    ensure!(place("message two") < place("message three"), "not in order");
    Ok(())
}

/// As many messages as may wait in one session while a turn runs.
const WAITING_MESSAGES_MAX: usize = 100;

async fn too_many(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("long-line");
    model.then(Reply::Held("First.".into())).then(Reply::Held("Most.".into()));
    let mut chat = Chat::open(&stack.url, "long-line", 0).await?;
    chat.send("long-line").await?;
    model.called(1).await?;
    for number in 0..WAITING_MESSAGES_MAX {
        let id = chat.send(&format!("waiting-{number}.")).await?;
        chat.accepted(&id).await?;
    }
    let id = chat.send("one too many").await?;
    let (rejected, problem) = chat.rejected().await?;
    ensure!(rejected == id && problem.code == ProblemCode::Busy, "{rejected}: {problem:?}");
    model.release();
    let missing = |call: &Call| -> Vec<usize> {
        (0..WAITING_MESSAGES_MAX).filter(|n| !call.holds(&format!("waiting-{n}."))).collect()
    };
    // The last ones may have been on their way to the turn when it took its next step.
    let mut call = model.called(2).await?;
    let is_rest = !missing(&call).is_empty();
    if is_rest {
        model.says("The rest.");
    }
    model.release();
    if is_rest {
        call = model.called(3).await?;
    }
    chat.answer().await?.completed()?;
    let missing = missing(&call);
    ensure!(missing.is_empty(), "lost: {missing:?}");
    ensure!(!call.holds("one too many"), "what was rejected was used");
    Ok(())
}

async fn side_by_side(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let (slow, quick) = (model.topic("slow-side"), model.topic("quick-side"));
    slow.then(Reply::Held("At last.".into()));
    quick.runs("echo quick").says("Done already.");
    let mut one = Chat::open(&stack.url, "slow-side", 0).await?;
    let mut other = Chat::open(&stack.url, "quick-side", 0).await?;
    one.send("slow-side").await?;
    slow.called(1).await?;
    other.ask("quick-side").await?.completed()?;
    slow.release();
    let answer = one.answer().await?.completed()?;
    ensure!(answer.text() == "At last.", "{}", answer.text());
    let strangers = other.records.iter().filter(|record| one.records.contains(record)).count();
    ensure!(strangers == 0, "the sessions share records");
    Ok(())
}

async fn joins_late(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("late-guest");
    model.then(Reply::Paused { said: "The story so far ".into(), rest: "and its end.".into() });
    let mut host = Chat::open(&stack.url, "late-guest", 0).await?;
    host.send("late-guest").await?;
    host.hears("so far").await?;
    let mut guest = Chat::open(&stack.url, "late-guest", 0).await?;
    let ServerFrame::Welcome { turn: Some(turn), .. } = &guest.welcome else {
        anyhow::bail!("the running turn is not told: {:?}", guest.welcome);
    };
    ensure!(turn.text == "The story so far ", "{:?}", turn.text);
    model.release();
    for chat in [&mut host, &mut guest] {
        let answer = chat.answer().await?.completed()?;
        ensure!(answer.text() == "The story so far and its end.", "{}", answer.text());
    }
    Ok(())
}

async fn stop_in_answer(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("stop-talking");
    model.then(Reply::Paused { said: "Half of a long thought ".into(), rest: "never said".into() });
    model.says("Something shorter.");
    let mut chat = Chat::open(&stack.url, "stop-talking", 0).await?;
    chat.send("stop-talking").await?;
    chat.hears("long thought").await?;
    chat.say(&ClientFrame::Stop).await?;
    let stopped = chat.answer().await?;
    ensure!(stopped.outcome == Outcome::Cancelled, "{:?}", stopped.outcome);
    ensure!(stopped.text().contains("Half of a long thought"), "lost: {:?}", stopped.text());
    model.left(1).await?;

    chat.ask("shorter, please").await?.completed()?;
    let next = model.called(2).await?;
    ensure!(next.holds("Half of a long thought"), "what was said is not in the next request");
    ensure!(!next.holds("never said"), "what was not said is in the next request");
    let expected = "user assistant cancelled user assistant completed";
    ensure!(outline(&chat.records) == expected, "{}", outline(&chat.records));
    Ok(())
}

async fn stop_before_answer(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("stop-thinking");
    model.then(Reply::Silence).says("Back again.");
    let mut chat = Chat::open(&stack.url, "stop-thinking", 0).await?;
    chat.send("stop-thinking").await?;
    model.called(1).await?;
    chat.say(&ClientFrame::Stop).await?;
    let stopped = chat.answer().await?;
    ensure!(stopped.outcome == Outcome::Cancelled, "{:?}", stopped.outcome);
    chat.ask("are you there?").await?.completed()?;
    let expected = "user cancelled user assistant completed";
    ensure!(outline(&chat.records) == expected, "{}", outline(&chat.records));
    Ok(())
}

async fn stop_in_tool(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("stop-working");
    let marker = stack.folder().join("stop-working");
    model.runs(&format!("echo begun >> {}; sleep 61.7301", marker.display()));
    model.says("As you wish.");
    let mut chat = Chat::open(&stack.url, "stop-working", 0).await?;
    chat.send("stop-working").await?;
    wait::until_true("the tool's first line", || marker.exists()).await?;
    chat.say(&ClientFrame::Stop).await?;
    let stopped = chat.answer().await?;
    ensure!(stopped.outcome == Outcome::Cancelled, "{:?}", stopped.outcome);
    let tools = stopped.tools();
    ensure!(tools.len() == 1 && tools[0].status == ToolStatus::Interrupted, "{tools:?}");
    let runs = || stack.processes_mentioning("61.7301");
    wait::until_true("the end of the command", || runs().is_empty()).await?;

    chat.ask("go on").await?.completed()?;
    ensure!(model.called(2).await?.holds("stopped this call"), "the model is not told");
    let expected = "user assistant started finished:interrupted cancelled user assistant completed";
    ensure!(outline(&chat.records) == expected, "{}", outline(&chat.records));
    Ok(())
}

async fn stop_without_turn(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("stop-nothing");
    model.says("Nothing was stopped.");
    let mut chat = Chat::open(&stack.url, "stop-nothing", 0).await?;
    chat.say(&ClientFrame::Stop).await?;
    let answer = chat.ask("stop-nothing").await?.completed()?;
    ensure!(assistant_text(&answer.records) == "Nothing was stopped.", "{}", answer.text());
    let ended = |item: &Item| matches!(item, Item::TurnEnded { .. });
    ensure!(chat.records.iter().filter(|record| ended(&record.item)).count() == 1);
    Ok(())
}
