//! The workspace outlives the container, and what did not is said.

use protocol::session::{Item, Outcome};
use protocol::workspace::{Expected, WorkspaceEvent};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::answers::{asks, bash, call, says};
use crate::world::{World, brief_log};

fn write(id: &str, path: &str, content: &str) -> serde_json::Value {
    call(id, "write", &json!({ "path": path, "content": content }))
}

fn kinds(world: &World, session: &str) -> Vec<&'static str> {
    let items = world.edge.log(session).into_iter().map(|record| record.item);
    items
        .map(|item| match item {
            Item::User(_) => "user",
            Item::Assistant(_) => "assistant",
            Item::ToolStarted { .. } => "started",
            Item::ToolFinished(_) => "finished",
            Item::FilesSaved { snapshot: Some(_), .. } => "saved",
            Item::FilesSaved { snapshot: None, .. } => "unchanged",
            Item::FilesLost { .. } => "lost",
            Item::FilesUnsaved { .. } => "unsaved",
            Item::TurnEnded { .. } => "ended",
        })
        .collect()
}

#[tokio::test]
async fn what_a_finished_turn_wrote_is_there_in_the_next_life() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([
        asks(&[write("c1", "notes/a.txt", "kept"), write("c2", "AGENTS.md", "Speak like a crab.")]),
        says("written"),
        says("Klack."),
    ]);
    assert_eq!(life.outcome(&world.edge.say("s", "t1", "go")).await, Outcome::Completed);
    let order = "user assistant started finished started finished assistant saved ended";
    assert_eq!(kinds(&world, "s").join(" "), order);
    life.kill().await;
    world.wipe();

    let life = world.live().await;
    assert_eq!(world.file("notes/a.txt"), "kept");
    assert_eq!(life.outcome(&world.edge.say("s", "t2", "and now?")).await, Outcome::Completed);
    let asked = world.edge.questions().pop().unwrap().1["system"].to_string();
    assert!(asked.contains("Speak like a crab."), "{asked}");
    assert!(!kinds(&world, "s").contains(&"lost"));
}

#[tokio::test]
async fn a_turn_that_changed_nothing_is_not_saved() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([
        asks(&[bash("c1", "true")]),
        says("one"),
        asks(&[bash("c2", "ls")]),
        says("two"),
    ]);
    for turn in ["t1", "t2"] {
        assert_eq!(life.outcome(&world.edge.say("s", turn, "go")).await, Outcome::Completed);
    }
    assert_eq!(kinds(&world, "s").iter().filter(|kind| **kind == "unchanged").count(), 1);
    assert_eq!(world.edge.store(|store| store.snapshots().len()), 1);
}

#[tokio::test]
async fn what_a_killed_container_took_with_it_is_told_and_not_run_on() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([asks(&[
        write("c1", "a.txt", "lost"),
        bash("c2", "exec sleep 300"),
        bash("c3", "cat a.txt"),
    ])]);
    let mut follower = life.turn(&world.edge.say("s", "t", "go")).await;
    follower.until_head(5).await;
    life.kill().await;
    world.wipe();

    let life = world.live().await;
    world.edge.script([asks(&[write("c4", "a.txt", "again")]), says("done")]);
    assert_eq!(life.outcome(&world.edge.request("s", "t")).await, Outcome::Completed);
    let log = brief_log(&world.edge, "s");
    assert_eq!(log[5..8], ["finished c2 Interrupted", "finished c3 Refused", "files lost 1"]);
    let asked = world.edge.questions()[1].1["messages"].to_string();
    assert!(asked.contains("The container was lost") && asked.contains("a.txt"), "{asked}");
    assert_eq!(world.file("a.txt"), "again");
    // It is told once.
    world.edge.script([says("fine")]);
    life.kill().await;
    world.wipe();
    let life = world.live().await;
    assert_eq!(life.outcome(&world.edge.say("s", "t2", "and?")).await, Outcome::Completed);
    assert_eq!(kinds(&world, "s").iter().filter(|kind| **kind == "lost").count(), 1);
}

#[tokio::test]
async fn a_turn_whose_files_cannot_be_saved_says_so_and_the_next_one_saves_them() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([asks(&[write("c1", "a.txt", "x")]), says("written"), says("fine")]);
    world.edge.store(|store| store.refuse_writes = usize::MAX);
    assert_eq!(life.outcome(&world.edge.say("s", "t1", "go")).await, Outcome::Completed);
    assert_eq!(kinds(&world, "s")[5..], ["unsaved", "ended"]);
    world.edge.store(|store| store.refuse_writes = 0);
    assert_eq!(life.outcome(&world.edge.say("s", "t2", "more")).await, Outcome::Completed);
    assert_eq!(kinds(&world, "s")[7..], ["user", "assistant", "saved", "ended"]);
}

#[tokio::test]
async fn what_outlived_its_turn_is_saved_when_the_container_is_put_to_sleep() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([asks(&[bash("c1", "true")]), says("begun")]);
    assert_eq!(life.outcome(&world.edge.say("s", "t1", "go")).await, Outcome::Completed);
    std::fs::write(world.path().join("later.txt"), "by a background job").unwrap();
    kill_process(Pid::from_raw(life.pid().cast_signed()).unwrap(), Signal::TERM).unwrap();
    let (status, log) = life.end().await;
    assert!(status.success(), "{log}");
    world.wipe();
    let _life = world.live().await;
    assert_eq!(world.file("later.txt"), "by a background job");
}

#[tokio::test]
async fn a_snapshot_that_is_gone_blocks_writing_until_the_owner_gives_it_up() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([asks(&[write("c1", "a.txt", "x")]), says("written")]);
    assert_eq!(life.outcome(&world.edge.say("s", "t1", "go")).await, Outcome::Completed);
    life.kill().await;
    world.wipe();
    let id = world.edge.store(|store| {
        let id = store.snapshots().pop().unwrap();
        store.lose();
        id
    });

    let life = world.live_unopened(&[]).await;
    let events = life.open_with(Expected::Snapshot { id }).await;
    let Some(WorkspaceEvent::Failed { problem }) = events.last() else { panic!("{events:?}") };
    assert!(problem.remedy.contains("start-empty"), "{problem}");
    world.edge.script([asks(&[write("c2", "b.txt", "y"), bash("c3", "ls")]), says("I cannot")]);
    assert_eq!(life.outcome(&world.edge.say("s", "t2", "again")).await, Outcome::Completed);
    let log = brief_log(&world.edge, "s");
    assert!(log.contains(&"finished c2 Refused".into()), "{log:?}");
    assert!(!world.path().join("b.txt").exists());
    assert!(world.edge.store(|store| store.snapshots().is_empty()));
    let asked = world.edge.questions()[2].1["system"].to_string();
    assert!(asked.contains("could not be read"), "{asked}");
    life.kill().await;

    let life = world.live_unopened(&[]).await;
    let events = life.open_with(Expected::StartEmpty).await;
    assert!(matches!(events.last(), Some(WorkspaceEvent::Restored { .. })), "{events:?}");
    world.edge.script([asks(&[write("c4", "b.txt", "y")]), says("fine")]);
    assert_eq!(life.outcome(&world.edge.say("s", "t3", "now")).await, Outcome::Completed);
    assert_eq!(world.edge.store(|store| store.snapshots().len()), 1);
}
