//! What must be true of the answers that left by webhook. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::books::Findings;
use crate::hook::Received;

/// Looks at what the receiver has taken: `tasks` are those that came by webhook, `outgoing` are the
/// books' rows by key, with their chat and place.
pub(super) fn look(
    received: &[Received],
    tasks: &[String],
    outgoing: &BTreeMap<String, (String, i64)>,
) -> Findings {
    let mut findings = Findings::default();
    let mut seen = BTreeSet::new();
    let mut last = BTreeMap::<&str, i64>::new();
    for message in received {
        let key = message.key.as_str();
        if !message.genuine {
            findings.broken.push(format!("webhook: {key} has a wrong signature"));
        }
        let labelled = message.body.get("possible_duplicate") == Some(&Value::Bool(true));
        if !seen.insert(key) {
            if !labelled {
                findings.duplicated.push(format!("webhook: {key} came again without a label"));
            }
            continue;
        }
        let Some((chat, place)) = outgoing.get(key) else {
            findings.broken.push(format!("webhook: {key} is not in the books"));
            continue;
        };
        if last.insert(chat, *place).is_some_and(|before| before > *place) {
            findings.broken.push(format!("webhook: {key} came before an earlier answer"));
        }
    }
    for task in tasks {
        if !received.iter().any(|message| tells(message, task)) {
            findings.lost.push(format!("webhook: nobody was told of {task}"));
        }
    }
    findings
}

/// Whether an answer says that a task is done.
pub(super) fn tells(message: &Received, task: &str) -> bool {
    let text = message.body.get("text").and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().any(|word| word == task)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn received(key: &str, possible_duplicate: bool) -> Received {
        let body = json!({ "text": "done h-a", "possible_duplicate": possible_duplicate });
        Received { key: key.into(), body, genuine: true }
    }

    fn found(messages: &[Received]) -> Findings {
        let place = |n| ("hook/c".to_owned(), n);
        let outgoing = BTreeMap::from([("k1".to_owned(), place(1)), ("k2".to_owned(), place(2))]);
        look(messages, &["h-a".to_owned()], &outgoing)
    }

    #[test]
    fn once_each_and_in_order_is_well() {
        assert!(found(&[received("k1", false), received("k2", false)]).none());
        assert!(found(&[received("k1", false), received("k1", true)]).none());
    }

    #[test]
    fn each_kind_of_wrong_is_found() {
        assert_eq!(found(&[]).lost.len(), 1);
        assert_eq!(found(&[received("k1", false), received("k1", false)]).duplicated.len(), 1);
        assert_eq!(found(&[received("k2", false), received("k1", false)]).broken.len(), 1);
        assert_eq!(found(&[received("k3", false)]).broken.len(), 1);
        let forged = Received { genuine: false, ..received("k1", false) };
        assert_eq!(found(&[forged]).broken.len(), 1);
    }
}
