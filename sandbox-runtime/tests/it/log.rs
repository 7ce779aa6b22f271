//! The session log through faults of the edge.

use protocol::session::Outcome;
use protocol::{Problem, ProblemCode};

use crate::answers::{asks, bash, says};
use crate::fake_edge::{Answer, Fault};
use crate::world::{World, brief_log, code, problem};

#[tokio::test]
async fn a_lost_answer_to_an_append_is_found_out() {
    for nth in 1..=3 {
        let world = World::new().await;
        let life = world.live().await;
        world.edge.script([asks(&[bash("c1", "echo 0.1")]), says("Done")]);
        world.edge.fail_append(nth, Fault::LoseAnswer);
        assert_eq!(life.outcome(&world.edge.say("s", "t", "go")).await, Outcome::Completed);
        assert_eq!(
            brief_log(&world.edge, "s"),
            [
                "user go",
                "assistant <c1>",
                "started c1",
                "finished c1 Ok",
                "assistant Done",
                "ended Completed"
            ],
            "append {nth}"
        );
    }
}

#[tokio::test]
async fn an_edge_that_is_away_for_a_moment_is_asked_again() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([says("Done")]);
    world.edge.fail_append(1, Fault::Unavailable);
    assert_eq!(life.outcome(&world.edge.say("s", "t", "go")).await, Outcome::Completed);
    assert_eq!(world.edge.log("s").len(), 3);
}

#[tokio::test]
async fn an_edge_that_talks_nonsense_is_not_believed() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([says("Done"), says("Done at last")]);
    world.edge.fail_append(1, Fault::Garbage);
    let failed = life.outcome(&world.edge.say("s", "t", "go")).await;
    assert_eq!(
        problem(failed).to_string(),
        "The session's log could not be written. Try again in a few minutes."
    );
    // The end is in no log, so the same turn is taken up again when it is posted again.
    assert_eq!(life.outcome(&world.edge.request("s", "t")).await, Outcome::Completed);
    assert_eq!(world.edge.log("s").len(), 3);
}

#[tokio::test]
async fn another_life_has_taken_over() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([says("Done")]);
    world.edge.fail_append(1, Fault::StaleEpoch);
    let events = life.turn(&world.edge.say("s", "t", "go")).await.all().await;
    let is_end = |event: &protocol::turn::TurnEvent| {
        matches!(event.kind, protocol::turn::EventKind::Finished { .. })
    };
    assert!(!events.iter().any(is_end), "the turn goes on elsewhere");
    let (status, log) = life.end().await;
    assert_eq!(status.code(), Some(3));
    assert!(log.contains("another life of the container has taken over"), "{log}");
}

#[tokio::test]
async fn another_life_has_taken_over_as_the_model_is_asked() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([Answer::Problem(Problem::new(ProblemCode::StaleEpoch, "Too late."))]);
    life.turn(&world.edge.say("s", "t", "go")).await.all().await;
    assert_eq!(life.end().await.0.code(), Some(3));
    assert_eq!(brief_log(&world.edge, "s"), ["user go"]);
}

#[tokio::test]
async fn a_log_that_somebody_else_writes_to() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([says("Done"), says("Done at last")]);
    world.edge.fail_append(1, Fault::Intrude);
    let failed = life.outcome(&world.edge.say("s", "t", "go")).await;
    assert_eq!(code(failed), ProblemCode::SequenceConflict);
    // The end is in no log, so the turn can be posted again and is run again.
    let mut request = world.edge.request("s", "t");
    request.records = world.edge.log("s");
    assert_eq!(life.outcome(&request).await, Outcome::Completed);
}
