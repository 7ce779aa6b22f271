//! Messages that arrive in mid-turn.

use protocol::runtime::Steer;
use protocol::session::{Outcome, UserMessage};
use protocol::version::PROTOCOL_VERSION;
use reqwest::StatusCode;

use crate::answers::{asks, bash, says};
use crate::world::{Life, World, brief_log, outcome};

async fn steer(life: &Life, turn: &str, texts: &[&str]) -> StatusCode {
    let message = |text: &&str| UserMessage {
        channel: "web".into(),
        event: format!("event-{text}"),
        text: (*text).to_owned(),
    };
    let messages = texts.iter().map(message).collect();
    let body = Steer { protocol: PROTOCOL_VERSION, messages };
    life.post(&format!("/turns/{turn}/steer"), serde_json::to_vec(&body).unwrap()).await.status()
}

#[tokio::test]
async fn a_message_joins_the_running_turn_at_its_next_step() {
    let world = World::new().await;
    let life = world.live().await;
    let waits = "until [ -e go ]; do sleep 0.01; done";
    world.edge.script([asks(&[bash("c1", waits), bash("c2", "true")]), says("both")]);
    let mut follower = life.turn(&world.edge.say("s", "t", "first")).await;
    follower.until_head(3).await;

    assert_eq!(steer(&life, "t", &["second"]).await, StatusCode::ACCEPTED);
    // The answer may have been lost on the way, so it is sent again.
    assert_eq!(steer(&life, "t", &["second", "third"]).await, StatusCode::ACCEPTED);
    std::fs::write(world.path().join("go"), "").unwrap();

    assert_eq!(outcome(&follower.all().await), Outcome::Completed);
    assert_eq!(
        brief_log(&world.edge, "s"),
        [
            "user first",
            "assistant <c1> <c2>",
            "started c1",
            "finished c1 Ok",
            "started c2",
            "finished c2 Ok",
            "user second",
            "user third",
            "assistant both",
            "ended Completed",
        ]
    );
    let asked = world.edge.questions()[1].1.to_string();
    assert!(asked.contains("second") && asked.contains("third"), "{asked}");
}

#[tokio::test]
async fn a_turn_that_is_over_takes_no_message() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([says("done")]);
    assert_eq!(life.outcome(&world.edge.say("s", "t", "first")).await, Outcome::Completed);
    assert_eq!(steer(&life, "t", &["late"]).await, StatusCode::NOT_FOUND);
    assert_eq!(steer(&life, "unknown", &["late"]).await, StatusCode::NOT_FOUND);
    assert_eq!(life.post("/turns/t/steer", "{").await.status(), StatusCode::BAD_REQUEST);
}
