//! What a question goes through until a model has answered: waits, other models, less history.

use std::time::Duration;

use protocol::session::{Item, Outcome};
use protocol::turn::{EventKind, ModelApi, ModelChoice, TurnEvent, TurnRequest};
use protocol::{Problem, ProblemCode};
use serde_json::Value;

use crate::answers::{beginning, says, text};
use crate::failures::IMPATIENT;
use crate::fake_edge::{Answer, FakeEdge};
use crate::world::{Life, World, brief_log, outcome, problem};

const OVERLOADED: Answer = Answer::Status(529, &[], "{}");
const REFUSED_KEY: Answer = Answer::Status(401, &[], "{}");

/// An answer of Chat Completions.
fn chat_says(text: &str) -> Answer {
    let chunk = serde_json::json!({
        "choices": [{ "index": 0, "delta": { "content": text }, "finish_reason": "stop" }],
    });
    Answer::Body(format!("data: {chunk}\n\ndata: [DONE]\n\n"))
}

fn with_fallbacks(mut request: TurnRequest) -> TurnRequest {
    let fallback = |provider: &str, model: &str| ModelChoice {
        provider: provider.into(),
        api: ModelApi::OpenaiChat,
        model: model.into(),
        max_output_tokens: 500,
        ..request.model.clone()
    };
    request.fallbacks = vec![fallback("groq", "llama"), fallback("mistral", "small")];
    request
}

async fn all_events(life: &Life, request: &TurnRequest) -> Vec<TurnEvent> {
    life.turn(request).await.all().await
}

fn providers(edge: &FakeEdge) -> Vec<String> {
    let provider = |path: &str| path.split('/').next().unwrap().to_owned();
    edge.questions().iter().map(|(path, _)| provider(path)).collect()
}

fn answered(edge: &FakeEdge, at: usize) -> (String, Option<String>) {
    match &edge.log("s")[at].item {
        Item::Assistant(message) => (message.model.clone(), message.instead_of.clone()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn waits_that_are_asked_for_are_kept() {
    let world = World::new().await;
    let life = world.live_with(&IMPATIENT).await;
    let limited = |headers| Answer::Status(429, headers, "{}");
    world.edge.script([
        limited(&[("retry-after-ms", "300"), ("retry-after", "60")]),
        limited(&[("retry-after", "0.2")]),
        limited(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]),
        says("at last"),
    ]);
    assert_eq!(life.outcome(&world.edge.say("s", "t", "hello")).await, Outcome::Completed);
    let gaps = world.edge.gaps();
    assert_eq!(gaps.len(), 3);
    assert!(gaps[0] >= Duration::from_millis(300), "{gaps:?}");
    assert!(gaps[1] >= Duration::from_millis(200), "{gaps:?}");
    assert_eq!(world.edge.asking_turns(), ["t"; 4], "each call names its turn");
}

#[tokio::test]
async fn half_an_answer_is_void_and_the_followers_are_told() {
    let world = World::new().await;
    let life = world.live_with(&IMPATIENT).await;
    world.edge.script([
        Answer::ThenCut(beginning(&[text("half an answer")])),
        Answer::Body(beginning(&[text("another half")])),
        says("whole"),
    ]);
    let events = all_events(&life, &world.edge.say("s", "t", "hello")).await;
    let retries: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Retrying { model, reason, after_ms } => Some((model, reason, after_ms)),
            _ => None,
        })
        .collect();
    assert_eq!(retries.len(), 2);
    for (model, reason, after_ms) in retries {
        assert_eq!(model, "anthropic/claude-test");
        assert_eq!(reason, "The answer of anthropic broke off.");
        assert!(*after_ms <= 20);
    }
    assert_eq!(brief_log(&world.edge, "s"), ["user hello", "assistant whole", "ended Completed"]);
}

#[tokio::test]
async fn a_wait_can_be_stopped() {
    let world = World::new().await;
    let life = world.live_with(&IMPATIENT).await;
    world.edge.script([Answer::Status(429, &[("retry-after", "50")], "{}")]);
    let request = world.edge.say("s", "t", "hello");
    let mut follower = life.turn(&request).await;
    while !matches!(follower.next().await.unwrap().kind, EventKind::Retrying { .. }) {}
    life.cancel("t").await;
    assert_eq!(outcome(&follower.all().await), Outcome::Cancelled);
    assert_eq!(world.edge.questions().len(), 1);
}

#[tokio::test]
async fn the_next_model_answers_and_the_log_says_so() {
    let world = World::new().await;
    let life = world.live_with(&IMPATIENT).await;
    world.edge.script(vec![OVERLOADED; 4]);
    world.edge.script([chat_says("hello from groq")]);
    let request = with_fallbacks(world.edge.say("s", "t1", "hello"));
    let events = all_events(&life, &request).await;
    assert!(events.iter().any(|event| matches!(&event.kind,
        EventKind::Retrying { model, after_ms: 0, .. } if model == "groq/llama")));
    let [first, groq] = ["anthropic", "groq"];
    assert_eq!(providers(&world.edge), [first, first, first, first, groq]);
    assert_eq!(world.edge.questions()[4].1["max_tokens"], Value::Null);
    assert_eq!(world.edge.questions()[4].1["max_completion_tokens"], 500);
    let instead = Some("anthropic/claude-test".to_owned());
    assert_eq!(answered(&world.edge, 1), ("groq/llama".into(), instead.clone()));

    // The next turn does not wait for it all again.
    world.edge.script([chat_says("me again")]);
    let request = with_fallbacks(world.edge.say("s", "t2", "and now"));
    assert_eq!(life.outcome(&request).await, Outcome::Completed);
    assert_eq!(providers(&world.edge)[5..], [groq]);
    assert_eq!(answered(&world.edge, 4), ("groq/llama".into(), instead));
}

#[tokio::test]
async fn a_refused_key_lets_the_next_model_answer_at_once() {
    let world = World::new().await;
    let life = world.live_with(&IMPATIENT).await;
    let long = Answer::Status(429, &[("retry-after", "90")], "{}");
    world.edge.script([REFUSED_KEY, long, chat_says("third")]);
    let request = with_fallbacks(world.edge.say("s", "t", "hello"));
    assert_eq!(life.outcome(&request).await, Outcome::Completed);
    assert_eq!(providers(&world.edge), ["anthropic", "groq", "mistral"]);
    assert_eq!(answered(&world.edge, 1).0, "mistral/small");
}

#[tokio::test]
async fn when_no_model_answers_the_first_ones_reason_is_told() {
    let world = World::new().await;
    let life = world.live_with(&IMPATIENT).await;
    world.edge.script([REFUSED_KEY, REFUSED_KEY, REFUSED_KEY]);
    let failed = life.outcome(&with_fallbacks(world.edge.say("s", "t1", "hello"))).await;
    let problem = problem(failed);
    assert_eq!(problem.code, ProblemCode::ModelAuthentication);
    assert_eq!(
        problem.message,
        "anthropic refused the API key (401); no other model answered either."
    );
    // All rest now; the first is asked all the same.
    world.edge.script([says("the key is right now")]);
    let request = with_fallbacks(world.edge.say("s", "t2", "again"));
    assert_eq!(life.outcome(&request).await, Outcome::Completed);
    assert_eq!(answered(&world.edge, 3), ("anthropic/claude-test".into(), None));
}

#[tokio::test]
async fn the_cap_stops_all_models() {
    let world = World::new().await;
    let life = world.live_with(&IMPATIENT).await;
    world.edge.script([Answer::Problem(Problem::new(ProblemCode::SpendingCap, "Enough."))]);
    let failed = life.outcome(&with_fallbacks(world.edge.say("s", "t", "hello"))).await;
    assert_eq!(problem(failed).to_string(), "Enough.");
    assert_eq!(world.edge.questions().len(), 1);
}

#[tokio::test]
async fn a_conversation_that_is_too_long_is_sent_again_with_half_of_it() {
    let world = World::new().await;
    let life = world.live_with(&IMPATIENT).await;
    for turn in ["t1", "t2", "t3", "t4"] {
        world.edge.script([says(&format!("answer {turn}"))]);
        let request = world.edge.say("s", turn, &format!("question {turn}"));
        assert_eq!(life.outcome(&request).await, Outcome::Completed);
    }
    let body = r#"{"error":{"message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#;
    world.edge.script([Answer::Status(400, &[], body), says("short enough")]);
    let request = world.edge.say("s", "t5", "question t5");
    assert_eq!(life.outcome(&request).await, Outcome::Completed);
    let sent = |at: usize| world.edge.questions()[at].1["messages"].to_string();
    assert!(sent(4).contains("question t1") && sent(4).contains("question t5"));
    assert!(!sent(5).contains("question t2") && sent(5).contains("question t3"));
    assert!(sent(5).contains("question t5"));
}

#[tokio::test]
async fn what_was_too_long_for_one_model_is_sent_whole_to_the_next() {
    let world = World::new().await;
    let life = world.live_with(&IMPATIENT).await;
    for turn in ["t1", "t2"] {
        world.edge.script([says("ok")]);
        let request = world.edge.say("s", turn, &format!("question {turn}"));
        assert_eq!(life.outcome(&request).await, Outcome::Completed);
    }
    let too_long = Answer::Status(413, &[], "{}");
    world.edge.script([too_long.clone(), too_long, chat_says("it fits")]);
    let request = with_fallbacks(world.edge.say("s", "t3", "question t3"));
    assert_eq!(life.outcome(&request).await, Outcome::Completed);
    let sent = |at: usize| world.edge.questions()[at].1["messages"].to_string();
    assert!(sent(2).contains("question t1") && !sent(3).contains("question t1"));
    assert!(sent(4).contains("question t1"), "{}", sent(4));
    // It is no fault of the first model's: it is asked first again.
    world.edge.script([says("back")]);
    let request = with_fallbacks(world.edge.say("s", "t4", "question t4"));
    assert_eq!(life.outcome(&request).await, Outcome::Completed);
    assert_eq!(providers(&world.edge)[5], "anthropic");
}
