//! Models by way of Cloudflare: the gateway by providers' own paths, stored keys, dynamic routes, and
//! the account's own API. The scripted model stands for Cloudflare; what it is asked, and with what,
//! is looked at.

use anyhow::{Context, Result, ensure};
use integration_tests::chat::Chat;
use integration_tests::model::{Call, Reply, ScriptedModel};
use integration_tests::stack::{CANARY_KEY, Stack};
use protocol::chat::ServerFrame;
use serde_json::{Value, json};

use crate::gate::{self, system};
use crate::scenarios::Scenarios;

const TOKEN: &str = "token-for-programs-1618033988";
const GATEWAY_TOKEN: &str = "gateway-token-1234";

#[test]
fn gateway() -> gate::Outcome {
    system("gateway", async {
        let cloudflare = ScriptedModel::start().await?;
        let url = format!("{}/v1", cloudflare.url);
        let own = [
            ("API_TOKEN", TOKEN),
            ("CF_AI_GATEWAY_ACCOUNT_ID", "acct"),
            ("CF_AI_GATEWAY_GATEWAY_ID", "gw"),
            ("CF_AI_GATEWAY_TOKEN", GATEWAY_TOKEN),
            ("CF_AI_GATEWAY_URL", url.as_str()),
        ];
        let with = |more: &[(&'static str, &'static str)]| [&own[..], more].concat();
        let key = [("ANTHROPIC_API_KEY", CANARY_KEY), ("CF_AI_GATEWAY_CACHE_TTL", "600")];
        let mut stack = Stack::start(&with(&key)).await?;
        let mut all = Scenarios::default();
        all.check("a provider's own path", own_path(&stack, &cloudflare)).await;
        all.check("an answer of the gateway's own", from_cache(&stack, &cloudflare)).await;

        let stored = [
            ("CF_AI_GATEWAY_STORED_KEYS", "openai"),
            ("MODEL", "openai/gpt-5.1"),
            ("OPENAI_API", "chat"),
        ];
        stack.restart(&with(&stored)).await?;
        all.check("a stored key", stored_key(&stack, &cloudflare)).await;
        stack.restart(&with(&[("MODEL", "gateway/dynamic/support")])).await?;
        all.check("a dynamic route", dynamic_route(&stack, &cloudflare)).await;

        let moltworker = [
            ("CF_AI_GATEWAY_ACCOUNT_ID", "acct"),
            ("CF_AI_GATEWAY_GATEWAY_ID", "gw"),
            ("CF_AI_GATEWAY_URL", url.as_str()),
            ("CLOUDFLARE_AI_GATEWAY_API_KEY", CANARY_KEY),
            ("CF_AI_GATEWAY_MODEL", "workers-ai/@cf/meta/llama-3.3-70b-instruct-fp8-fast"),
        ];
        stack.restart(&moltworker).await?;
        all.check("moltworker's variables", workers_ai(&stack, &cloudflare)).await;
        let account = [
            ("CF_AI_GATEWAY_ACCOUNT_ID", "acct"),
            ("CLOUDFLARE_API_URL", cloudflare.url.as_str()),
            ("CLOUDFLARE_API_TOKEN", CANARY_KEY),
            ("MODEL", "cloudflare/anthropic/claude-sonnet-4-5"),
        ];
        stack.restart(&account).await?;
        all.check("the account's own API", account_api(&stack, &cloudflare)).await;
        stack.restart(&[("GROQ_API_KEY", "k"), ("MODEL", "xai/grok-4.5")]).await?;
        all.check("a model whose provider has no key", no_key(&stack)).await;
        all.end(&stack)?;
        cloudflare.assert_done()?;
        stack.interrupt().await
    })
}

/// Has one message answered and gives the call that came of it.
async fn one_call(stack: &Stack, model: &ScriptedModel, name: &str, reply: Reply) -> Result<Call> {
    let model = model.topic(name);
    model.then(reply);
    let mut chat = Chat::open(&stack.url, name, 0).await?;
    let answer = chat.ask(name).await?.completed()?;
    ensure!(answer.text() == "Through it.", "{}", answer.text());
    model.called(1).await
}

fn through() -> Reply {
    Reply::Text("Through it.".into())
}

fn metadata(call: &Call) -> Result<Value> {
    let header = call.header("cf-aig-metadata").context("no metadata")?;
    Ok(serde_json::from_str(header)?)
}

async fn own_path(stack: &Stack, cloudflare: &ScriptedModel) -> Result<()> {
    let call = one_call(stack, cloudflare, "own-path", through()).await?;
    ensure!(call.path == "/v1/acct/gw/anthropic/v1/messages", "{}", call.path);
    ensure!(call.header("x-api-key") == Some(CANARY_KEY));
    let bearer = format!("Bearer {GATEWAY_TOKEN}");
    ensure!(call.header("cf-aig-authorization") == Some(bearer.as_str()));
    ensure!(call.header("cf-aig-cache-ttl") == Some("600"));
    let expected = json!({ "agent": "main", "session": "own-path", "channel": "web" });
    ensure!(metadata(&call)? == expected, "{:?}", call.headers);
    ensure!(stack.usage(TOKEN).await?.by_session.iter().any(|line| line.name == "own-path"));
    Ok(())
}

async fn from_cache(stack: &Stack, cloudflare: &ScriptedModel) -> Result<()> {
    let reply = Reply::Headed(&[("cf-aig-cache-status", "HIT")], Box::new(through()));
    one_call(stack, cloudflare, "cached", reply).await?;
    let report = stack.usage(TOKEN).await?;
    let line = report.by_session.iter().find(|line| line.name == "cached");
    let line = line.with_context(|| format!("no line: {report:?}"))?;
    ensure!(line.nanodollars == 0 && line.calls == 1, "{line:?}");
    Ok(())
}

async fn stored_key(stack: &Stack, cloudflare: &ScriptedModel) -> Result<()> {
    let call = one_call(stack, cloudflare, "stored-key", through()).await?;
    ensure!(call.path == "/v1/acct/gw/openai/chat/completions", "{}", call.path);
    for name in ["authorization", "x-api-key"] {
        ensure!(call.header(name).is_none(), "{name}: {:?}", call.header(name));
    }
    ensure!(call.header("cf-aig-authorization").is_some());
    Ok(())
}

async fn dynamic_route(stack: &Stack, cloudflare: &ScriptedModel) -> Result<()> {
    let headers = &[("cf-aig-provider", "google-ai-studio"), ("cf-aig-model", "gemini-2.5-pro")];
    let reply = Reply::Headed(headers, Box::new(through()));
    let call = one_call(stack, cloudflare, "dynamic-route", reply).await?;
    ensure!(call.path == "/v1/acct/gw/compat/chat/completions", "{}", call.path);
    ensure!(call.body["model"] == "dynamic/support", "{}", call.body["model"]);
    // What answered is known by what the gateway says, and so is its price.
    let report = stack.usage(TOKEN).await?;
    let line = report.by_model.iter().find(|line| line.name == "gemini/gemini-2.5-pro");
    let line = line.with_context(|| format!("no line: {report:?}"))?;
    let counts = call.counts.context("nothing counted")?;
    let thousandths =
        counts.input * 1_250_000 + counts.output * 10_000_000 + counts.cache_read * 125_000;
    ensure!(line.nanodollars == thousandths.div_ceil(1000), "{line:?}");
    Ok(())
}

async fn workers_ai(stack: &Stack, cloudflare: &ScriptedModel) -> Result<()> {
    let call = one_call(stack, cloudflare, "workers-ai", through()).await?;
    ensure!(call.path == "/v1/acct/gw/workers-ai/v1/chat/completions", "{}", call.path);
    ensure!(call.body["model"] == "@cf/meta/llama-3.3-70b-instruct-fp8-fast");
    let bearer = format!("Bearer {CANARY_KEY}");
    ensure!(call.header("authorization") == Some(bearer.as_str()));
    Ok(())
}

async fn account_api(stack: &Stack, cloudflare: &ScriptedModel) -> Result<()> {
    let call = one_call(stack, cloudflare, "account-api", through()).await?;
    ensure!(call.path == "/accounts/acct/ai/v1/messages", "{}", call.path);
    ensure!(call.body["model"] == "anthropic/claude-sonnet-4-5");
    let bearer = format!("Bearer {CANARY_KEY}");
    ensure!(call.header("authorization") == Some(bearer.as_str()));
    ensure!(call.header("x-api-key").is_none());
    Ok(())
}

/// Said when the page opens, and in place of an answer; nothing is asked of anybody.
async fn no_key(stack: &Stack) -> Result<()> {
    let mut chat = Chat::open(&stack.url, "no-key", 0).await?;
    let ServerFrame::Welcome { problems, .. } = &chat.welcome else {
        anyhow::bail!("no welcome: {:?}", chat.welcome);
    };
    let said = format!("{problems:?}");
    ensure!(said.contains("xai") && said.contains("XAI_API_KEY"), "{said}");
    let answer = chat.ask("hello?").await?;
    ensure!(answer.problem()?.remedy.contains("XAI_API_KEY"), "{:?}", answer.outcome);
    Ok(())
}
