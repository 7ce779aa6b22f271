//! Killing parts of the stack at bad moments: nothing accepted is lost, nothing happens twice.

use anyhow::{Context, Result, ensure};
use integration_tests::chat::{Chat, outline};
use integration_tests::model::{Reply, ScriptedModel};
use integration_tests::process::{Signal, alive, send};
use integration_tests::stack::Stack;
use integration_tests::wait;
use protocol::ProblemCode;
use protocol::chat::{Phase, ServerFrame};
use protocol::session::{Item, ToolStatus};

use crate::gate::{self, system};
use crate::scenarios::Scenarios;

#[test]
fn deaths() -> gate::Outcome {
    system("deaths", async {
        let model = ScriptedModel::start().await?;
        let mut stack = Stack::with(&model).await?;
        let mut all = Scenarios::default();
        all.check("runtime killed between messages", killed_between(&stack, &model)).await;
        all.check("runtime killed in an answer", killed_in_answer(&stack, &model)).await;
        all.check("runtime killed in a tool", killed_in_tool(&stack, &model)).await;
        all.check("runtime killed again and again", killed_for_good(&stack, &model)).await;
        all.check("a container that does not start", unstartable(&stack, &model)).await;
        all.check("a leftover of a former life", leftover(&stack, &model)).await;
        all.check("a frozen runtime", frozen(&stack, &model)).await;
        all.check("everything killed", everything_killed(&mut stack, &model)).await;
        all.end(&stack)?;
        model.assert_done()?;
        stack.interrupt().await
    })
}

async fn killed_between(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("memory-test");
    model.says("Noted.").says("Still here.").says("It was the tide.");
    let mut chat = Chat::open(&stack.url, "memory-test", 0).await?;
    chat.ask("memory-test: the word is tide").await?.completed()?;
    let first_life = stack.runtime().await?;
    chat.ask("a second message").await?.completed()?;
    ensure!(stack.runtime().await? == first_life, "the runtime does not stay");
    stack.kill_runtime().await?;
    chat.ask("what was the word?").await?.completed()?;
    ensure!(stack.runtime().await? != first_life);
    let third = model.called(3).await?;
    ensure!(third.holds("the word is tide"), "the first message is forgotten: {}", third.body);
    ensure!(third.holds("a second message") && third.holds("Still here."), "{}", third.body);
    let expected = "user assistant completed ".repeat(3);
    ensure!(outline(&chat.records) == expected.trim(), "{}", outline(&chat.records));
    Ok(())
}

async fn killed_in_answer(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("answer-cut");
    model.then(Reply::Paused { said: "A doomed beginning ".into(), rest: "and end.".into() });
    model.says("A new answer.");
    let mut chat = Chat::open(&stack.url, "answer-cut", 0).await?;
    chat.send("answer-cut").await?;
    chat.hears("doomed").await?;
    stack.kill_runtime().await?;
    let (mut voided, mut recovering) = (false, false);
    let outcome = chat
        .until(|frame| {
            voided |= matches!(frame, ServerFrame::Restarted { .. });
            let phase = Phase::Recovering;
            recovering |= matches!(frame, ServerFrame::Progress { phase: p, .. } if p == phase);
            match frame {
                ServerFrame::Ended { outcome, .. } => Some(outcome),
                _ => None,
            }
        })
        .await?;
    ensure!(outcome == protocol::session::Outcome::Completed, "{outcome:?}");
    ensure!(recovering, "the page was not told of the recovery");
    ensure!(voided, "the page was not told that the first words are void");
    ensure!(outline(&chat.records) == "user assistant completed", "{}", outline(&chat.records));
    ensure!(!model.called(2).await?.holds("doomed"), "a half answer was used");
    Ok(())
}

async fn killed_in_tool(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("tool-cut");
    let marker = stack.folder().join("tool-cut");
    model.runs(&format!("echo begun >> {0}; sleep 62.7302; echo over >> {0}", marker.display()));
    model.says("It was interrupted, I see.");
    let mut chat = Chat::open(&stack.url, "tool-cut", 0).await?;
    chat.send("tool-cut").await?;
    wait::until_true("the tool's first line", || marker.exists()).await?;
    stack.kill_runtime().await?;
    let answer = chat.answer().await?.completed()?;
    let tools = answer.tools();
    ensure!(tools.len() == 1 && tools[0].status == ToolStatus::Interrupted, "{tools:?}");
    ensure!(model.called(2).await?.holds("Interrupted"), "the model is not told");
    let expected = "user assistant started finished:interrupted assistant completed";
    ensure!(outline(&chat.records) == expected, "{}", outline(&chat.records));
    let runs = || stack.processes_mentioning("62.7302");
    wait::until_true("the end of the command", || runs().is_empty()).await?;
    let lines = std::fs::read_to_string(&marker)?;
    ensure!(lines == "begun\n", "the command ran again or to its end: {lines:?}");
    Ok(())
}

async fn killed_for_good(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("poison-pill");
    let mut chat = Chat::open(&stack.url, "poison-pill", 0).await?;
    for _ in 0..3 {
        model.then(Reply::Held("never".into()));
    }
    chat.send("poison-pill").await?;
    for life in 1..=3 {
        model.called(life).await?;
        stack.kill_runtime().await?;
    }
    let answer = chat.answer().await?;
    let problem = answer.problem()?;
    ensure!(problem.code == ProblemCode::ContainerFailed, "{problem:?}");
    ensure!(!problem.remedy.is_empty(), "{problem:?}");
    model.says("Well again.");
    chat.ask("and now?").await?.completed()?;
    let expected = "user failed user assistant completed";
    ensure!(outline(&chat.records) == expected, "{}", outline(&chat.records));
    Ok(())
}

/// After the third failure the person hears why, and the next message tries again.
async fn unstartable(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("no-ground");
    stack.kill_runtime().await?;
    // Where containers' disks are to be, there is something else.
    let (disks, aside) = (stack.folder().join("state/work"), stack.folder().join("aside"));
    std::fs::rename(&disks, &aside)?;
    std::fs::write(&disks, "in the way")?;
    let mut chat = Chat::open(&stack.url, "no-ground", 0).await?;
    let answer = chat.ask("no-ground").await?;
    let problem = answer.problem()?;
    ensure!(problem.code == ProblemCode::ContainerFailed, "{problem:?}");
    ensure!(!problem.message.is_empty() && !problem.remedy.is_empty(), "{problem:?}");
    println!("        the person hears: {problem}");
    chat.send("/status").await?;
    let status = chat.until(|frame| match frame {
        ServerFrame::Notice { text, .. } => Some(text),
        _ => None,
    });
    let status = status.await?;
    ensure!(status.contains("failed 3 times in a row"), "{status}");
    std::fs::remove_file(&disks)?;
    std::fs::rename(&aside, &disks)?;
    model.says("On firm ground.");
    let again = chat.ask("again").await?.completed()?;
    ensure!(again.text() == "On firm ground.", "{}", again.text());
    Ok(())
}

/// A program that escaped the container's end speaks for a life that is over.
async fn leftover(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("ghost-writer");
    let folder = stack.folder();
    let (go, told) = (folder.join("ghost-go"), folder.join("ghost-told"));
    let script = format!(
        r#"cat > {ghost} <<'END'
for _ in $(seq 1500); do
  if [ -e {go} ]; then
    ask() {{ curl -sS -m 10 -o {told}.body -w '%{{http_code}}\n' "$@" >> {told}.part 2>&1; }}
    ask http://edge.internal/session/ghost-writer
    ask -I http://edge.internal/workspace/config
    ask http://edge.internal/workspace/keys/
    ask --data-binary lock http://edge.internal/workspace/locks/$(printf lock | sha256sum | cut -c1-64)
    ask -X DELETE http://edge.internal/workspace/config
    mv {told}.part {told}
    exit
  fi
  sleep 0.05
done
END
setsid nohup bash {ghost} > /dev/null 2>&1 &
echo left behind"#,
        ghost = folder.join("ghost.sh").display(),
        go = go.display(),
        told = told.display(),
    );
    model.runs(&script).says("It runs.").says("A new life.");
    let mut chat = Chat::open(&stack.url, "ghost-writer", 0).await?;
    chat.ask("ghost-writer").await?.completed()?;
    stack.kill_runtime().await?;
    chat.ask("go on in a new life").await?.completed()?;
    std::fs::write(&go, "go")?;
    let is_alive = || !stack.processes_mentioning("ghost.sh").is_empty();
    wait::until_true("the leftover's end", || told.exists() || !is_alive()).await?;
    if told.exists() {
        let heard = std::fs::read_to_string(&told)?;
        ensure!(
            !heard.lines().any(|line| line.starts_with('2')),
            "a former life was served: {heard}"
        );
        println!("        the leftover heard: {}", heard.replace('\n', " ").trim());
    } else {
        println!("        the leftover died with its container");
    }
    Ok(())
}

/// A runtime that neither answers nor ends must not hold a message up for ever.
async fn frozen(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("deep-frost");
    model.says("Warm.").says("Warm again.");
    let mut chat = Chat::open(&stack.url, "deep-frost", 0).await?;
    chat.ask("deep-frost").await?.completed()?;
    let pid = stack.runtime().await?;
    send(pid, Signal::Stop)?;
    let answer = chat.ask("are you there?").await;
    // Let it go on before the judgement, so that the next scenario has a stack that works.
    if alive(pid) {
        send(pid, Signal::Continue)?;
    }
    answer.context("a message to a frozen runtime is not answered")?.completed()?;
    wait::until_true("the frozen runtime's end", || !alive(pid)).await?;
    let expected = "user assistant completed user assistant completed";
    ensure!(outline(&chat.records) == expected, "{}", outline(&chat.records));
    Ok(())
}

/// The whole stack killed with one session idle, one in an answer, one in a tool and one whose
/// message was accepted that instant.
async fn everything_killed(stack: &mut Stack, model: &ScriptedModel) -> Result<()> {
    let url = stack.url.clone();
    let idle = model.topic("idle-here");
    let held = model.topic("held-here");
    let tool = model.topic("tool-here");
    let fresh = model.topic("fresh-here");
    idle.says("Remembered.").says("It was amber.");
    held.then(Reply::Held("never".into())).says("Finished after all.");
    let marker = stack.folder().join("tool-here");
    tool.runs(&format!("echo begun >> {0}; sleep 63.7303; echo over >> {0}", marker.display()));
    tool.says("Interrupted, I see.");
    fresh.says("Heard.").says("Heard.");

    let mut chat = Chat::open(&url, "idle-here", 0).await?;
    chat.ask("idle-here: the colour is amber").await?.completed()?;
    Chat::open(&url, "held-here", 0).await?.send("held-here").await?;
    held.called(1).await?;
    Chat::open(&url, "tool-here", 0).await?.send("tool-here").await?;
    wait::until_true("the tool's first line", || marker.exists()).await?;
    let mut last = Chat::open(&url, "fresh-here", 0).await?;
    let id = last.send("fresh-here").await?;
    last.accepted(&id).await?;
    stack.kill().await?;
    drop((chat, last));
    stack.start_again().await?;
    ensure!(stack.url == url, "another port after the restart");

    // Nobody opens a page: the alarm alone finds what is not done.
    held.called(2).await.context("the alarm did not take the turn up")?;
    tool.called(2).await.context("the alarm did not take the turn up")?;

    let mut chat = Chat::open(&url, "idle-here", 0).await?;
    ensure!(outline(&chat.records) == "user assistant completed", "{}", outline(&chat.records));
    chat.ask("which colour?").await?.completed()?;
    ensure!(idle.called(2).await?.holds("the colour is amber"), "forgotten");

    let log = settled(&url, "held-here").await?;
    ensure!(log == "user assistant completed", "{log}");
    let log = settled(&url, "tool-here").await?;
    ensure!(log == "user assistant started finished:interrupted assistant completed", "{log}");
    ensure!(std::fs::read_to_string(&marker)? == "begun\n", "the command ran again");
    let log = settled(&url, "fresh-here").await?;
    ensure!(log == "user assistant completed", "{log}");
    // The first life may have asked before it died; what was accepted is answered once.
    let mut chat = Chat::open(&url, "fresh-here", 0).await?;
    chat.send_as(&id, "fresh-here").await?;
    chat.accepted(&id).await?;
    if fresh.calls().len() == 1 {
        chat.ask("once more").await?.completed()?;
    }
    Ok(())
}

/// The outline of a session's log once its turn is over.
async fn settled(url: &str, session: &str) -> Result<String> {
    let mut chat = Chat::open(url, session, 0).await?;
    let over =
        |chat: &Chat| matches!(chat.records.last().map(|r| &r.item), Some(Item::TurnEnded { .. }));
    while !over(&chat) {
        chat.frame().await?;
    }
    Ok(outline(&chat.records))
}
