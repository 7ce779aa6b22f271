//! The Worker's settings for a local run, as an environment file.
//!
//! Invariant: keys go from the environment or `.dev.vars` into a file that only its owner can read,
//! and nowhere else.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// What sets a model provider up; with one of them the demo model is not started.
const KEYS: &[&str] = &[
    "ANTHROPIC_API_KEY",
    "OPENAI_API_KEY",
    "GEMINI_API_KEY",
    "OPENROUTER_API_KEY",
    "XAI_API_KEY",
    "MISTRAL_API_KEY",
    "DEEPSEEK_API_KEY",
    "GROQ_API_KEY",
    "CLOUDFLARE_API_TOKEN",
    "CLOUDFLARE_AI_GATEWAY_API_KEY",
    "CF_AI_GATEWAY_TOKEN",
    "AI_GATEWAY_API_KEY",
    "OLLAMA_BASE_URL",
    "COMPATIBLE_BASE_URL",
];

/// Everything else that is passed on from the environment.
const OTHERS: &[&str] = &[
    "AI_GATEWAY_BASE_URL",
    "ANTHROPIC_BASE_URL",
    "API_TOKEN",
    "CF_ACCOUNT_ID",
    "CF_AI_GATEWAY_ACCOUNT_ID",
    "CF_AI_GATEWAY_CACHE_TTL",
    "CF_AI_GATEWAY_COMPAT_URL",
    "CF_AI_GATEWAY_GATEWAY_ID",
    "CF_AI_GATEWAY_MODEL",
    "CF_AI_GATEWAY_STORED_KEYS",
    "CF_AI_GATEWAY_URL",
    "CLOUDFLARE_API_URL",
    "CLOUDFLARE_BASE_URL",
    "COMPATIBLE_API",
    "COMPATIBLE_API_KEY",
    "DEEPSEEK_BASE_URL",
    "DEV_HOSTS",
    "DNS_OVER_HTTPS_URL",
    "EGRESS_SECRETS",
    "FAULTS",
    "FAULT_R2_DELAY_MS",
    "GEMINI_BASE_URL",
    "GROQ_BASE_URL",
    "LOG_RECORDS_KEPT",
    "MAX_OUTPUT_TOKENS",
    "MID_TURN_MESSAGES",
    "MISTRAL_BASE_URL",
    "MODEL",
    "MODELS",
    "MODEL_FALLBACKS",
    "MODEL_FIRST_BYTE_TIMEOUT_MS",
    "MODEL_IDLE_TIMEOUT_MS",
    "MODEL_RETRY_DELAY_MS",
    "OLLAMA_API_KEY",
    "OPENAI_API",
    "OPENAI_BASE_URL",
    "OPENROUTER_BASE_URL",
    "SANDBOX_ALLOWED_HOSTS",
    "SANDBOX_INTERNET",
    "SANDBOX_SLEEP_AFTER",
    "SPEND_PER_DAY_USD",
    "SPEND_PER_MONTH_USD",
    "SPEND_PER_TURN_USD",
    "THINKING",
    "TIME_ZONE",
    "TOKENS_PER_DAY",
    "TOKENS_PER_MONTH",
    "TOKENS_PER_TURN",
    "WEBHOOK_REPLY_URL",
    "WEBHOOK_SECRET",
    "WORKERS_AI_BASE_URL",
    "XAI_BASE_URL",
];

/// Everything that a local run takes from the environment.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    KEYS.iter().chain(OTHERS).copied().chain(["DEV_MODE"])
}

/// Whether a provider's key is set, in the environment or in the text of `.dev.vars`.
pub(super) fn has_key(variable: &dyn Fn(&str) -> Option<String>, dev_vars: &str) -> bool {
    KEYS.iter().any(|key| {
        let in_environment = variable(key).is_some_and(|value| !value.trim().is_empty());
        in_environment || dev_vars.lines().any(|line| sets(line, key))
    })
}

/// Whether the text of `.dev.vars` gives this name a value.
pub(super) fn is_set(name: &str, dev_vars: &str) -> bool {
    dev_vars.lines().any(|line| sets(line, name))
}

/// Whether a line of an environment file gives this name a value.
fn sets(line: &str, name: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    let value = line.strip_prefix(name).and_then(|rest| rest.trim_start().strip_prefix('='));
    value.is_some_and(|value| !value.trim().trim_matches(['"', '\'', '`']).is_empty())
}

/// The environment file's text.
pub(super) fn file_text(
    variable: &dyn Fn(&str) -> Option<String>,
    demo_model: Option<&str>,
) -> Result<String> {
    let dev_mode = variable("DEV_MODE").unwrap_or_else(|| "true".to_owned());
    let mut text = line("DEV_MODE", &dev_mode)?;
    if let Some(url) = demo_model {
        text += &line("DEMO_MODEL_URL", url)?;
    }
    for name in KEYS.iter().chain(OTHERS) {
        if let Some(value) = variable(name) {
            text += &line(name, &value)?;
        }
    }
    for name in lent_secrets(&variable("EGRESS_SECRETS").unwrap_or_default()) {
        let is_known = KEYS.iter().chain(OTHERS).any(|known| *known == name);
        if let Some(value) = variable(&name).filter(|_| !is_known) {
            text += &line(&name, &value)?;
        }
    }
    Ok(text)
}

/// The secrets that `EGRESS_SECRETS` names, each once. What is wrong with the setting, the Worker says.
fn lent_secrets(setting: &str) -> Vec<String> {
    let entries: Vec<serde_json::Value> = serde_json::from_str(setting).unwrap_or_default();
    let name = |entry: &serde_json::Value| entry.get("secret")?.as_str().map(str::to_owned);
    let mut names: Vec<String> = entries.iter().filter_map(name).collect();
    names.sort();
    names.dedup();
    names
}

/// One line, in the quoting of the `dotenv` format. A `$` would be expanded even inside quotes.
fn line(name: &str, value: &str) -> Result<String> {
    let Some(quote) = ['\'', '`', '"'].into_iter().find(|quote| !value.contains(*quote)) else {
        bail!(
            "the value of {name} has all three kinds of quotes; an environment file cannot hold it"
        );
    };
    if quote == '"' && value.contains('\\') {
        bail!("the value of {name} has quotes and a backslash; an environment file cannot hold it");
    }
    Ok(format!("{name}={quote}{}{quote}\n", value.replace('$', "\\$")))
}

/// Writes a file that only its owner can read.
pub(super) fn write_private(path: &Path, text: &str) -> Result<()> {
    // A file that is there already would keep its old mode.
    if path.exists() {
        fs::remove_file(path).with_context(|| format!("replacing {}", path.display()))?;
    }
    let file = fs::File::options().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("creating {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn nothing(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn a_key_is_found_wherever_it_is_set() {
        let key = |name: &str| (name == "OPENAI_API_KEY").then(|| "sk".to_owned());
        assert!(has_key(&key, ""));
        assert!(has_key(&nothing, "A=1\nexport ANTHROPIC_API_KEY = 'x'\n"));
        for none in [
            "",
            "#ANTHROPIC_API_KEY=x",
            "ANTHROPIC_API_KEY=",
            "OPENAI_API_KEY=\"\"",
            "XOPENAI_API_KEY=1",
        ] {
            assert!(!has_key(&nothing, none), "{none}");
        }
        assert!(!has_key(&|_| Some(" ".into()), ""));
    }

    #[test]
    fn the_file_has_what_the_environment_has() {
        let variable = |name: &str| (name == "MODEL").then(|| "openai/gpt".to_owned());
        assert_eq!(
            file_text(&variable, Some("http://127.0.0.1:1")).unwrap(),
            "DEV_MODE='true'\nDEMO_MODEL_URL='http://127.0.0.1:1'\nMODEL='openai/gpt'\n"
        );
        let lent = |name: &str| match name {
            "EGRESS_SECRETS" => {
                Some(r#"[{"secret":"TOKEN"},{"secret":"TOKEN"},{"secret":"MODEL"}]"#.into())
            }
            "TOKEN" => Some("t".to_owned()),
            _ => None,
        };
        let text = file_text(&lent, None).unwrap();
        assert!(text.ends_with("\nTOKEN='t'\n") && !text.contains("MODEL='"), "{text}");
        let closed = |name: &str| (name == "DEV_MODE").then(|| "false".to_owned());
        assert_eq!(file_text(&closed, None).unwrap(), "DEV_MODE='false'\n");
    }

    #[test]
    fn a_setting_of_the_documents_had_no_effect_in_a_local_run() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut count = 0;
        for document in ["README.md", "docs/MODELS.md"] {
            let text = fs::read_to_string(root.join(document)).unwrap();
            let cells = text.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
            for name in cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)) {
                let is_setting = name.len() > 4
                    && name
                        .bytes()
                        .all(|byte| byte.is_ascii_uppercase() || b"_0123456789".contains(&byte));
                if is_setting {
                    count += 1;
                    assert!(names().any(|known| known == name), "{document} has {name}");
                }
            }
        }
        assert!(count > 30, "only {count} settings were found in the documents");
    }

    #[test]
    fn values_are_quoted_so_that_they_survive() {
        assert_eq!(line("A", "a b#c").unwrap(), "A='a b#c'\n");
        assert_eq!(line("A", "it's $HOME").unwrap(), "A=`it's \\$HOME`\n");
        assert_eq!(line("A", "'`").unwrap(), "A=\"'`\"\n");
        assert!(line("A", "'`\"").is_err());
        assert!(line("A", "'`\\").is_err());
    }

    #[test]
    fn the_file_is_private_even_when_it_was_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("env");
        fs::write(&path, "old").unwrap();
        write_private(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
