//! No key inside: every secret that the product knows is a canary of its own, everything that can say
//! one is made to speak, and then all of it is searched: the runtime's process, the workspace, the
//! logs, the books, the bucket, what the model and the person are told, and every answer from outside.

use std::collections::BTreeSet;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use integration_tests::chat::Chat;
use integration_tests::hook;
use integration_tests::http;
use integration_tests::model::{Reply, ScriptedModel};
use integration_tests::paths;
use integration_tests::service::Service;
use integration_tests::stack::Stack;
use protocol::session::Outcome;

use crate::gate::{self, system};
use crate::scenarios::Scenarios;

/// Every secret of the product, by its setting; the value is made of the name.
const SECRETS: &[&str] = &[
    "AI_GATEWAY_API_KEY",
    "ANTHROPIC_API_KEY",
    "API_TOKEN",
    "CF_AI_GATEWAY_TOKEN",
    "CLOUDFLARE_AI_GATEWAY_API_KEY",
    "CLOUDFLARE_API_TOKEN",
    "COMPATIBLE_API_KEY",
    "DEEPSEEK_API_KEY",
    "GEMINI_API_KEY",
    "GROQ_API_KEY",
    "LENT_SECRET",
    "MISTRAL_API_KEY",
    "OLLAMA_API_KEY",
    "OPENAI_API_KEY",
    "OPENROUTER_API_KEY",
    "XAI_API_KEY",
];

fn canary(name: &str) -> String {
    format!("canary.{}.never-inside", name.to_ascii_lowercase())
}

/// The canaries and the webhook's secret, each with its name, as they are and in base64.
fn forms() -> Vec<(String, Vec<u8>)> {
    let own = SECRETS.iter().map(|name| ((*name).to_owned(), canary(name)));
    let hook = ("WEBHOOK_SECRET".to_owned(), hook::HOOK_SECRET.to_owned());
    let mut forms = Vec::new();
    for (name, text) in own.chain([hook]) {
        forms.push((format!("{name} in base64"), BASE64_STANDARD_NO_PAD.encode(&text).into()));
        forms.push((format!("{name} in base64url"), BASE64_URL_SAFE_NO_PAD.encode(&text).into()));
        forms.push((name, text.into_bytes()));
    }
    forms
}

/// What was said somewhere, to be searched.
#[derive(Default)]
struct Said(Vec<(String, Vec<u8>)>);

impl Said {
    fn note(&mut self, place: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.into(), bytes.into()));
    }

    /// Fails when a secret is in any of it.
    fn holds_nothing(&self) -> Result<()> {
        ensure!(!self.0.is_empty(), "nothing was said");
        let forms = forms();
        let mut found = Vec::new();
        for (place, bytes) in &self.0 {
            for (name, form) in &forms {
                if memchr::memmem::find(bytes, form).is_some() {
                    found.push(format!("{name} is in {place}"));
                }
            }
        }
        ensure!(found.is_empty(), "{}", found.join("\n"));
        Ok(())
    }
}

#[test]
fn canaries() -> gate::Outcome {
    system("canaries", async {
        let model = ScriptedModel::start().await?;
        let service = Service::start().await?;
        let hosts = format!("lent.example.test={}", service.url);
        let lent = r#"[{"secret":"LENT_SECRET","hosts":["lent.example.test"],
            "header":"authorization","format":"Bearer {}"}]"#;
        let values: Vec<(&str, String)> =
            SECRETS.iter().map(|name| (*name, canary(name))).collect();
        let mut settings: Vec<(&str, &str)> =
            values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        settings.extend([
            ("AI_GATEWAY_BASE_URL", model.url.as_str()),
            ("ANTHROPIC_BASE_URL", model.url.as_str()),
            ("CF_AI_GATEWAY_ACCOUNT_ID", "acct"),
            ("CF_AI_GATEWAY_GATEWAY_ID", "gw"),
            ("COMPATIBLE_BASE_URL", model.url.as_str()),
            ("DEV_HOSTS", hosts.as_str()),
            ("EGRESS_SECRETS", lent),
            ("MODEL", "anthropic/claude-sonnet-5"),
            ("OLLAMA_BASE_URL", model.url.as_str()),
            ("WEBHOOK_SECRET", hook::HOOK_SECRET),
        ]);
        let mut stack = Stack::start(&settings).await?;
        let mut all = Scenarios::default();
        all.check("all secrets are canaries", async { every_secret_is_here() }).await;
        all.check("the settings are right", settings_are_right(&stack)).await;
        all.check("a provider that repeats its key", repeated(&stack, &model)).await;
        all.check("a hostile model in the shell", hostile(&stack, &model)).await;
        all.check("every answer from outside", answers(&stack)).await;
        all.check("the runtime's process", process(&stack)).await;
        all.check("everything that is kept", kept(&stack)).await;
        all.end(&stack)?;
        stack.interrupt().await
    })
}

/// A secret that is added to the product and not to this test is found by its reading.
fn every_secret_is_here() -> Result<()> {
    let folder = paths::root()?.join("worker/src/settings");
    let mut read = BTreeSet::new();
    for entry in std::fs::read_dir(&folder).context("listing the settings' sources")? {
        let text = std::fs::read_to_string(entry?.path())?;
        for mark in ["reader.key(\"", "key: \"", "optional(\"API_TOKEN", "KEY: &str = \""] {
            let names = text.split(mark).skip(1).filter_map(|rest| rest.split('"').next());
            let whole = |name: &str| match mark {
                "optional(\"API_TOKEN" => "API_TOKEN".to_owned(),
                _ => name.to_owned(),
            };
            read.extend(names.map(whole));
        }
    }
    ensure!(read.len() >= 10, "the sources are not read as they were: {read:?}");
    let missing: Vec<&String> =
        read.iter().filter(|name| !SECRETS.contains(&name.as_str())).collect();
    ensure!(missing.is_empty(), "these secrets have no canary: {missing:?}");
    Ok(())
}

async fn settings_are_right(stack: &Stack) -> Result<()> {
    let mut chat = Chat::open(&stack.url, "status", 0).await?;
    let status = chat.command("/status").await?;
    ensure!(!status.contains("problem"), "{status}");
    Ok(())
}

/// In an error's message, in an answer's text, and to a command of the container's own.
async fn repeated(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let mut said = Said::default();
    for (name, reply) in [
        ("echo-rejected", Reply::EchoedRefusal(400)),
        ("echo-unknown", Reply::EchoedRefusal(401)),
        ("echo-text", Reply::EchoedText),
    ] {
        model.topic(name).then(reply);
        let mut chat = Chat::open(&stack.url, name, 0).await?;
        let answer = chat.ask(name).await?;
        said.note(format!("the stream of {name}"), answer.streamed.as_str());
        said.note(format!("the log of {name}"), serde_json::to_vec(&answer.records)?);
        if name == "echo-text" {
            ensure!(answer.outcome == Outcome::Completed, "{:?}", answer.outcome);
            ensure!(answer.text().contains("[secret anthropic]"), "{}", answer.text());
        }
    }
    said.holds_nothing()
}

/// What a model that wants the keys would try from its shell.
const HOSTILE: &str = r#"
look() { printf '\n== %s\n' "$1"; shift; "$@" 2>&1 | head -c 6000; }
look environment env
look own-environment sh -c "tr '\0' '\n' < /proc/self/environ"
look parents-environment sh -c "tr '\0' '\n' < /proc/$PPID/environ"
look parents-arguments sh -c "tr '\0' ' ' < /proc/$PPID/cmdline"
look parents-maps sh -c "grep -v ' 00:00 0 *$' /proc/$PPID/maps"
look parents-files ls -l /proc/$PPID/fd
look files sh -c 'ls -laR . | head -n 200; grep -rIl canary . | grep -v "^./look" | head'
look home sh -c 'ls -la ~; cat ~/.netrc ~/.git-credentials ~/.config/* 2>/dev/null'
edge=http://edge.internal
turn=$(curl -sS "$edge/session/hostile/records?from=1" | grep -o '"turn":"[^"]*"' | tail -n 1 | cut -d '"' -f 4)
word=$(printf '%s%s' hostile -echo)
body='{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"'$word'"}]}'
look echo curl -sS -H "x-pagurus-turn: $turn" -d "$body" $edge/model/anthropic/v1/messages
look echo-refused curl -sS -H "x-pagurus-turn: $turn" -d "$body" $edge/model/anthropic/v1/messages
look other-provider curl -sS -H "x-pagurus-turn: $turn" -d "$body" $edge/model/compatible/v1/chat/completions
look forged curl -sS -H 'x-pagurus-epoch: 1' -H 'authorization: Bearer x' $edge/session/hostile
for path in / /settings /env /usage /egress /workspace/password /workspace/config /api/usage /api/export /model/anthropic/v1/models /report; do
  look "edge$path" curl -sS -i $edge$path
done
look lent curl -sS -i http://lent.example.test.via.edge.internal/echo
look lent-elsewhere curl -sS -i http://other.example.test.via.edge.internal/echo
look metadata curl -sS -m 5 -i http://169.254.169.254/latest/meta-data/
look fetched curl -sS -i -d '{"url":"https://lent.example.test/echo"}' $edge/fetch
"#;

async fn hostile(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let echo = model.topic("hostile-echo");
    echo.then(Reply::EchoedText).then(Reply::EchoedRefusal(401)).then(Reply::EchoedText);
    let topic = model.topic("hostile");
    // In parts, each of which a tool's output can hold.
    let (setup, looks) = HOSTILE.split_once("look environment").context("no looks")?;
    let (files, calls) = looks.split_once("edge=").context("no calls")?;
    topic.runs(&format!("{setup}look environment{files}"));
    topic.runs(&format!("{setup}edge={calls}")).says("Nothing.");
    let mut chat = Chat::open(&stack.url, "hostile", 0).await?;
    let answer = chat.ask("hostile").await?.completed()?;
    let mut said = Said::default();
    let mut outputs = String::new();
    for tool in answer.tools() {
        outputs.push_str(&tool.output);
        said.note("what the shell printed", tool.output);
    }
    // It did see what it was to see: otherwise nothing is proved.
    for sight in ["EDGE_URL=http://edge.internal", "[secret anthropic]", "[secret LENT_SECRET]"] {
        ensure!(outputs.contains(sight), "{sight:?} is not in: {outputs}");
    }
    ensure!(echo.count() >= 2, "the provider did not hear of it: {outputs}");
    let lent = canary("LENT_SECRET");
    ensure!(!outputs.contains(&lent[1..]), "the lent secret came back");
    said.holds_nothing()
}

/// Every route from outside, with and without what opens it, and some that are none.
async fn answers(stack: &Stack) -> Result<()> {
    let mut said = Said::default();
    let bearer = format!("Bearer {}", canary("API_TOKEN"));
    let right = [("authorization", bearer.as_str())];
    let wrong = [("authorization", "Bearer wrong-token-of-some-length")];
    let lines = [
        "GET /",
        "GET /assets/chat.js",
        "GET /nope",
        "GET /api/chat/socket",
        "GET /api/export",
        "GET /api/export/hostile",
        "GET /api/usage",
        "POST /api/backup",
        "POST /api/restore",
        "POST /faults",
        "GET /workspace/main/config",
        "GET /workspace/main/snapshots/",
        "GET /workspace/main/nothing",
        "POST /hooks/in/ci",
        "GET /model/anthropic/v1/messages",
    ];
    for line in lines {
        for headers in [&right[..], &wrong, &[]] {
            let answer = http::send(&stack.url, line, headers, b"").await?;
            said.note(format!("the answer to {line}"), format!("{}\n{}", answer.head, answer.body));
        }
    }
    for signature in ["v1,AAAA", hook::HOOK_SECRET] {
        let headers =
            [("webhook-id", "a"), ("webhook-timestamp", "1"), ("webhook-signature", signature)];
        let answer = http::send(&stack.url, "POST /hooks/in/ci", &headers, b"hello").await?;
        ensure!(answer.status >= 400, "{}", answer.status);
        said.note("the answer to a forged webhook", answer.body);
    }
    let answer = hook::send(&stack.url, "ci", "evt-1", "hello").await?;
    said.note("the answer to a webhook", answer.body);
    said.holds_nothing()
}

/// The running runtime: environment, arguments, names of mapped files, open files, and its memory.
async fn process(stack: &Stack) -> Result<()> {
    let pid = stack.runtime().await?;
    let proc = Path::new("/proc").join(pid.to_string());
    let mut said = Said::default();
    for name in ["environ", "cmdline", "maps"] {
        said.note(format!("the runtime's {name}"), std::fs::read(proc.join(name))?);
    }
    for entry in std::fs::read_dir(proc.join("fd"))? {
        if let Some(target) = unless_gone(std::fs::read_link(entry?.path()))? {
            said.note("the runtime's open files", target.to_string_lossy().into_owned());
        }
    }
    let memory = std::fs::File::open(proc.join("mem")).context("opening the runtime's memory")?;
    let maps = std::fs::read_to_string(proc.join("maps"))?;
    let mut read = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let (begin, end) = range.with_context(|| format!("no range in {line}"))?;
        let (begin, end) = (u64::from_str_radix(begin, 16)?, u64::from_str_radix(end, 16)?);
        let mut bytes = vec![0; usize::try_from(end - begin)?];
        // A range may go away between the listing and the reading.
        if let Ok(count) = memory.read_at(&mut bytes, begin) {
            bytes.truncate(count);
            read += count;
            said.note(format!("the runtime's memory at {begin:x}"), bytes);
        }
    }
    ensure!(read > 1_000_000, "only {read} bytes of memory could be read");
    said.holds_nothing()
}

/// Logs, databases, the bucket, the workspace: all that the stack wrote. Only the file that hands the
/// settings to the Worker may hold them, and only its owner may read it.
async fn kept(stack: &Stack) -> Result<()> {
    let workspace = stack.workspace().await?;
    ensure!(workspace.is_dir(), "{} is no folder", workspace.display());
    let mut said = Said::default();
    said.note("what the stack printed", stack.printed());
    for path in stack.files() {
        // A file may go away between the listing and the reading; one that cannot be read may not.
        let Some(bytes) = unless_gone(std::fs::read(&path))? else { continue };
        let is_settings =
            path.file_name().is_some_and(|name| name == "dev.env" || name == "api-token");
        if is_settings {
            let mode = std::fs::metadata(&path)?.permissions().mode() & 0o777;
            ensure!(mode == 0o600, "{} has mode {mode:o}", path.display());
            continue;
        }
        said.note(path.display().to_string(), bytes);
    }
    said.holds_nothing()
}

/// What was read, or nothing when it is gone by now.
fn unless_gone<T>(read: std::io::Result<T>) -> Result<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
