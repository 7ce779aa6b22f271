//! Settings: defaults, every problem at once, and no secret in any print.

use super::*;

fn parse(pairs: &[(&str, &str)]) -> Settings {
    let pairs: Vec<(String, String)> =
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Settings::parse(&move |name| pairs.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()))
}

#[test]
fn nothing_set_is_closed_and_says_what_to_set() {
    let settings = parse(&[]);
    assert!(!settings.dev_mode);
    assert_eq!(settings.sleep_after_ms, Some(600_000));
    let problem = settings.model.unwrap_err();
    assert_eq!(problem.remedy, "Set the secret ANTHROPIC_API_KEY or OPENAI_API_KEY.");
    assert_eq!(settings.problems, [problem]);
}

#[test]
fn the_only_key_decides_the_default_model() {
    let model = |pairs| parse(pairs).model.map(|m| format!("{}/{}", m.provider, m.model)).unwrap();
    assert_eq!(model(&[("OPENAI_API_KEY", "k")]), "openai/gpt-5.1");
    assert_eq!(model(&[("ANTHROPIC_API_KEY", " k ")]), "anthropic/claude-sonnet-5");
}

#[test]
fn a_model_name_may_hold_slashes() {
    let settings = parse(&[("OPENAI_API_KEY", "k"), ("MODEL", "openai/@cf/meta/llama-3")]);
    assert_eq!(settings.model.unwrap().model, "@cf/meta/llama-3");
}

#[test]
fn a_model_whose_provider_has_no_key_names_the_secret() {
    let settings = parse(&[("OPENAI_API_KEY", "k"), ("MODEL", "anthropic/claude-sonnet-5")]);
    assert!(settings.model.unwrap_err().remedy.contains("ANTHROPIC_API_KEY"));
}

#[test]
fn all_problems_come_at_once() {
    let settings = parse(&[
        ("ANTHROPIC_API_KEY", "k"),
        ("ANTHROPIC_BASE_URL", "api.anthropic.com"),
        ("DEV_MODE", "yes"),
        ("SANDBOX_SLEEP_AFTER", "soon"),
        ("DEMO_MODEL_URL", "http://127.0.0.1:1"),
    ]);
    let text: Vec<String> = settings.problems.iter().map(|p| p.message.clone()).collect();
    let text = text.join("\n");
    for name in ["ANTHROPIC_BASE_URL", "DEV_MODE", "SANDBOX_SLEEP_AFTER", "DEMO_MODEL_URL"] {
        assert!(text.contains(name), "{name} is not in:\n{text}");
    }
}

#[test]
fn fewer_kept_records_are_for_tests_only() {
    let kept = |pairs| parse(pairs).log_records_kept;
    assert_eq!(kept(&[]), LOG_RECORDS_KEPT);
    assert_eq!(kept(&[("DEV_MODE", "true"), ("LOG_RECORDS_KEPT", "6")]), 6);
    for pairs in [
        &[("LOG_RECORDS_KEPT", "6")][..],
        &[("DEV_MODE", "true"), ("LOG_RECORDS_KEPT", "0")],
        &[("DEV_MODE", "true"), ("LOG_RECORDS_KEPT", "9999")],
    ] {
        let settings = parse(pairs);
        assert_eq!(settings.log_records_kept, LOG_RECORDS_KEPT);
        assert!(settings.problems.iter().any(|p| p.message.contains("LOG_RECORDS_KEPT")));
    }
}

#[test]
fn sleep_after_reads_units_and_never() {
    let sleep = |text| parse(&[("SANDBOX_SLEEP_AFTER", text)]).sleep_after_ms;
    assert_eq!(sleep("90s"), Some(90_000));
    assert_eq!(sleep("2h"), Some(7_200_000));
    assert_eq!(sleep("never"), None);
    assert_eq!(sleep("1s"), Some(600_000));
}

#[test]
fn model_timeouts_are_checked_and_handed_on() {
    let settings = parse(&[("MODEL_IDLE_TIMEOUT_MS", "500"), ("MODEL_FIRST_BYTE_TIMEOUT_MS", "x")]);
    assert_eq!(settings.runtime_variables, [("MODEL_IDLE_TIMEOUT_MS", "500".to_owned())]);
    assert!(settings.problems.iter().any(|p| p.message.contains("MODEL_FIRST_BYTE_TIMEOUT_MS")));
}

#[test]
fn printing_the_settings_shows_no_secret() {
    let settings = parse(&[("ANTHROPIC_API_KEY", "sk-canary"), ("OPENAI_API_KEY", "sk-canary")]);
    assert!(!format!("{settings:?}").contains("canary"));
}
