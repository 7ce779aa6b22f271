//! The workspace outlives everything, the owner's stock `restic` reads and writes it, and an idle
//! agent sleeps whatever alarms ring.

use anyhow::{Context, Result, ensure};
use integration_tests::chat::{Chat, outline};
use integration_tests::http::{self, Answer};
use integration_tests::limits::CONDITION;
use integration_tests::model::{Reply, ScriptedModel};
use integration_tests::restic::{self, Restic};
use integration_tests::stack::{CANARY_KEY, Stack};
use integration_tests::wait;
use protocol::session::{Item, ToolStatus};
use protocol::workspace::LISTING_V2;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::gate::{self, skipped, system};
use crate::scenarios::Scenarios;

/// The token that programs show in these tests.
const TOKEN: &str = "token-for-programs-3141592653";
const MINUTE_MS: i64 = 60_000;
/// What stands for a lock, and its hash, which is its name.
const LOCK: &[u8] = b"a lock";
const LOCK_SHA256: &str = "10ab31347cb7b3a52d838420779a378fead3ce117f0363aa800bfc222132a635";

#[test]
fn keeping() -> gate::Outcome {
    system("keeping", async {
        let model = ScriptedModel::start().await?;
        let mut stack = Stack::start(&[
            ("ANTHROPIC_API_KEY", CANARY_KEY),
            ("ANTHROPIC_BASE_URL", &model.url),
            ("API_TOKEN", TOKEN),
            ("FAULTS", "true"),
            ("MID_TURN_MESSAGES", "queue"),
        ])
        .await?;
        let mut all = Scenarios::default();
        all.check("who may use the repository", the_door(&stack)).await;
        if restic::is_here() {
            all.check("a workspace that restic began", begun_by_restic(&stack, &model)).await;
        } else {
            skipped("keeping::restic", "restic is not installed; `cargo xtask setup` does it");
        }
        all.check("files outlive the container", outlives(&stack, &model)).await;
        if restic::is_here() {
            all.check("restic reads all of it", read_by_restic(&stack)).await;
        }
        all.check("a bucket that fails", failing_bucket(&stack, &model)).await;
        all.check("a bucket that is away at the start", lame(&stack, &model)).await;
        all.check("messages that queue", queued(&stack, &model)).await;
        all.check("an end that nobody saw", ends_unseen(&stack, &model)).await;
        all.check("a day of alarms", sleeps(&stack, &model)).await;
        all.check("old snapshots go", maintained(&stack, &model)).await;
        all.check("everything killed", all_killed(&mut stack, &model)).await;
        all.end(&stack)?;
        model.assert_done()?;
        stack.interrupt().await
    })
}

async fn ask(stack: &Stack, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
    let bearer = format!("Bearer {TOKEN}");
    let mut all = vec![("authorization", bearer.as_str())];
    all.extend(headers);
    http::send(&stack.url, line, &all, body).await
}

async fn the_door(stack: &Stack) -> Result<()> {
    let config = "GET /workspace/main/config";
    for authorization in ["Bearer wrong", "Basic b3duZXI6d3Jvbmc=", ""] {
        let answer =
            http::send(&stack.url, config, &[("authorization", authorization)], b"").await?;
        ensure!(answer.status == 401, "{authorization:?}: {}", answer.status);
        ensure!(answer.head.to_lowercase().contains("www-authenticate"), "{}", answer.head);
        ensure!(!answer.body.contains(TOKEN), "the token is told");
    }
    ensure!(ask(stack, config, &[], b"").await?.status == 404, "there is a repository already");
    let other = ask(stack, "GET /workspace/other/config", &[], b"").await?;
    ensure!(other.status == 404, "another agent: {}", other.status);

    // The hash of "hello".
    let name = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let data = format!("/workspace/main/locks/{name}");
    let wrong = ask(stack, &format!("POST {data}"), &[], b"hellO").await?;
    ensure!(wrong.status == 400, "a wrong hash: {} {}", wrong.status, wrong.body);
    for _ in 0..2 {
        let right = ask(stack, &format!("POST {data}"), &[], b"hello").await?;
        ensure!(right.status == 200, "a right hash: {} {}", right.status, right.body);
    }
    let range = ask(stack, &format!("GET {data}"), &[("range", "bytes=1-3")], b"").await?;
    ensure!(range.status == 206 && range.body.contains("ell"), "{}: {}", range.status, range.body);
    let behind = ask(stack, &format!("GET {data}"), &[("range", "bytes=5-9")], b"").await?;
    ensure!(behind.status == 416, "a range behind the end: {}", behind.status);
    ensure!(ask(stack, &format!("DELETE {data}"), &[], b"").await?.status == 200);
    ensure!(ask(stack, &format!("GET {data}"), &[], b"").await?.status == 404);
    let pack = format!("/workspace/main/data/{name}");
    let delete = ask(stack, &format!("DELETE {pack}"), &[], b"").await?;
    ensure!(delete.status == 403, "a pack was deleted: {}", delete.status);
    Ok(())
}

/// Where a repository is, its configuration and its keys stay as they are.
async fn nothing_is_replaced(stack: &Stack) -> Result<()> {
    let config = "/workspace/main/config";
    let before = ask(stack, &format!("GET {config}"), &[], b"").await?.body;
    let other = ask(stack, &format!("POST {config}"), &[], b"another configuration").await?;
    ensure!(other.status == 403, "another configuration: {}", other.status);
    let keys = ask(stack, "GET /workspace/main/keys/", &[], b"").await?;
    ensure!(keys.head.contains("application/vnd.x.restic.rest.v1"), "{}", keys.head);
    let name = keys.body.split('"').nth(1).context("there is no key")?;
    let v2 = [("accept", LISTING_V2)];
    let sized = ask(stack, "GET /workspace/main/keys/", &v2, b"").await?;
    ensure!(sized.head.contains(LISTING_V2), "{}", sized.head);
    ensure!(sized.body.contains(name) && sized.body.contains("\"size\""), "{}", sized.body);
    for path in [config, &format!("/workspace/main/keys/{name}")] {
        let delete = ask(stack, &format!("DELETE {path}"), &[], b"").await?;
        ensure!(delete.status == 403, "{path} was deleted: {}", delete.status);
    }
    let after = ask(stack, &format!("GET {config}"), &[], b"").await?.body;
    ensure!(after == before, "the configuration has changed");
    Ok(())
}

async fn begun_by_restic(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let restic = Restic::new(stack, TOKEN, "owner-before").await?;
    restic.run(&["init"]).await?;
    nothing_is_replaced(stack).await?;
    let folder = restic.folder.join("workspace");
    std::fs::create_dir_all(folder.join("notes"))?;
    std::fs::write(folder.join("notes/from-home.txt"), "packed at home\n")?;
    restic.run(&["backup", "--host", "main", "workspace"]).await?;

    let model = model.topic("from-home");
    model.runs("cat notes/from-home.txt").says("I have it.");
    let mut chat = Chat::open(&stack.url, "from-home", 0).await?;
    let answer = chat.ask("from-home").await?.completed()?;
    ensure!(answer.tools()[0].output.contains("packed at home"), "{:?}", answer.tools());
    Ok(())
}

async fn outlives(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("outlives");
    model.runs(
        "mkdir -p deep && echo kept > deep/file && ln -s file deep/link && chmod 600 deep/file",
    );
    model.says("Done.");
    let mut chat = Chat::open(&stack.url, "outlives", 0).await?;
    chat.ask("outlives").await?.completed()?;
    let saved = |item: &Item| matches!(item, Item::FilesSaved { snapshot: Some(_), .. });
    ensure!(chat.records.iter().any(|record| saved(&record.item)), "{:?}", chat.records);

    stack.kill_runtime().await?;
    model.runs("cat deep/link && stat -c %a deep/file").says("Still there.");
    let answer = chat.ask("look").await?.completed()?;
    ensure!(answer.tools()[0].output.starts_with("kept\n600\n"), "{:?}", answer.tools());
    Ok(())
}

async fn read_by_restic(stack: &Stack) -> Result<()> {
    let restic = Restic::new(stack, TOKEN, "owner-after").await?;
    restic.run(&["check", "--read-data"]).await?;
    let snapshots: Value = serde_json::from_str(&restic.run(&["snapshots", "--json"]).await?)?;
    let snapshots = snapshots.as_array().context("no list of snapshots")?;
    ensure!(snapshots.len() >= 2, "{snapshots:?}");
    for snapshot in snapshots {
        ensure!(snapshot["hostname"] == "main", "{snapshot}");
    }
    let last = snapshots.last().context("no snapshot")?;
    ensure!(last["paths"] == json!(["/workspace"]), "{last}");
    ensure!(last["tags"].to_string().contains("session:outlives"), "{last}");
    restic.run(&["restore", "latest", "--target", "restored"]).await?;
    let file = restic.folder.join("restored/workspace/deep/link");
    ensure!(std::fs::read_to_string(&file)? == "kept\n", "{}", file.display());
    Ok(())
}

async fn order(stack: &Stack, faults: &Value) -> Result<()> {
    let answer = http::post_json(&stack.url, "/faults", faults).await?;
    ensure!(answer.status == 204, "{}: {}", answer.status, answer.body);
    Ok(())
}

async fn failing_bucket(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("no-bucket");
    let mut chat = Chat::open(&stack.url, "no-bucket", 0).await?;
    model.says("Awake.");
    chat.ask("no-bucket").await?.completed()?;
    order(stack, &json!({ "r2": { "fail_per_mille": 1000 } })).await?;
    model.runs("echo unsaved > unsaved.txt").says("Written.");
    chat.ask("write").await?.completed()?;
    let unsaved = |item: &Item| matches!(item, Item::FilesUnsaved { .. });
    ensure!(chat.records.iter().any(|record| unsaved(&record.item)), "{:?}", chat.records);

    // Answers are lost, calls fail now and then: what is said to be saved is saved all the same.
    let faults =
        json!({ "r2": { "fail_per_mille": 150, "lose_answer_per_mille": 250, "seed": 7 } });
    order(stack, &faults).await?;
    model.says("Still here.");
    chat.ask("go on").await?.completed()?;
    order(stack, &json!({})).await?;
    let last =
        chat.records.iter().rev().find(|record| {
            matches!(record.item, Item::FilesSaved { .. } | Item::FilesUnsaved { .. })
        });
    let last = last.context("nothing was saved")?;
    ensure!(matches!(last.item, Item::FilesSaved { .. }), "{last:?}");
    stack.kill_runtime().await?;
    model.runs("cat unsaved.txt").says("It is there.");
    let answer = chat.ask("look").await?.completed()?;
    ensure!(answer.tools()[0].output.starts_with("unsaved\n"), "{:?}", answer.tools());
    Ok(())
}

/// A life of the container that could not restore its files was kept until it was idle for long.
async fn lame(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("lame-life");
    stack.kill_runtime().await?;
    order(stack, &json!({ "r2": { "fail_per_mille": 1000 } })).await?;
    model.runs("echo worse > unsaved.txt").says("I cannot.");
    let mut chat = Chat::open(&stack.url, "lame-life", 0).await?;
    let answer = chat.ask("lame-life").await?.completed()?;
    ensure!(answer.tools()[0].status == ToolStatus::Refused, "{:?}", answer.tools());
    order(stack, &json!({})).await?;
    // At once, with no time to become idle.
    model.runs("cat unsaved.txt").says("Now I can.");
    let answer = chat.ask("again").await?.completed()?;
    ensure!(answer.tools()[0].output.starts_with("unsaved\n"), "{:?}", answer.tools());
    Ok(())
}

async fn queued(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("in-line");
    model.then(Reply::Held("First.".into())).says("Second and third.");
    let mut chat = Chat::open(&stack.url, "in-line", 0).await?;
    chat.send("in-line").await?;
    model.called(1).await?;
    for text in ["message two", "message three"] {
        let id = chat.send(text).await?;
        chat.accepted(&id).await?;
    }
    model.release();
    chat.answer().await?.completed()?;
    chat.answer().await?.completed()?;
    let expected = "user assistant completed user user assistant completed";
    ensure!(outline(&chat.records) == expected, "{}", outline(&chat.records));
    Ok(())
}

/// A container that ended with its object stayed awake in the books, and the agent was never tidied.
async fn ends_unseen(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("unseen");
    model.says("Here.");
    let mut chat = Chat::open(&stack.url, "unseen", 0).await?;
    chat.ask("unseen").await?.completed()?;
    order(stack, &json!({ "reset": true })).await?;
    // The next object has not looked at the container yet.
    let status = Chat::open(&stack.url, "unseen", 0).await?.command("/status").await?;
    ensure!(status.contains("awake since"), "{status}");
    if stack.runtime_now()?.is_some() {
        stack.kill_runtime().await?;
    }
    wait::until_true("its end", || stack.runtime_now().is_ok_and(|now| now.is_none())).await?;
    order(stack, &json!({ "ring": 1 })).await?;
    let asleep = async {
        loop {
            let status = Chat::open(&stack.url, "unseen", 0).await?.command("/status").await?;
            if status.contains("asleep") {
                return anyhow::Ok(());
            }
        }
    };
    timeout(CONDITION, asleep).await.context("waiting for the books to say that it sleeps")?
}

async fn sleeps(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("good-night");
    model.says("Good night.");
    let mut chat = Chat::open(&stack.url, "good-night", 0).await?;
    chat.ask("good-night").await?.completed()?;
    let awake = stack.runtime().await?;
    order(stack, &json!({ "clock_offset_ms": 9 * MINUTE_MS, "ring": 1 })).await?;
    ensure!(stack.runtime_now()? == Some(awake), "it sleeps too early");
    order(stack, &json!({ "clock_offset_ms": 11 * MINUTE_MS, "ring": 1 })).await?;
    wait::until_true("sleep", || stack.runtime_now().is_ok_and(|now| now.is_none())).await?;
    for minutes in (20..23 * 60).step_by(10) {
        order(stack, &json!({ "clock_offset_ms": minutes * MINUTE_MS, "ring": 2 })).await?;
        ensure!(stack.runtime_now()?.is_none(), "an alarm woke it after {minutes} minutes");
    }
    Ok(())
}

async fn maintained(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let tidy = |stack: &Stack| stack.tails().contains("the workspace's repository is tidy");
    ensure!(!tidy(stack), "it was tidied before its time");
    // A client of the owner's is at work: it is tidied later.
    let lock = format!("/workspace/main/locks/{LOCK_SHA256}");
    let locked = ask(stack, &format!("POST {lock}"), &[], LOCK).await?;
    ensure!(locked.status == 200, "a lock: {} {}", locked.status, locked.body);
    order(stack, &json!({ "clock_offset_ms": 25 * 60 * MINUTE_MS, "ring": 2 })).await?;
    let postponed = || stack.tails().contains("A restic of the owner's is at work");
    wait::until_true("respect for the owner's lock", postponed).await?;
    ensure!(!tidy(stack), "it was tidied under the owner's hands");
    ask(stack, &format!("DELETE {lock}"), &[], b"").await?;
    // While it is tidied no client of the owner's begins. (Another configuration never goes in.)
    let later = 27 * 60 * MINUTE_MS;
    let slow =
        |rings: u32| json!({ "clock_offset_ms": later, "ring": rings, "r2": { "delay_ms": 50 } });
    order(stack, &slow(2)).await?;
    let refused = async {
        loop {
            let config = ask(stack, "POST /workspace/main/config", &[], b"another").await?;
            if config.status == 429 {
                return anyhow::Ok(config);
            }
            ensure!(config.status == 403 && !tidy(stack), "{}: {}", config.status, config.body);
        }
    };
    let refused = timeout(CONDITION, refused).await.context("waiting for the maintenance")??;
    ensure!(refused.body.contains("being tidied"), "{}", refused.body);
    // An alarm for something else does not end it.
    order(stack, &slow(1)).await?;
    wait::until_true("a tidy repository", || tidy(stack)).await?;
    order(stack, &json!({ "clock_offset_ms": later })).await?;
    wait::until_true("sleep", || stack.runtime_now().is_ok_and(|now| now.is_none())).await?;
    if restic::is_here() {
        let restic = Restic::new(stack, TOKEN, "owner-later").await?;
        restic.run(&["check", "--read-data"]).await?;
    }
    let model = model.topic("next-day");
    model.runs("cat deep/file").says("Good morning.");
    let mut chat = Chat::open(&stack.url, "next-day", 0).await?;
    let answer = chat.ask("next-day").await?.completed()?;
    ensure!(answer.tools()[0].output.starts_with("kept\n"), "{:?}", answer.tools());
    order(stack, &json!({})).await
}

async fn all_killed(stack: &mut Stack, model: &ScriptedModel) -> Result<()> {
    stack.kill().await?;
    stack.start_again().await?;
    let model = model.topic("after-all");
    model.runs("cat deep/file unsaved.txt").says("All there.");
    let mut chat = Chat::open(&stack.url, "after-all", 0).await?;
    let answer = chat.ask("after-all").await?.completed()?;
    ensure!(answer.tools()[0].output.starts_with("kept\nunsaved\n"), "{:?}", answer.tools());
    Ok(())
}
