//! Every way in which a model fails, in both wire formats: asked again or not, one clear sentence in the
//! end, and the next message works.

use anyhow::{Context, Result, ensure};
use integration_tests::chat::{Chat, outline};
use integration_tests::model::{Reply, ScriptedModel};
use integration_tests::process::alive;
use integration_tests::stack::{CANARY_KEY, Stack};
use integration_tests::wait;
use protocol::chat::ClientFrame;
use protocol::session::{Item, Outcome};
use protocol::{Problem, ProblemCode};
use serde_json::json;

use crate::gate::{self, system};
use crate::scenarios::Scenarios;

/// A failure, how often it is asked for, the code under which it must be reported, and words that its
/// sentence or remedy must hold.
type Failure = (&'static str, Reply, usize, ProblemCode, &'static [&'static str]);

/// Times that the runtime asks a model one question.
const ATTEMPTS: usize = 4;

fn failures(key: &'static [&'static str]) -> Vec<Failure> {
    use ProblemCode::{
        ModelAuthentication, ModelNoAnswer, ModelRateLimited, ModelRejectedRequest,
        ModelStreamBroken, ModelUnavailable,
    };
    let said = || "half an answer that broke".to_owned();
    vec![
        ("401", Reply::Status(401), 1, ModelAuthentication, key),
        ("403", Reply::Status(403), 1, ModelAuthentication, key),
        ("404", Reply::Status(404), 1, ModelRejectedRequest, &["model"]),
        ("400", Reply::Status(400), 1, ModelRejectedRequest, &["max_tokens"]),
        ("429", Reply::Status(429), ATTEMPTS, ModelRateLimited, &["2 s", "after 4 tries"]),
        ("500", Reply::Status(500), ATTEMPTS, ModelUnavailable, &["again", "after 4 tries"]),
        ("529", Reply::Status(529), ATTEMPTS, ModelUnavailable, &["again", "after 4 tries"]),
        ("cut", Reply::Cut(said()), ATTEMPTS, ModelStreamBroken, &["again"]),
        ("cut-empty", Reply::Cut(String::new()), ATTEMPTS, ModelStreamBroken, &["again"]),
        (
            "error-event",
            Reply::ErrorEvent(said()),
            ATTEMPTS,
            ModelUnavailable,
            &["again", "after 4 tries"],
        ),
        ("garbage", Reply::Garbage, ATTEMPTS, ModelStreamBroken, &["again"]),
        ("nothing", Reply::Nothing, 1, ModelNoAnswer, &["empty", "again"]),
        ("no-head", Reply::Held(said()), ATTEMPTS, ModelUnavailable, &["1.5 s", "again"]),
        ("no-byte", Reply::Silence, ATTEMPTS, ModelUnavailable, &["1.5 s", "again"]),
        ("fell-silent", Reply::Stall(said()), ATTEMPTS, ModelStreamBroken, &["1.5 s", "again"]),
    ]
}

/// How long a model may be silent in these tests. Everything else that the scripted model says
/// comes at once.
const SILENCE_MS: &str = "1500";

#[test]
fn failures_of_anthropic() -> gate::Outcome {
    system("failures_of_anthropic", async {
        let model = ScriptedModel::start().await?;
        let settings = [("ANTHROPIC_API_KEY", CANARY_KEY), ("ANTHROPIC_BASE_URL", &model.url)];
        each_failure(&settings, &model, "anthropic", &["ANTHROPIC_API_KEY"]).await
    })
}

#[test]
fn failures_of_openai() -> gate::Outcome {
    system("failures_of_openai", async {
        let model = ScriptedModel::start().await?;
        let base_url = format!("{}/v1", model.url);
        let settings = [("OPENAI_API_KEY", CANARY_KEY), ("OPENAI_BASE_URL", &base_url)];
        each_failure(&settings, &model, "openai", &["OPENAI_API_KEY"]).await
    })
}

#[test]
fn another_model_takes_over() -> gate::Outcome {
    system("another_model_takes_over", async {
        let model = ScriptedModel::start().await?;
        let openai = format!("{}/v1", model.url);
        let settings = [
            ("ANTHROPIC_API_KEY", CANARY_KEY),
            ("ANTHROPIC_BASE_URL", &model.url),
            ("OPENAI_API_KEY", CANARY_KEY),
            ("OPENAI_BASE_URL", &openai),
            ("MODEL", "anthropic/claude-sonnet-5"),
            ("MODEL_FALLBACKS", "openai/gpt-4.1"),
            ("MODEL_RETRY_DELAY_MS", "20"),
        ];
        let mut stack = Stack::start(&settings).await?;
        let mut all = Scenarios::default();
        all.check("the fallback answers", taken_over(&stack, &model)).await;
        all.end(&stack)?;
        model.assert_done()?;
        stack.stop().await
    })
}

/// The second model answers in the first one's place; in the next turn it is asked at once.
async fn taken_over(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let topic = model.topic("take-over");
    for _ in 0..ATTEMPTS {
        topic.then(Reply::Status(529));
    }
    topic.says("I took over.").says("And again.");
    let mut chat = Chat::open(&stack.url, "take-over", 0).await?;
    for (asked, said) in [("take-over", "I took over."), ("once more", "And again.")] {
        let answer = chat.ask(asked).await?.completed()?;
        ensure!(answer.text() == said && answer.streamed == said, "{answer:?}");
        let by = answer.records.iter().find_map(|record| match &record.item {
            Item::Assistant(message) => Some((message.model.clone(), message.instead_of.clone())),
            _ => None,
        });
        let instead = Some("anthropic/claude-sonnet-5".to_owned());
        ensure!(by == Some(("openai/gpt-4.1".to_owned(), instead)), "{by:?}");
    }
    Ok(())
}

async fn each_failure(
    settings: &[(&str, &str)],
    model: &ScriptedModel,
    provider: &str,
    key: &'static [&'static str],
) -> Result<()> {
    let more = [
        ("MODEL_FIRST_BYTE_TIMEOUT_MS", SILENCE_MS),
        ("MODEL_IDLE_TIMEOUT_MS", SILENCE_MS),
        ("MODEL_RETRY_DELAY_MS", "20"),
        ("SANDBOX_SLEEP_AFTER", "5s"),
    ];
    let mut stack = Stack::start(&[settings, &more].concat()).await?;
    let mut all = Scenarios::default();
    for failure in failures(key) {
        let name = format!("{provider} {}", failure.0);
        all.check(&name, one_failure(&stack, model, provider, failure)).await;
    }
    all.check("a tool call cut in half", cut_call(&stack, model)).await;
    all.check("silence, stopped by hand", stopped_silence(&stack, model)).await;
    all.check("nobody listens", closed(&stack, model, provider)).await;
    all.check("asleep and awake again", sleeps(&stack, model)).await;
    all.end(&stack)?;
    model.assert_done()?;
    stack.stop().await
}

async fn one_failure(
    stack: &Stack,
    model: &ScriptedModel,
    provider: &str,
    failure: Failure,
) -> Result<()> {
    let (name, reply, tries, code, words) = failure;
    let session = format!("failure-{name}.");
    let model = model.topic(&session);
    for _ in 0..tries {
        model.then(reply.clone());
    }
    model.says("All is well again.");
    let mut chat = Chat::open(&stack.url, &session, 0).await?;
    let answer = chat.ask(&session).await?;
    let problem = answer.problem()?;
    ensure!(problem.code == code, "{problem:?}");
    is_clear(problem, provider)?;
    let text = problem.to_string();
    for word in words {
        ensure!(text.contains(word), "{word:?} is not in {text:?}");
    }
    // An answer that says nothing may be in the log as one; a broken one never is.
    ensure!(answer.text().is_empty(), "half an answer is in the log: {:?}", answer.text());
    ensure!(outline(&chat.records).ends_with(" failed"), "{}", outline(&chat.records));

    chat.ask("and now?").await?.completed().context("the next message")?;
    let next = model.called(tries + 1).await?;
    ensure!(!next.holds("half an answer"), "a half answer was used");
    ensure!(next.holds(&session), "the first message is forgotten");
    ensure!(next.complaint.is_none(), "the provider refuses it: {:?}", next.complaint);
    Ok(())
}

/// One sentence that names who failed, and what to do.
fn is_clear(problem: &Problem, provider: &str) -> Result<()> {
    let Problem { message, remedy, .. } = problem;
    let names = message.to_lowercase().contains(provider) || message.contains("model");
    ensure!(names, "nobody is named: {message:?}");
    ensure!(message.ends_with('.') || message.contains(": "), "no sentence: {message:?}");
    ensure!(remedy.ends_with('.'), "no remedy: {problem:?}");
    let text = problem.to_string();
    ensure!(text.len() < 400 && !text.contains(['\n', '{', '<']), "not for a person: {text:?}");
    Ok(())
}

/// A call whose arguments broke off is never run.
async fn cut_call(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("cut-call");
    let marker = stack.folder().join("cut-call");
    let arguments = json!({ "command": format!("touch {}", marker.display()) });
    for _ in 0..ATTEMPTS {
        let arguments = arguments.clone();
        model.then(Reply::CutTool { name: "bash".into(), arguments });
    }
    model.says("All is well again.");
    let mut chat = Chat::open(&stack.url, "cut-call", 0).await?;
    let answer = chat.ask("cut-call").await?;
    ensure!(answer.problem()?.code == ProblemCode::ModelStreamBroken, "{:?}", answer.outcome);
    chat.ask("and now?").await?.completed()?;
    ensure!(!marker.exists(), "half a call was run");
    ensure!(outline(&chat.records) == "user failed user assistant completed");
    Ok(())
}

/// A model that says nothing at all is in the user's hand: stop ends it.
async fn stopped_silence(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("quiet-please");
    model.then(Reply::Silence).says("All is well again.");
    let mut chat = Chat::open(&stack.url, "quiet-please", 0).await?;
    chat.send("quiet-please").await?;
    model.called(1).await?;
    chat.say(&ClientFrame::Stop).await?;
    let answer = chat.answer().await?;
    ensure!(answer.outcome == Outcome::Cancelled, "{:?}", answer.outcome);
    chat.ask("and now?").await?.completed()?;
    Ok(())
}

/// The provider's port is closed.
async fn closed(stack: &Stack, model: &ScriptedModel, provider: &str) -> Result<()> {
    model.close().await?;
    let topic = model.topic("nobody-home");
    let mut chat = Chat::open(&stack.url, "nobody-home", 0).await?;
    let answer = chat.ask("nobody-home").await?;
    let problem = answer.problem()?;
    let codes = [ProblemCode::ModelUnavailable, ProblemCode::UpstreamFailed];
    ensure!(codes.contains(&problem.code), "{problem:?}");
    is_clear(problem, provider)?;
    model.reopen().await?;
    topic.says("All is well again.");
    chat.ask("and now?").await?.completed()?;
    Ok(())
}

/// Without work the container goes, and the next message brings it back with all it knew.
async fn sleeps(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let model = model.topic("good-night");
    model.says("Sleep well.").says("Good morning.");
    let mut chat = Chat::open(&stack.url, "good-night", 0).await?;
    chat.ask("good-night, my dream was blue").await?.completed()?;
    let pid = stack.runtime().await?;
    wait::until_true("the container's sleep", || !alive(pid)).await?;
    chat.ask("what was my dream?").await?.completed()?;
    ensure!(stack.runtime().await? != pid);
    ensure!(model.called(2).await?.holds("my dream was blue"), "the dream is forgotten");
    Ok(())
}
