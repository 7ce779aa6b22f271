//! Every way in which a model fails ends the turn with one clear sentence that is in the log.

use protocol::session::{Item, Outcome};
use protocol::{Problem, ProblemCode};

use crate::answers::{beginning, event, says, stream, text};
use crate::fake_edge::Answer;
use crate::world::{World, brief_log, problem};

const IMPATIENT: [(&str, &str); 2] =
    [("MODEL_FIRST_BYTE_TIMEOUT_MS", "300"), ("MODEL_IDLE_TIMEOUT_MS", "300")];

/// Fails a turn with `answer` and compares its sentence; the next turn must work.
async fn check(answer: Answer, code: ProblemCode, sentence: &str) {
    let world = World::new().await;
    let life = world.live_with(&IMPATIENT).await;
    world.edge.script([answer, says("all is well")]);
    let failed = life.outcome(&world.edge.say("s", "t1", "hello")).await;
    let last = world.edge.log("s").pop().unwrap().item;
    assert_eq!(last, Item::TurnEnded { outcome: failed.clone() });
    let problem = problem(failed);
    assert_eq!(problem.code, code, "{problem}");
    assert_eq!(problem.to_string(), sentence);
    assert_eq!(life.outcome(&world.edge.say("s", "t2", "again")).await, Outcome::Completed);
    assert_eq!(world.edge.answers_left(), 0);
}

#[tokio::test]
async fn a_refused_key() {
    let body = r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key sk-secret"}}"#;
    check(
        Answer::Status(401, &[], body),
        ProblemCode::ModelAuthentication,
        "anthropic refused the API key (401). Set a valid ANTHROPIC_API_KEY and try again.",
    )
    .await;
}

#[tokio::test]
async fn a_key_without_permission() {
    let body = r#"{"type":"error","error":{"type":"permission_error","message":"no"}}"#;
    check(
        Answer::Status(403, &[], body),
        ProblemCode::ModelAuthentication,
        "anthropic does not allow this key to use claude-test (403). Set another ANTHROPIC_API_KEY, \
         or choose another model.",
    )
    .await;
}

#[tokio::test]
async fn an_unknown_model() {
    let body =
        r#"{"type":"error","error":{"type":"not_found_error","message":"model: claude-test"}}"#;
    check(
        Answer::Status(404, &[], body),
        ProblemCode::ModelRejectedRequest,
        "anthropic does not know the model claude-test (404). Choose another model in the settings.",
    )
    .await;
}

#[tokio::test]
async fn a_rejected_request() {
    let body = r#"{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: too many"}}"#;
    check(
        Answer::Status(400, &[], body),
        ProblemCode::ModelRejectedRequest,
        "anthropic rejected the request (400): max_tokens: too many Check the model's settings, or \
         start a new session with /new.",
    )
    .await;
}

#[tokio::test]
async fn a_conversation_that_is_too_long() {
    let body = r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#;
    check(
        Answer::Status(400, &[], body),
        ProblemCode::ModelContextTooLong,
        "The conversation is too long for claude-test. Start a new session with /new, or choose a \
         model with more context.",
    )
    .await;
}

#[tokio::test]
async fn a_request_that_is_too_large() {
    check(
        Answer::Status(413, &[], "<html><title>Too large</title></html>"),
        ProblemCode::ModelContextTooLong,
        "The conversation is too large for anthropic (413). Start a new session with /new, or \
         choose a model with more context.",
    )
    .await;
}

#[tokio::test]
async fn a_rate_limit() {
    let body = r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}"#;
    check(
        Answer::Status(429, &[("retry-after", "12")], body),
        ProblemCode::ModelRateLimited,
        "anthropic asks to slow down (429). Wait 12 s and send the message again.",
    )
    .await;
}

#[tokio::test]
async fn an_overload() {
    let body = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    check(
        Answer::Status(529, &[], body),
        ProblemCode::ModelUnavailable,
        "anthropic is overloaded (529). Try again in a few minutes.",
    )
    .await;
}

#[tokio::test]
async fn a_failing_server() {
    check(
        Answer::Status(500, &[], "oops"),
        ProblemCode::ModelUnavailable,
        "anthropic failed (500). Try again in a few minutes.",
    )
    .await;
}

#[tokio::test]
async fn an_overload_inside_the_stream() {
    let error = serde_json::json!({
        "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" },
    });
    check(
        Answer::Body(beginning(&[text("half an")]) + &event(&error)),
        ProblemCode::ModelUnavailable,
        "anthropic is overloaded. Try again in a few minutes.",
    )
    .await;
}

#[tokio::test]
async fn a_refusal_of_the_edge_passes_as_it_is() {
    let problem = Problem::new(ProblemCode::Misconfigured, "No key for anthropic is set.")
        .remedy("Set ANTHROPIC_API_KEY.");
    check(
        Answer::Problem(problem),
        ProblemCode::Misconfigured,
        "No key for anthropic is set. Set ANTHROPIC_API_KEY.",
    )
    .await;
}

#[tokio::test]
async fn a_stream_that_is_cut() {
    check(
        Answer::ThenCut(beginning(&[text("half an answer")])),
        ProblemCode::ModelStreamBroken,
        "The answer of anthropic broke off. Send the message again.",
    )
    .await;
}

#[tokio::test]
async fn a_stream_that_ends_early() {
    check(
        Answer::Body(beginning(&[text("half an answer")])),
        ProblemCode::ModelStreamBroken,
        "The answer of anthropic broke off. Send the message again.",
    )
    .await;
}

#[tokio::test]
async fn a_model_that_never_begins() {
    check(
        Answer::Silence,
        ProblemCode::ModelUnavailable,
        "anthropic did not begin to answer within 0.3 s. Try again in a few minutes.",
    )
    .await;
}

#[tokio::test]
async fn a_model_that_falls_silent() {
    check(
        Answer::ThenSilence(beginning(&[text("half an answer")])),
        ProblemCode::ModelStreamBroken,
        "anthropic fell silent for 0.3 s in the middle of its answer. Send the message again.",
    )
    .await;
}

#[tokio::test]
async fn garbage() {
    check(
        Answer::Body("<html>Welcome to the hotel's network</html>".into()),
        ProblemCode::ModelStreamBroken,
        "The answer of anthropic could not be understood. Check that the provider's base URL and \
         API are set right, then try again.",
    )
    .await;
}

#[tokio::test]
async fn an_empty_answer() {
    check(
        Answer::Body(stream(&[], "end_turn")),
        ProblemCode::ModelNoAnswer,
        "The model returned an empty answer. Send the message again.",
    )
    .await;
}

#[tokio::test]
async fn a_refusal() {
    check(
        Answer::Body(stream(&[text("I would rather not")], "refusal")),
        ProblemCode::ModelNoAnswer,
        "The model declined to answer. Ask in other words.",
    )
    .await;
}

#[tokio::test]
async fn an_output_limit_before_any_text() {
    check(
        Answer::Body(stream(&[], "max_tokens")),
        ProblemCode::ModelNoAnswer,
        "The model reached its output limit before it said anything. Ask for less at once, or raise \
         the output limit in the settings.",
    )
    .await;
}

#[tokio::test]
async fn a_full_context_window() {
    check(
        Answer::Body(stream(&[text("and so")], "model_context_window_exceeded")),
        ProblemCode::ModelContextTooLong,
        "The conversation is too long for claude-test. Start a new session with /new, or choose a \
         model with more context.",
    )
    .await;
}

#[tokio::test]
async fn an_answer_that_reached_its_limit_is_an_answer_all_the_same() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([Answer::Body(stream(&[text("a long st")], "max_tokens"))]);
    assert_eq!(life.outcome(&world.edge.say("s", "t", "go")).await, Outcome::Completed);
    assert_eq!(brief_log(&world.edge, "s")[1], "assistant a long st");
}

#[tokio::test]
async fn a_model_that_pauses_is_asked_to_go_on() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([Answer::Body(stream(&[text("wait")], "pause_turn")), says("there")]);
    assert_eq!(life.outcome(&world.edge.say("s", "t", "go")).await, Outcome::Completed);
    let messages = world.edge.questions()[1].1["messages"].as_array().unwrap().clone();
    assert_eq!(messages.last().unwrap()["role"], "assistant");
}

#[tokio::test]
async fn an_edge_that_is_not_there() {
    let world = World::new().await;
    let request = world.edge.say("s", "t1", "hello");
    // A port that nobody listens on: bound and given back.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut life = world.live_unopened(&[("EDGE_URL", &format!("http://{free}"))]).await;
    let follower = life.turn(&request).await;
    // Neither the model can be reached nor the log; the log is tried again.
    life.until_logged("the edge is asked again").await;
    life.kill().await;
    drop(follower);
}
