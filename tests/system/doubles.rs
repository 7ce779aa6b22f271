//! The stack against models that other people wrote: npm's aimock, which answers by fixtures in all
//! wire formats, and `PyPI`'s llmock, which breaks its answers on demand and judges the client.

use anyhow::{Context, Result, ensure};
use integration_tests::chat::{Chat, outline};
use integration_tests::double::{Double, fixture};
use integration_tests::http;
use integration_tests::stack::Stack;
use protocol::ProblemCode;
use serde_json::{Value, json};

use crate::gate::{self, skipped, system};
use crate::scenarios::Scenarios;

#[test]
fn a_foreign_model_in_all_formats() -> gate::Outcome {
    system("a_foreign_model_in_all_formats", async {
        let double = match Double::aimock(&fixture("aimock.json")?).await? {
            Ok(double) => double,
            Err(reason) => {
                skipped("a_foreign_model_in_all_formats", &reason);
                return Ok(());
            }
        };
        let mut all = Scenarios::default();
        let openai = format!("{}/v1", double.url);
        // A model that is told to think, in whose tool loops the double refuses unsigned thinking.
        let thinks = [("MODEL", "anthropic/claude-sonnet-4-5"), ("THINKING", "high")];
        let mut stack =
            Stack::start(&[anthropic(&double.url).as_slice(), &thinks].concat()).await?;
        all.check("aimock as anthropic", foreign_talk(&stack, "aimock-anthropic")).await;
        for api in ["chat", "responses"] {
            stack.stop().await?;
            let model = [("MODEL", "openai/gpt-5.1"), ("THINKING", "high"), ("OPENAI_API", api)];
            stack.set(&[self::openai(&openai).as_slice(), &model].concat());
            stack.start_again().await?;
            let session = format!("aimock-{api}");
            all.check(&format!("aimock as openai {api}"), foreign_talk(&stack, &session)).await;
        }
        all.end(&stack)?;
        stack.stop().await
    })
}

#[test]
fn a_foreign_judge_of_failures() -> gate::Outcome {
    system("a_foreign_judge_of_failures", async {
        let double = match Double::llmock().await? {
            Ok(double) => double,
            Err(reason) => {
                skipped("a_foreign_judge_of_failures", &reason);
                return Ok(());
            }
        };
        let mut all = Scenarios::default();
        let (first, second) = (format!("{}/anthropic", double.url), format!("{}/v1", double.url));
        let patience = [
            ("MODEL_FIRST_BYTE_TIMEOUT_MS", "5000"),
            ("MODEL_IDLE_TIMEOUT_MS", "1500"),
            ("MODEL_RETRY_DELAY_MS", "500"),
        ];
        let mut stack = Stack::start(&[anthropic(&first).as_slice(), &patience].concat()).await?;
        all.check("llmock as anthropic", judged(&stack, &double, "judge-anthropic")).await;
        for api in ["chat", "responses"] {
            stack.stop().await?;
            stack.set(&[openai(&second).as_slice(), &patience, &[("OPENAI_API", api)]].concat());
            stack.start_again().await?;
            let session = format!("judge-{api}");
            let judged = judged(&stack, &double, &session);
            all.check(&format!("llmock as openai {api}"), judged).await;
        }
        all.end(&stack)?;
        stack.stop().await
    })
}

fn anthropic(base_url: &str) -> [(&str, &str); 2] {
    [("ANTHROPIC_API_KEY", "any"), ("ANTHROPIC_BASE_URL", base_url)]
}

fn openai(base_url: &str) -> [(&str, &str); 2] {
    [("OPENAI_API_KEY", "any"), ("OPENAI_BASE_URL", base_url)]
}

async fn foreign_talk(stack: &Stack, session: &str) -> Result<()> {
    let mut chat = Chat::open(&stack.url, session, 0).await?;
    let hello = chat.ask("say hello").await?.completed()?;
    ensure!(hello.text() == "Grüße, 🦀 crab. This is long enough for several chunks.");
    ensure!(hello.streamed == hello.text(), "streamed {:?}", hello.streamed);
    let tool = chat.ask("run the command").await?.completed()?;
    let tools = tool.tools();
    ensure!(tools.len() == 1 && tools[0].output.contains("crab-42"), "{tools:?}");
    ensure!(tool.text().contains("It printed crab-42."), "{}", tool.text());
    let expected = "user assistant completed \
                    user assistant started finished:ok assistant completed";
    ensure!(outline(&chat.records) == expected, "{}", outline(&chat.records));
    Ok(())
}

/// A fault, and how its question ends.
enum Case {
    /// These faults first, and then an answer.
    Answered(&'static str, Vec<Value>),
    /// This fault, and no second try.
    Failed(&'static str, Value, ProblemCode),
}

fn cases() -> Vec<Case> {
    let fail = |status: u16| json!({ "type": "fail", "status": status });
    let broken = |kind: &str| {
        vec![
            json!({ "type": "reply", "text": "one two three four five six seven eight nine ten" }),
            json!({ "type": "stream_fault", "kind": kind, "after_chunks": 3, "stall_seconds": 20 }),
        ]
    };
    let limited = json!({ "type": "fail", "status": 429, "retry_after": 2 });
    let too_long = json!({
        "type": "fail", "status": 400, "code": "context_length_exceeded",
        "message": "prompt is too long: 9 tokens > 8 maximum",
    });
    vec![
        Case::Answered("nothing", vec![]),
        Case::Answered("429 with a wait", vec![limited]),
        Case::Answered("503 twice", vec![fail(503), fail(503)]),
        Case::Answered("a truncated stream", broken("truncate")),
        Case::Answered("a lost connection", broken("disconnect")),
        Case::Answered("a malformed chunk", broken("malformed")),
        Case::Answered("a stall", broken("stall")),
        Case::Answered("a context that is too long", vec![too_long]),
        Case::Failed("401", fail(401), ProblemCode::ModelAuthentication),
        Case::Answered("nothing again", vec![]),
    ]
}

async fn judged(stack: &Stack, double: &Double, session: &str) -> Result<()> {
    http::post_json(&double.url, "/_llmock/reset", &json!({})).await?;
    let mut chat = Chat::open(&stack.url, session, 0).await?;
    for case in cases() {
        match case {
            Case::Answered(name, mut behaviours) => {
                let said = format!("All is well after {name}.");
                behaviours.push(json!({ "type": "reply", "text": said }));
                script(double, &json!(behaviours)).await?;
                let answer = chat.ask(&format!("try {name}")).await?.completed().context(name)?;
                ensure!(answer.text() == said, "{name}: {}", answer.text());
                ensure!(answer.streamed == said, "{name}: {}", answer.streamed);
            }
            Case::Failed(name, behaviour, code) => {
                script(double, &json!([behaviour])).await?;
                let answer = chat.ask(&format!("try {name}")).await?;
                ensure!(answer.problem()?.code == code, "{name}: {:?}", answer.outcome);
            }
        }
    }
    let verdict = http::send(&double.url, "GET /_llmock/verdict", &[], &[]).await?.json();
    acquitted(&verdict)
}

async fn script(double: &Double, behaviours: &Value) -> Result<()> {
    let body = json!({ "behaviors": behaviours });
    let answer = http::post_json(&double.url, "/_llmock/scenario", &body).await?;
    ensure!(answer.status == 201, "llmock does not take {body}: {}", answer.body);
    Ok(())
}

/// No errors of any kind. Warnings are printed. One may be `no_backoff`: the judge wants each wait to be
/// longer than the last, and ours are random parts of a doubling delay, which seldom shrink.
fn acquitted(verdict: &Value) -> Result<()> {
    let findings = verdict["findings"].as_array().context("no verdict")?;
    let (errors, warnings): (Vec<&Value>, Vec<&Value>) =
        findings.iter().partition(|finding| finding["severity"] == "error");
    for warning in warnings {
        println!("the judge warns: {warning}");
    }
    ensure!(errors.is_empty(), "the judge finds: {errors:?}");
    ensure!(
        verdict["attempts"].as_u64() > verdict["calls"].as_u64(),
        "nothing was judged: {verdict}"
    );
    Ok(())
}
