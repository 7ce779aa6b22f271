//! Stopping a turn: what was said stays, what runs is killed, what is finished stands.

use protocol::session::{Block, Item, Outcome, Stop, ToolStatus};
use reqwest::StatusCode;

use crate::answers::{asks, bash, beginning, says, text};
use crate::fake_edge::Answer;
use crate::tools::{finished, gone};
use crate::world::{World, brief_log, outcome};

#[tokio::test]
async fn in_the_middle_of_an_answer_what_was_said_is_kept() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([Answer::ThenSilence(beginning(&[text("Once upon a")])), says("fine")]);
    let mut follower = life.turn(&world.edge.say("s", "t", "a story")).await;
    follower.until_text("a").await;
    assert_eq!(life.cancel("t").await, StatusCode::ACCEPTED);
    assert_eq!(life.cancel("t").await, StatusCode::ACCEPTED);
    assert_eq!(outcome(&follower.all().await), Outcome::Cancelled);
    let Item::Assistant(message) = &world.edge.log("s")[1].item else { panic!("nothing kept") };
    assert_eq!(message.stop, Stop::Cancelled);
    assert_eq!(message.blocks, [Block::Text { text: "Once upon a".into() }]);
    assert_eq!(world.edge.appends().len(), 1);

    assert_eq!(life.cancel("t").await, StatusCode::ACCEPTED);
    assert_eq!(life.outcome(&world.edge.say("s", "t2", "go on")).await, Outcome::Completed);
    let last = world.edge.questions()[1].1["messages"][2].to_string();
    assert!(last.contains("stopped the turn") && last.contains("go on"), "{last}");
}

#[tokio::test]
async fn before_anything_was_said() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([Answer::Silence]);
    let follower = life.turn(&world.edge.say("s", "t", "a story")).await;
    world.edge.hung.notified().await;
    assert_eq!(life.cancel("t").await, StatusCode::ACCEPTED);
    assert_eq!(outcome(&follower.all().await), Outcome::Cancelled);
    assert_eq!(brief_log(&world.edge, "s"), ["user a story", "ended Cancelled"]);
}

#[tokio::test]
async fn inside_a_tool_all_that_it_started_is_killed() {
    let world = World::new().await;
    let life = world.live().await;
    let command = "sleep 300 & echo $! > child; wait";
    world.edge.script([asks(&[bash("c1", command), bash("c2", "echo never > never")])]);
    let follower = life.turn(&world.edge.say("s", "t", "go")).await;
    world.await_file("child").await;
    assert_eq!(life.cancel("t").await, StatusCode::ACCEPTED);
    assert_eq!(outcome(&follower.all().await), Outcome::Cancelled);
    gone(&world.file("child")).await;
    assert!(!world.path().join("never").exists());
    assert_eq!(finished(&world, "s")[0].status, ToolStatus::Interrupted);
    assert_eq!(
        brief_log(&world.edge, "s"),
        [
            "user go",
            "assistant <c1> <c2>",
            "started c1",
            "finished c1 Interrupted",
            "ended Cancelled"
        ]
    );
}

#[tokio::test]
async fn a_turn_that_is_not_here() {
    let world = World::new().await;
    let life = world.live().await;
    assert_eq!(life.cancel("nowhere").await, StatusCode::NOT_FOUND);
}
