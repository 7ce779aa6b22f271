//! A turn goes on in another process wherever the first one died.

use std::collections::HashMap;

use protocol::session::{Item, Outcome, ToolStatus};
use protocol::turn::TurnRequest;

use crate::answers::{asks, bash, says};
use crate::fake_edge::{Answer, Fault};
use crate::tools::finished;
use crate::world::{Life, World, brief_log, end_process, patiently};

fn script() -> [Answer; 3] {
    [
        asks(&[bash("c1", "echo 1 >> ran"), bash("c2", "echo 2 >> ran")]),
        asks(&[bash("c3", "echo 3 >> ran")]),
        says("Done"),
    ]
}

/// Starts a turn whose nth append hangs, and kills the process there.
async fn die_at(world: &World, life: Life, request: &TurnRequest, nth: usize, fault: Fault) {
    world.edge.fail_append(nth, fault);
    let follower = life.turn(request).await;
    patiently(world.edge.hung.notified()).await;
    life.kill().await;
    drop(follower);
}

/// Each call was started at most once and ended at most once, and the turn has one end, its last.
#[track_caller]
fn assert_sound(world: &World, session: &str) {
    let mut counts: HashMap<(String, bool), usize> = HashMap::new();
    let log = world.edge.log(session);
    for record in &log {
        match &record.item {
            Item::ToolStarted { call, .. } => {
                *counts.entry((call.to_string(), false)).or_default() += 1;
            }
            Item::ToolFinished(end) => {
                *counts.entry((end.call.to_string(), true)).or_default() += 1;
            }
            _ => {}
        }
    }
    assert!(counts.values().all(|count| *count == 1), "{:#?}", brief_log(&world.edge, session));
    let is_end = |item: &Item| matches!(item, Item::TurnEnded { .. });
    assert_eq!(log.iter().filter(|record| is_end(&record.item)).count(), 1);
    assert!(is_end(&log.last().unwrap().item));
}

/// Kills at the nth append, before or after it is written, and lets a second life finish.
async fn check(nth: usize, fault: Fault) {
    let world = World::new().await;
    world.edge.script(script());
    let request = world.edge.say("s", "t", "go");
    let life = world.live().await;
    die_at(&world, life, &request, nth, fault).await;

    // An answer that was not written is asked for again.
    let asked = world.edge.questions().len();
    let answers = brief_log(&world.edge, "s").iter().filter(|l| l.starts_with("assistant")).count();
    if asked > answers {
        let [_, _, last] = script();
        let missing = script().into_iter().nth(asked - 1).unwrap_or(last);
        world.edge.script_first(missing);
    }
    let life = world.live().await;
    let outcome = life.outcome(&world.edge.request("s", "t")).await;
    assert_eq!(outcome, Outcome::Completed, "{nth} {fault:?}");
    assert_sound(&world, "s");
    let log = brief_log(&world.edge, "s");
    let interrupted = log.iter().filter(|line| line.contains("Interrupted")).count();
    // A call is interrupted when its start was written and its end was not.
    let expected =
        usize::from(matches!((nth, fault), (1..=4, Fault::HangAfter) | (2..=5, Fault::HangBefore)));
    let without_tool = matches!((nth, fault), (3, Fault::HangAfter) | (4, Fault::HangBefore));
    assert_eq!(interrupted, if without_tool { 0 } else { expected }, "{nth} {fault:?} {log:#?}");
    // Nothing ran twice.
    let ran = world.file("ran");
    let mut lines: Vec<&str> = ran.lines().collect();
    let count = lines.len();
    lines.dedup();
    assert_eq!(lines.len(), count, "{nth} {fault:?} {ran}");
}

#[tokio::test]
async fn killed_before_an_append_is_written() {
    for nth in 1..=6 {
        check(nth, Fault::HangBefore).await;
    }
}

#[tokio::test]
async fn killed_after_an_append_is_written() {
    for nth in 1..=5 {
        check(nth, Fault::HangAfter).await;
    }
}

#[tokio::test]
async fn killed_in_three_lives_one_after_the_other() {
    for first in 1..=3 {
        for second in 1..=3 {
            let world = World::new().await;
            // Enough answers for the worst case; each life may ask anew.
            for _ in 0..3 {
                world.edge.script([asks(&[bash("c", "echo x >> ran")])]);
            }
            world.edge.script((0..6).map(|_| says("Done")));
            let request = world.edge.say("s", "t", "go");
            die_at(&world, world.live().await, &request, first, Fault::HangAfter).await;
            let request = world.edge.request("s", "t");
            if !brief_log(&world.edge, "s").iter().any(|line| line.starts_with("ended")) {
                die_at(&world, world.live().await, &request, second, Fault::HangBefore).await;
            }
            let life = world.live().await;
            let outcome = life.outcome(&world.edge.request("s", "t")).await;
            assert_eq!(outcome, Outcome::Completed, "{first} {second}");
            assert_sound(&world, "s");
        }
    }
}

#[tokio::test]
async fn killed_inside_a_tool() {
    let world = World::new().await;
    world.edge.script([asks(&[bash("c1", "echo $$ > pid; exec sleep 300")]), says("I see")]);
    let request = world.edge.say("s", "t", "go");
    let life = world.live().await;
    let mut follower = life.turn(&request).await;
    follower.until_head(3).await;
    world.await_file("pid").await;
    life.kill().await;
    // In a container the command would have died with it.
    end_process(&world.file("pid"));

    let life = world.live().await;
    assert_eq!(life.outcome(&world.edge.request("s", "t")).await, Outcome::Completed);
    let end = &finished(&world, "s")[0];
    assert_eq!(end.status, ToolStatus::Interrupted);
    assert!(end.output.contains("may or may not have taken effect"));
    let told = world.edge.questions()[1].1["messages"][2]["content"][0].clone();
    assert_eq!(told["is_error"], true);
}

#[tokio::test]
async fn a_turn_that_has_ended_is_not_asked_again() {
    let world = World::new().await;
    world.edge.script([says("Done")]);
    let request = world.edge.say("s", "t", "go");
    let life = world.live().await;
    assert_eq!(life.outcome(&request).await, Outcome::Completed);
    life.kill().await;
    let life = world.live().await;
    assert_eq!(life.outcome(&world.edge.request("s", "t")).await, Outcome::Completed);
    assert_eq!((world.edge.questions().len(), world.edge.log("s").len()), (1, 3));
}
