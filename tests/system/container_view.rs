//! The edge as a command inside the container sees it, and that no key is in there.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, ensure};
use integration_tests::chat::{Chat, outline};
use integration_tests::model::ScriptedModel;
use integration_tests::stack::{CANARY_KEY, Stack};
use protocol::session::Item;

/// Asks the edge what the container may not, and prints `label status body` for each.
const QUESTIONS: &str = r#"
edge=http://edge.internal
ask() {
  label=$1; shift
  status=$(curl -sS -m 20 -o answer.txt -w '%{http_code}' "$@")
  printf '%s %s %s\n' "$label" "$status" "$(head -c 300 answer.txt | tr '\n' ' ')"
}
json='content-type: application/json'
log=$edge/session/inside-out/records
ask head "$edge/session/inside-out"
ask read "$log?from=1"
turn=$(curl -sS "$log?from=1" | grep -o '"turn":"[^"]*"' | tail -n 1 | cut -d '"' -f 4)
item='{"type":"user","channel":"web","event":"forged","text":"forged"}'
append() { printf '{"protocol":%s,"turn":"%s","expected":%s,"items":%s}' "$1" "$2" "$3" "$4"; }
ask unknown-service $edge/nope
ask root $edge/
ask session-name "$edge/session/a%20b"
ask get-on-model $edge/model/anthropic/v1/messages
ask put-on-records -X PUT -H "$json" -d '{}' "$log"
ask delete-log -X DELETE "$log"
ask read-from-nonsense "$log?from=x"
ask wrong-head -H "$json" -d "$(append 1 "$turn" 999 "[$item]")" "$log"
ask wrong-turn -H "$json" -d "$(append 1 not-a-turn 0 "[$item]")" "$log"
ask no-items -H "$json" -d "$(append 1 "$turn" 0 "[]")" "$log"
ask old-protocol -H "$json" -d "$(append 0 "$turn" 0 "[$item]")" "$log"
ask no-json -H "$json" -d 'not json' "$log"
head -c 3000000 /dev/zero | tr '\0' x > large.txt
ask large-append -H "$json" --data-binary @large.txt "$log"
ask other-path -H "$json" -d '{}' $edge/model/anthropic/v1/files
ask no-provider -H "$json" -d '{}' $edge/model/nobody/v1/messages
ask other-provider -H "$json" -d '{}' $edge/model/openai/chat/completions
ask forged-epoch -H 'x-pagurus-epoch: 1' -H 'x-pagurus-agent: other' "$edge/session/inside-out"
"#;

/// Asks the model with forged headers; the answer comes from the scripted model.
const FORGED: &str = r#"
word=$(printf '%s%s' forged -call)
turn=$(curl -sS "http://edge.internal/session/inside-out/records?from=1" \
  | grep -o '"turn":"[^"]*"' | tail -n 1 | cut -d '"' -f 4)
curl -sS -H "x-pagurus-turn: $turn" -m 20 -H 'content-type: application/json' -H 'x-api-key: forged' \
  -H 'authorization: Bearer forged' -H 'x-forwarded-for: forged' -H 'anthropic-version: 2023-06-01' \
  -d '{"model":"m","max_tokens":1,"stream":true,"messages":[{"role":"user","content":"'$word'"}]}' \
  http://edge.internal/model/anthropic/v1/messages
"#;

/// Looks for a key wherever a command can look without leaving the container.
const LOOK_AROUND: &str = r"
env
tr '\0' '\n' < /proc/self/environ
tr '\0' '\n' < /proc/$PPID/environ
tr '\0' ' ' < /proc/$PPID/cmdline
grep -r . . 2> /dev/null | head -c 20000
";

/// A status for each question, and words of the answer.
const ANSWERS: &[(&str, &[&str], &str)] = &[
    ("head", &["200"], "head"),
    ("read", &["200"], "records"),
    ("unknown-service", &["404"], "not_found"),
    ("root", &["404"], "not_found"),
    ("session-name", &["404"], "not_found"),
    ("get-on-model", &["404", "405"], "not_found"),
    ("put-on-records", &["404", "405"], "not_found"),
    ("delete-log", &["404", "405"], "not_found"),
    ("read-from-nonsense", &["400", "404"], "code"),
    ("wrong-head", &["409"], "sequence_conflict"),
    ("wrong-turn", &["409"], "sequence_conflict"),
    ("no-items", &["400"], "bad_request"),
    ("old-protocol", &["426"], "unsupported_protocol"),
    ("no-json", &["400"], "bad_request"),
    // The stand-in's proxy may lose an answer that comes before the body was read.
    ("large-append", &["413", "502"], ""),
    ("other-path", &["404"], "not_found"),
    ("no-provider", &["404", "500"], "misconfigured"),
    ("other-provider", &["404", "500"], "misconfigured"),
    ("forged-epoch", &["200"], "head"),
];

/// What the edge answers to a container, right and wrong.
pub(crate) async fn services(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let topic = model.topic("inside-out");
    topic.runs(QUESTIONS).says("That was all.");
    let mut chat = Chat::open(&stack.url, "inside-out", 0).await?;
    let answer = chat.ask("inside-out").await?.completed()?;
    let output = answer.tools().first().context("the tool did not run")?.output.clone();
    let lines: BTreeMap<&str, &str> =
        output.lines().filter_map(|line| line.split_once(' ')).collect();
    let mut wrong = Vec::new();
    for (label, statuses, word) in ANSWERS {
        let line = lines.get(label).copied().unwrap_or("no answer");
        let status = line.split(' ').next().unwrap_or_default();
        if !statuses.contains(&status) || !line.contains(word) {
            wrong.push(format!("{label}: {line} (expected {statuses:?} with {word})"));
        }
    }
    ensure!(wrong.is_empty(), "{}\nall: {output}", wrong.join("\n"));
    let expected = "user assistant started finished:ok assistant completed";
    ensure!(outline(&chat.records) == expected, "the log changed: {}", outline(&chat.records));

    let forged = model.topic("forged-call");
    forged.says("Answered anyway.");
    topic.runs(FORGED).says("That too.");
    chat.ask("and now the model").await?.completed()?;
    let call = forged.called(1).await?;
    ensure!(call.header("x-api-key") == Some(CANARY_KEY), "the container's own key was used");
    for name in ["authorization", "x-forwarded-for"] {
        let value = call.header(name).unwrap_or_default();
        ensure!(!value.ends_with("forged"), "{name} was passed on");
    }
    Ok(())
}

/// No key in the container's environment, in its workspace, in any log or database of the stack.
pub(crate) async fn no_key_inside(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    let topic = model.topic("key-hunt");
    topic.runs(LOOK_AROUND).says("Nothing found.");
    let mut chat = Chat::open(&stack.url, "key-hunt", 0).await?;
    let answer = chat.ask("key-hunt").await?.completed()?;
    let output = answer.tools().first().context("the tool did not run")?.output.clone();
    ensure!(output.contains("EDGE_URL=http://edge.internal"), "no environment: {output}");
    ensure!(!output.contains(CANARY_KEY), "the key is in the container");
    let item = |item: &Item| serde_json::to_string(item).unwrap_or_default();
    ensure!(!chat.records.iter().any(|record| item(&record.item).contains(CANARY_KEY)));

    ensure!(!stack.printed().contains(CANARY_KEY), "the key was printed");
    let holding = |path: &std::path::PathBuf| {
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.windows(CANARY_KEY.len()).any(|window| window == CANARY_KEY.as_bytes())
    };
    let holders: Vec<_> = stack.files().into_iter().filter(holding).collect();
    ensure!(holders.len() <= 1, "the key is in {holders:?}");
    if let Some(settings) = holders.first() {
        let mode = std::fs::metadata(settings)?.permissions().mode() & 0o777;
        ensure!(mode == 0o600, "{} has mode {mode:o}", settings.display());
        ensure!(!settings.components().any(|part| part.as_os_str() == "logs"), "{settings:?}");
    }
    Ok(())
}
