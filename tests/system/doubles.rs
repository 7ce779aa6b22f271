//! The stack against models that other people wrote: npm's aimock, which answers by fixtures in both
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
fn a_foreign_model_in_both_formats() -> gate::Outcome {
    system("a_foreign_model_in_both_formats", async {
        let double = match Double::aimock(&fixture("aimock.json")?).await? {
            Ok(double) => double,
            Err(reason) => {
                skipped("a_foreign_model_in_both_formats", &reason);
                return Ok(());
            }
        };
        let mut all = Scenarios::default();
        let openai = format!("{}/v1", double.url);
        let mut stack = Stack::start(&anthropic(&double.url)).await?;
        all.check("aimock as anthropic", foreign_talk(&stack, "aimock-anthropic")).await;
        stack.stop().await?;
        stack.set(&self::openai(&openai));
        stack.start_again().await?;
        all.check("aimock as openai", foreign_talk(&stack, "aimock-openai")).await;
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
        let mut stack = Stack::start(&anthropic(&first)).await?;
        all.check("llmock as anthropic", judged(&stack, &double, "judge-anthropic")).await;
        stack.stop().await?;
        stack.set(&openai(&second));
        stack.start_again().await?;
        all.check("llmock as openai", judged(&stack, &double, "judge-openai")).await;
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

async fn judged(stack: &Stack, double: &Double, session: &str) -> Result<()> {
    http::post_json(&double.url, "/_llmock/reset", &json!({})).await?;
    let fail = |status: u16| json!({ "type": "fail", "status": status });
    let broken = |kind: &str| {
        json!([
            { "type": "reply", "text": "one two three four five six seven eight nine ten" },
            { "type": "stream_fault", "kind": kind, "after_chunks": 3 },
        ])
    };
    let faults = [
        (json!([fail(401)]), ProblemCode::ModelAuthentication),
        (
            json!([{ "type": "fail", "status": 429, "retry_after": 2 }]),
            ProblemCode::ModelRateLimited,
        ),
        (json!([fail(503)]), ProblemCode::ModelUnavailable),
        (broken("truncate"), ProblemCode::ModelStreamBroken),
        (broken("disconnect"), ProblemCode::ModelStreamBroken),
        (broken("malformed"), ProblemCode::ModelStreamBroken),
    ];
    let mut chat = Chat::open(&stack.url, session, 0).await?;
    for (behaviours, code) in faults {
        script(double, &behaviours).await?;
        let answer = chat.ask(&format!("try {code:?}")).await?;
        ensure!(answer.problem()?.code == code, "{behaviours}: {:?}", answer.outcome);
        ensure!(answer.text().is_empty(), "{behaviours}: half an answer is in the log");
    }
    script(double, &json!([{ "type": "reply", "text": "All is well." }])).await?;
    let answer = chat.ask("and now?").await?.completed()?;
    ensure!(answer.text() == "All is well.", "{}", answer.text());
    let verdict = http::send(&double.url, "GET /_llmock/verdict", &[], &[]).await?.json();
    acquitted(&verdict)
}

async fn script(double: &Double, behaviours: &Value) -> Result<()> {
    let body = json!({ "behaviors": behaviours });
    let answer = http::post_json(&double.url, "/_llmock/scenario", &body).await?;
    ensure!(answer.status == 201, "llmock does not take {body}: {}", answer.body);
    Ok(())
}

/// The judge's errors, but one. It holds a client that does not retry a truncated stream for one
/// that used it, since it cannot see what the user was told; here the log has shown that the turn
/// failed and that nothing of the stream was kept.
fn acquitted(verdict: &Value) -> Result<()> {
    let findings = verdict["findings"].as_array().context("no verdict")?;
    let errors: Vec<&Value> = findings
        .iter()
        .filter(|finding| finding["severity"] == "error")
        .filter(|finding| finding["code"] != "truncated_stream_accepted")
        .collect();
    ensure!(errors.is_empty(), "the judge finds: {errors:?}");
    Ok(())
}
