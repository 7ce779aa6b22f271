//! Every way in which a model fails is met in its way: asked again, with less, or not; and ends the
//! turn, when nothing helps, with one clear sentence that is in the log.

use protocol::session::{Item, Outcome};
use protocol::{Problem, ProblemCode};

use crate::answers::{beginning, event, says, stream, text};
use crate::fake_edge::Answer;
use crate::world::{World, brief_log, problem};

/// Delays small enough that no test waits.
pub(crate) const IMPATIENT: [(&str, &str); 3] = [
    ("MODEL_FIRST_BYTE_TIMEOUT_MS", "300"),
    ("MODEL_IDLE_TIMEOUT_MS", "300"),
    ("MODEL_RETRY_DELAY_MS", "5"),
];

/// Times that one model is asked, as the runtime's limits say.
const ATTEMPTS: usize = 4;

/// Fails a turn by `answer`, which comes as often as the model is asked, and compares its sentence;
/// the next turn must work.
async fn check(asked: usize, answer: Answer, code: ProblemCode, sentence: &str) {
    let world = World::new().await;
    let life = world.live_with(&IMPATIENT).await;
    world.edge.script(vec![answer; asked]);
    let request = world.edge.say("s", "t1", "hello");
    let failed = life.outcome(&request).await;
    assert_eq!(world.edge.answers_left(), 0);
    assert_eq!(world.edge.questions().len(), asked);
    let log = world.edge.log("s");
    assert_eq!(log.last().unwrap().item, Item::TurnEnded { outcome: failed.clone() });
    assert!(asked == 1 || log.len() == 2, "nothing that was streamed is kept: {log:?}");
    let problem = problem(failed);
    assert_eq!(problem.code, code, "{problem}");
    assert_eq!(problem.to_string(), sentence);
    world.edge.script([says("all is well")]);
    assert_eq!(life.outcome(&world.edge.say("s", "t2", "again")).await, Outcome::Completed);
    assert_eq!(world.edge.answers_left(), 0);
}

/// What is never tried again.
async fn check_once(answer: Answer, code: ProblemCode, sentence: &str) {
    check(1, answer, code, sentence).await;
}

/// What is tried again until the tries are used up, and then, in another turn, only once because the
/// second try succeeds.
async fn check_again(answer: Answer, code: ProblemCode, sentence: &str) {
    check(ATTEMPTS, answer.clone(), code, sentence).await;

    let world = World::new().await;
    let life = world.live_with(&IMPATIENT).await;
    world.edge.script([answer, says("here I am")]);
    assert_eq!(life.outcome(&world.edge.say("s", "t1", "hello")).await, Outcome::Completed);
    let log = brief_log(&world.edge, "s");
    assert_eq!(log, ["user hello", "assistant here I am", "ended Completed"]);
    let questions = world.edge.questions();
    assert_eq!(questions.len(), 2);
    assert_eq!(questions[0], questions[1], "the same question");
}

#[tokio::test]
async fn a_refused_key() {
    let body = r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key sk-secret"}}"#;
    check_once(
        Answer::Status(401, &[], body),
        ProblemCode::ModelAuthentication,
        "anthropic refused the API key (401). Set a valid ANTHROPIC_API_KEY and try again.",
    )
    .await;
}

#[tokio::test]
async fn a_key_without_permission() {
    let body = r#"{"type":"error","error":{"type":"permission_error","message":"no"}}"#;
    check_once(
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
    check_once(
        Answer::Status(404, &[], body),
        ProblemCode::ModelRejectedRequest,
        "anthropic does not know the model claude-test (404). Choose another model in the settings.",
    )
    .await;
}

#[tokio::test]
async fn a_rejected_request() {
    let body = r#"{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: too many"}}"#;
    check_once(
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
        2,
        Answer::Status(400, &[], body),
        ProblemCode::ModelContextTooLong,
        "The conversation is too long for claude-test, after 2 tries. Start a new session with /new, or choose a \
         model with more context.",
    )
    .await;
}

#[tokio::test]
async fn a_request_that_is_too_large() {
    check(
        2,
        Answer::Status(413, &[], "<html><title>Too large</title></html>"),
        ProblemCode::ModelContextTooLong,
        "The conversation is too large for anthropic (413), after 2 tries. Start a new session with /new, or \
         choose a model with more context.",
    )
    .await;
}

#[tokio::test]
async fn a_rate_limit() {
    let body = r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}"#;
    check_again(
        Answer::Status(429, &[("retry-after-ms", "20")], body),
        ProblemCode::ModelRateLimited,
        "anthropic asks to slow down (429), after 4 tries. Wait 1 s and send the message again.",
    )
    .await;
}

#[tokio::test]
async fn a_rate_limit_that_lasts_is_the_users_to_wait_for() {
    let body = r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}"#;
    check_once(
        Answer::Status(429, &[("retry-after", "90")], body),
        ProblemCode::ModelRateLimited,
        "anthropic asks to slow down (429). Wait 90 s and send the message again.",
    )
    .await;
}

#[tokio::test]
async fn a_quota_that_is_used_up() {
    let body = r#"{"error":{"code":"insufficient_quota","message":"none left"}}"#;
    check_once(
        Answer::Status(429, &[("retry-after", "1")], body),
        ProblemCode::ModelRateLimited,
        "The account at anthropic has no credit or quota left (429). Add credit at anthropic, or \
         choose another model.",
    )
    .await;
}

#[tokio::test]
async fn a_provider_that_wants_no_second_try() {
    check_once(
        Answer::Status(500, &[("x-should-retry", "false")], "oops"),
        ProblemCode::ModelUnavailable,
        "anthropic failed (500). Try again in a few minutes.",
    )
    .await;
}

#[tokio::test]
async fn a_busy_edge() {
    check_again(
        Answer::Problem(Problem::new(ProblemCode::Busy, "Too much at once.")),
        ProblemCode::Busy,
        "Too much at once, after 4 tries.",
    )
    .await;
}

#[tokio::test]
async fn the_owners_cap() {
    let problem = Problem::new(ProblemCode::SpendingCap, "Today's cap is reached.");
    check_once(
        Answer::Problem(problem.remedy("Raise it.")),
        ProblemCode::SpendingCap,
        "Today's cap is reached. Raise it.",
    )
    .await;
}

#[tokio::test]
async fn an_overload() {
    let body = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    check_again(
        Answer::Status(529, &[], body),
        ProblemCode::ModelUnavailable,
        "anthropic is overloaded (529), after 4 tries. Try again in a few minutes.",
    )
    .await;
}

#[tokio::test]
async fn a_failing_server() {
    check_again(
        Answer::Status(500, &[], "oops"),
        ProblemCode::ModelUnavailable,
        "anthropic failed (500), after 4 tries. Try again in a few minutes.",
    )
    .await;
}

#[tokio::test]
async fn an_overload_inside_the_stream() {
    let error = serde_json::json!({
        "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" },
    });
    check_again(
        Answer::Body(beginning(&[text("half an")]) + &event(&error)),
        ProblemCode::ModelUnavailable,
        "anthropic is overloaded, after 4 tries. Try again in a few minutes.",
    )
    .await;
}

#[tokio::test]
async fn a_refusal_of_the_edge_passes_as_it_is() {
    let problem = Problem::new(ProblemCode::Misconfigured, "No key for anthropic is set.")
        .remedy("Set ANTHROPIC_API_KEY.");
    check_once(
        Answer::Problem(problem),
        ProblemCode::Misconfigured,
        "No key for anthropic is set. Set ANTHROPIC_API_KEY.",
    )
    .await;
}

#[tokio::test]
async fn a_stream_that_is_cut() {
    check_again(
        Answer::ThenCut(beginning(&[text("half an answer")])),
        ProblemCode::ModelStreamBroken,
        "The answer of anthropic broke off, after 4 tries. Send the message again.",
    )
    .await;
}

#[tokio::test]
async fn a_stream_that_ends_early() {
    check_again(
        Answer::Body(beginning(&[text("half an answer")])),
        ProblemCode::ModelStreamBroken,
        "The answer of anthropic broke off, after 4 tries. Send the message again.",
    )
    .await;
}

#[tokio::test]
async fn a_model_that_never_begins() {
    check_again(
        Answer::Silence,
        ProblemCode::ModelUnavailable,
        "anthropic did not begin to answer within 0.3 s, after 4 tries. Try again in a few minutes.",
    )
    .await;
}

#[tokio::test]
async fn a_model_that_falls_silent() {
    check_again(
        Answer::ThenSilence(beginning(&[text("half an answer")])),
        ProblemCode::ModelStreamBroken,
        "anthropic fell silent for 0.3 s in the middle of its answer, after 4 tries. \
         Send the message again.",
    )
    .await;
}

#[tokio::test]
async fn garbage() {
    check_again(
        Answer::Body("<html>Welcome to the hotel's network</html>".into()),
        ProblemCode::ModelStreamBroken,
        "The answer of anthropic could not be understood, after 4 tries. Check that the \
         provider's base URL and API are set right, then try again.",
    )
    .await;
}

#[tokio::test]
async fn an_empty_answer() {
    check_once(
        Answer::Body(stream(&[], "end_turn")),
        ProblemCode::ModelNoAnswer,
        "The model returned an empty answer. Send the message again.",
    )
    .await;
}

#[tokio::test]
async fn a_refusal() {
    check_once(
        Answer::Body(stream(&[text("I would rather not")], "refusal")),
        ProblemCode::ModelNoAnswer,
        "The model declined to answer. Ask in other words.",
    )
    .await;
}

#[tokio::test]
async fn an_output_limit_before_any_text() {
    check_once(
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
        2,
        Answer::Body(stream(&[text("and so")], "model_context_window_exceeded")),
        ProblemCode::ModelContextTooLong,
        "The conversation is too long for claude-test, after 2 tries. Start a new session with /new, or choose a \
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
