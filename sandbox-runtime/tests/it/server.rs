//! The routes: attaching, following from a number, being busy, draining, and bad requests.

use protocol::runtime::Health;
use protocol::session::Outcome;
use protocol::turn::{EventKind, TurnEvent};
use protocol::{Epoch, Problem, ProblemCode};
use reqwest::{Response, StatusCode};
use rustix::process::{Pid, Signal, kill_process};

use crate::answers::{asks, bash, beginning, says, text};
use crate::fake_edge::Answer;
use crate::world::{Follower, World, brief_log, outcome};

async fn refused(response: Response) -> (u16, ProblemCode) {
    let status = response.status().as_u16();
    let problem: Problem = response.json().await.unwrap();
    (status, problem.code)
}

#[tokio::test]
async fn says_who_it_is() {
    let world = World::new().await;
    let life = world.live().await;
    let health: Health = life.get("/health").await.json().await.unwrap();
    assert_eq!((health.protocol, health.epoch), (1, Epoch(7)));
    assert_eq!(health.version, env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn posting_again_attaches_and_leaving_does_not_stop() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([Answer::ThenSilence(beginning(&[text("Once")])), says("never asked")]);
    let request = world.edge.say("s", "t", "go");
    let mut first = life.turn(&request).await;
    first.until_text("Once").await;
    drop(first);
    let mut second = life.turn(&request).await;
    assert_eq!(second.next().await.unwrap().n, 1);
    second.until_text("Once").await;
    life.cancel("t").await;
    assert_eq!(outcome(&second.all().await), Outcome::Cancelled);
    assert_eq!(world.edge.questions().len(), 1);

    let third = life.turn(&request).await.all().await;
    assert_eq!(outcome(&third), Outcome::Cancelled);
    assert_eq!(world.edge.answers_left(), 1);
}

#[tokio::test]
async fn events_can_be_followed_from_any_number() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([asks(&[text("I look"), bash("c1", "true")]), says("Done")]);
    let all = life.turn(&world.edge.say("s", "t", "go")).await.all().await;
    let numbers: Vec<u64> = all.iter().map(|event| event.n).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    let last = numbers[numbers.len() - 1];
    for from in [1, 2, last - 1, last, last + 1] {
        let path = format!("/turns/t/events?from={from}");
        let events = Follower::new(life.get(&path).await).all().await;
        let is_delta = |event: &&TurnEvent| matches!(event.kind, EventKind::Text { .. });
        // What was said is in the log by now, so only the rest is still here.
        let expected: Vec<TurnEvent> =
            all.iter().filter(|e| e.n >= from && !is_delta(e)).cloned().collect();
        assert_eq!(events, expected, "from {from}");
    }
}

#[tokio::test]
async fn one_turn_of_a_session_at_a_time_and_others_beside_it() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([Answer::Silence, says("beside")]);
    let mut request = world.edge.say("s", "t1", "one");
    let running = life.turn(&request).await;
    world.edge.hung.notified().await;
    request.turn = "t2".parse().unwrap();
    let response = life.post("/turns", serde_json::to_vec(&request).unwrap()).await;
    assert_eq!(refused(response).await, (ProblemCode::Busy.status(), ProblemCode::Busy));
    assert_eq!(life.outcome(&world.edge.say("other", "t3", "three")).await, Outcome::Completed);
    life.cancel("t1").await;
    assert_eq!(outcome(&running.all().await), Outcome::Cancelled);
}

#[tokio::test]
async fn draining_cuts_turns_and_leaves_them_to_the_next_life() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([asks(&[bash("c1", "exec sleep 300")]), says("taken up")]);
    let mut follower = life.turn(&world.edge.say("s", "t", "go")).await;
    follower.until_head(3).await;
    assert_eq!(life.post("/drain", "").await.status(), StatusCode::ACCEPTED);
    let ended = |event: &TurnEvent| matches!(event.kind, EventKind::Finished { .. });
    assert!(!follower.all().await.iter().any(ended), "a cut turn has no end");
    let (status, log) = life.end().await;
    assert_eq!(status.code(), Some(0), "{log}");
    let life = world.live().await;
    assert_eq!(life.outcome(&world.edge.request("s", "t")).await, Outcome::Completed);
    assert_eq!(brief_log(&world.edge, "s")[3], "finished c1 Interrupted");
}

#[tokio::test]
async fn sigterm_drains() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([Answer::Silence]);
    let follower = life.turn(&world.edge.say("s", "t", "go")).await;
    world.edge.hung.notified().await;
    let pid = Pid::from_raw(life.pid().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    follower.all().await;
    let (status, log) = life.end().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(brief_log(&world.edge, "s"), ["user go"]);
}

#[tokio::test]
async fn what_is_not_a_turn_is_refused() {
    let world = World::new().await;
    let life = world.live().await;
    let request = world.edge.say("s", "t", "go");
    let changed = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut value = serde_json::to_value(&request).unwrap();
        change(&mut value);
        value.to_string()
    };
    let bad = [
        (String::new(), 400),
        ("{}".into(), 400),
        ("[1,2".into(), 400),
        (changed(&|v| v["protocol"] = 99.into()), 426),
        (r#"{"protocol":99,"anything":"else"}"#.into(), 426),
        (changed(&|v| v["session"] = "../x".into()), 400),
        (changed(&|v| v["head"] = 5.into()), 400),
        (changed(&|v| v["records"][0]["sequence"] = 0.into()), 400),
        ("x".repeat(9 << 20), 413),
    ];
    for (body, status) in bad {
        let beginning = body.get(..60).unwrap_or(&body).to_owned();
        assert_eq!(life.post("/turns", body).await.status().as_u16(), status, "{beginning}");
    }
    assert_eq!(refused(life.get("/nowhere").await).await, (404, ProblemCode::NotFound));
    assert_eq!(refused(life.get("/turns").await).await, (405, ProblemCode::MethodNotAllowed));
    let response = life.get("/turns/nobody/events?from=1").await;
    assert_eq!(refused(response).await, (404, ProblemCode::NotFound));
    assert_eq!(world.edge.questions().len(), 0);
}

#[tokio::test]
async fn a_turn_without_a_message_fails() {
    let world = World::new().await;
    let life = world.live().await;
    let outcome = life.outcome(&world.edge.request("s", "t")).await;
    assert_eq!(crate::world::code(outcome), ProblemCode::BadRequest);
}
