//! Plain turns: what the model is asked, what is appended, what followers hear.

use protocol::session::{Item, Outcome, Stop};
use protocol::turn::{EventKind, ModelApi};
use serde_json::{Value, json};

use crate::answers::{says, stream, text, thinking};
use crate::fake_edge::Answer;
use crate::world::{World, brief_log, outcome};

/// Roles and texts of the messages that the model was given, the nth time it was asked.
fn messages(world: &World, nth: usize) -> Vec<(String, Vec<String>)> {
    let (_, body) = &world.edge.questions()[nth];
    let messages = body["messages"].as_array().unwrap();
    let text = |block: &Value| block["text"].as_str().unwrap_or("-").to_owned();
    let texts = |message: &Value| match &message["content"] {
        Value::String(text) => vec![text.clone()],
        blocks => blocks.as_array().unwrap().iter().map(text).collect(),
    };
    messages.iter().map(|m| (m["role"].as_str().unwrap().to_owned(), texts(m))).collect()
}

fn said(role: &str, texts: &[&str]) -> (String, Vec<String>) {
    (role.to_owned(), texts.iter().map(|text| (*text).to_owned()).collect())
}

#[tokio::test]
async fn a_plain_turn_is_one_append() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([says("Hello to you")]);
    let request = world.edge.say("s", "t1", "hello");
    let events = life.turn(&request).await.all().await;

    assert_eq!(outcome(&events), Outcome::Completed);
    assert_eq!(world.edge.appends().len(), 1);
    assert_eq!(
        brief_log(&world.edge, "s"),
        ["user hello", "assistant Hello to you", "ended Completed"]
    );
    let kinds: Vec<&EventKind> = events.iter().map(|event| &event.kind).collect();
    assert!(matches!(kinds[0], EventKind::ModelCalled { step: 1 }));
    assert!(matches!(kinds[kinds.len() - 2], EventKind::Appended { head: 3 }));
    let spoken: String = kinds
        .iter()
        .filter_map(|kind| match kind {
            EventKind::Text { text } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(spoken, "Hello to you");
    let EventKind::Finished { timing, .. } = kinds[kinds.len() - 1] else { panic!("no end") };
    assert!(timing.total_us >= timing.model_us + timing.log_us && timing.model_us > 0);
    assert_eq!(timing.tools_us, 0);

    let Item::Assistant(message) = &world.edge.log("s")[1].item else { panic!("no answer") };
    assert_eq!((message.stop, message.model.as_str()), (Stop::EndTurn, "anthropic/claude-test"));
    assert_eq!((message.usage.input_tokens, message.usage.output_tokens), (5, 7));
}

#[tokio::test]
async fn a_warm_conversation_reads_nothing_and_a_cold_one_reads_it_all() {
    let world = World::new().await;
    let life = world.live().await;
    let talk = ["one", "two", "three"];
    world.edge.script(talk.iter().map(|word| says(&format!("{word}!"))));
    for word in talk {
        let request = world.edge.say("s", word, word);
        assert_eq!(life.outcome(&request).await, Outcome::Completed);
    }
    assert_eq!(world.edge.reads(), 0);
    let expected = [
        said("user", &["one"]),
        said("assistant", &["one!"]),
        said("user", &["two"]),
        said("assistant", &["two!"]),
        said("user", &["three"]),
    ];
    assert_eq!(messages(&world, 2), expected);

    life.kill().await;
    world.edge.set_page_records(2);
    let life = world.live().await;
    world.edge.script([says("four!")]);
    assert_eq!(life.outcome(&world.edge.say("s", "four", "four")).await, Outcome::Completed);
    assert_eq!(world.edge.reads(), 5);
    assert_eq!(messages(&world, 3)[..5], expected);
    assert_eq!(messages(&world, 3)[5..], [said("assistant", &["three!"]), said("user", &["four"])]);
}

#[tokio::test]
async fn the_fixed_prompt_is_small_and_the_same_each_time() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([says("a"), says("b")]);
    life.outcome(&world.edge.say("s", "t1", "one")).await;
    life.outcome(&world.edge.say("other", "t2", "two")).await;
    let questions = world.edge.questions();
    let fixed = |nth: usize| {
        let body = &questions[nth].1;
        json!([body["system"], body["tools"], body["model"], body["max_tokens"]]).to_string()
    };
    assert_eq!(fixed(0), fixed(1));
    assert!(fixed(0).len() / 4 < 1_500, "{} bytes", fixed(0).len());
    assert_eq!(questions[0].0, "anthropic/v1/messages");
}

#[tokio::test]
async fn thoughts_go_back_to_the_model_that_had_them_and_to_no_other() {
    let world = World::new().await;
    let life = world.live().await;
    let blocks = [thinking("hm", "sig-1"), text("yes")];
    world.edge.script([Answer::Body(stream(&blocks, "end_turn")), says("b"), says("c")]);
    life.outcome(&world.edge.say("s", "t1", "one")).await;
    life.outcome(&world.edge.say("s", "t2", "two")).await;
    let mut request = world.edge.say("s", "t3", "three");
    request.model.model = "claude-other".into();
    life.outcome(&request).await;
    let block = |nth: usize| world.edge.questions()[nth].1["messages"][1]["content"][0].clone();
    assert_eq!(block(1)["thinking"], "hm");
    assert_eq!(block(1)["signature"], "sig-1");
    assert_eq!(block(2)["text"], "yes");
}

#[tokio::test]
async fn an_openai_model_is_asked_in_its_own_words() {
    let world = World::new().await;
    let life = world.live().await;
    let chunk = |delta: Value, finish: Value| {
        let chunk = json!({
            "id": "c", "object": "chat.completion.chunk", "model": "gpt-test",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }],
        });
        format!("data: {chunk}\n\n")
    };
    let body = chunk(json!({ "role": "assistant", "content": "Hi" }), Value::Null)
        + &chunk(json!({}), json!("stop"))
        + "data: [DONE]\n\n";
    world.edge.script([Answer::Body(body)]);
    let mut request = world.edge.say("s", "t1", "hello");
    request.model.api = ModelApi::OpenaiChat;
    request.model.provider = "openai".into();
    assert_eq!(life.outcome(&request).await, Outcome::Completed);
    let (path, body) = &world.edge.questions()[0];
    assert_eq!(path, "openai/v1/chat/completions");
    assert_eq!(body["messages"][0]["role"], "system");
    assert_eq!(brief_log(&world.edge, "s")[1], "assistant Hi");
}

#[tokio::test]
async fn a_failed_and_a_stopped_turn_leave_a_history_that_goes_on() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([Answer::Status(401, &[], "{}"), says("better")]);
    let failed = life.outcome(&world.edge.say("s", "t1", "one")).await;
    assert!(matches!(failed, Outcome::Failed { .. }), "{failed:?}");
    life.outcome(&world.edge.say("s", "t2", "two")).await;
    let asked = messages(&world, 1);
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0].1.first(), asked[0].1.last()), (Some(&"one".into()), Some(&"two".into())));
}

#[tokio::test]
async fn old_turns_that_do_not_fit_are_left_out_with_a_note() {
    let world = World::new().await;
    let life = world.live().await;
    let long = "x".repeat(10_000);
    for n in 0..6 {
        world.edge.script([says("ok")]);
        let mut request = world.edge.say("s", &format!("t{n}"), &long);
        request.model.context_tokens = 16_000;
        assert_eq!(life.outcome(&request).await, Outcome::Completed);
    }
    let asked = messages(&world, 5);
    let size: usize = asked.iter().flat_map(|(_, texts)| texts).map(String::len).sum();
    assert!(size < 4 * 16_000, "{size}");
    assert!(asked[0].1[0].contains("no longer fit"), "{:?}", asked[0].1[0]);
    assert_eq!(asked[0].0, "user");
}
