//! What must be true after everything that went wrong. Pure.

use std::collections::{BTreeMap, BTreeSet};

use protocol::session::{Item, Record, ToolStatus};

use crate::chat::assistant_text;

/// What was found wrong.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Findings {
    /// Accepted messages that are not in the log, or have no answer.
    pub lost: Vec<String>,
    /// Messages that are in the log twice.
    pub duplicated: Vec<String>,
    /// Side effects that happened twice although no call of theirs was interrupted.
    pub effects_twice: Vec<String>,
    /// Files that are not as a finished turn left them.
    pub files_lost: Vec<String>,
    /// Logs that are not sound.
    pub broken: Vec<String>,
}

impl Findings {
    /// Whether nothing is wrong.
    pub fn none(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what another look found.
    pub fn add(&mut self, other: Self) {
        self.lost.extend(other.lost);
        self.duplicated.extend(other.duplicated);
        self.effects_twice.extend(other.effects_twice);
        self.files_lost.extend(other.files_lost);
        self.broken.extend(other.broken);
    }
}

/// Looks at the log of one session: `messages` are the ids that were accepted, `tasks` what they
/// asked for, `effects` how often each task's side effect was seen.
pub fn look(
    session: &str,
    records: &[Record],
    messages: &[String],
    tasks: &[String],
    effects: &BTreeMap<String, usize>,
) -> Findings {
    let mut findings = Findings { broken: soundness(session, records), ..Findings::default() };
    let mut seen = BTreeMap::<&str, usize>::new();
    for record in records {
        if let Item::User(message) = &record.item {
            *seen.entry(message.event.as_str()).or_default() += 1;
        }
    }
    for message in messages {
        match seen.get(message.as_str()).copied().unwrap_or(0) {
            0 => findings.lost.push(format!("{session}: message {message}")),
            1 => {}
            times => findings.duplicated.push(format!("{session}: {message} {times} times")),
        }
    }
    let text = assistant_text(records);
    let words: BTreeSet<&str> = text.split_whitespace().collect();
    for task in tasks {
        if !words.contains(task.as_str()) {
            findings.lost.push(format!("{session}: task {task} has no answer"));
        }
        // A model that was told of lost files looks again and says once more that all is done.
        let told = said(records, task);
        if told > 1 + files_lost(records) {
            findings.duplicated.push(format!("{session}: {task} is answered {told} times"));
        }
        let times = effects.get(task).copied().unwrap_or(0);
        if times == 0 {
            findings.lost.push(format!("{session}: the side effect of {task}"));
        }
        if times > 1 + interrupted(records, task) {
            findings.effects_twice.push(format!("{session}: {task} {times} times"));
        }
    }
    findings
}

/// How many answers say that a task is done.
fn said(records: &[Record], task: &str) -> usize {
    let says = |record: &&Record| {
        let text = assistant_text(std::slice::from_ref(record));
        text.split_whitespace().any(|word| word == task)
    };
    records.iter().filter(says).count()
}

/// How often a model was told that files were lost.
fn files_lost(records: &[Record]) -> usize {
    records.iter().filter(|record| matches!(record.item, Item::FilesLost { .. })).count()
}

/// How many calls for a task's side effect were interrupted.
fn interrupted(records: &[Record], task: &str) -> usize {
    let prefix = format!("c_{task}_1_do_");
    let of_task = |record: &&Record| {
        matches!(&record.item, Item::ToolFinished(end)
            if end.status == ToolStatus::Interrupted && end.call.as_str().starts_with(&prefix))
    };
    records.iter().filter(of_task).count()
}

/// What is wrong with a log by itself.
fn soundness(session: &str, records: &[Record]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut open = BTreeSet::new();
    let mut turn = None;
    for (number, record) in (1_u64..).zip(records) {
        if record.sequence != number {
            wrong.push(format!(
                "{session}: record {} stands where {number} should",
                record.sequence
            ));
            break;
        }
        if turn.is_some_and(|turn| turn != &record.turn) {
            wrong.push(format!("{session}: {number} belongs to another turn than its neighbours"));
        }
        turn = Some(&record.turn);
        match &record.item {
            Item::ToolStarted { call, .. } if !open.insert(call.clone()) => {
                wrong.push(format!("{session}: {call} is started twice"));
            }
            Item::ToolFinished(end) => {
                open.remove(&end.call);
            }
            Item::TurnEnded { .. } => {
                if !open.is_empty() {
                    wrong.push(format!("{session}: {number} ends a turn with {open:?} open"));
                    open.clear();
                }
                turn = None;
            }
            _ => {}
        }
    }
    if turn.is_some() {
        wrong.push(format!("{session}: the last turn has no end"));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use protocol::session::{
        AssistantMessage, Block, Outcome, Stop, ToolFinished, Usage, UserMessage,
    };

    use super::*;

    fn log(items: Vec<Item>) -> Vec<Record> {
        let turn = || "t".parse().unwrap();
        let numbered = (1..).zip(items);
        numbered.map(|(sequence, item)| Record { sequence, at_ms: 1, turn: turn(), item }).collect()
    }

    fn user(event: &str) -> Item {
        let (channel, text) = ("web".into(), "x".into());
        Item::User(UserMessage { channel, event: event.into(), text })
    }

    fn says(text: &str) -> Item {
        let blocks = vec![Block::Text { text: text.into() }];
        let (stop, usage) = (Stop::EndTurn, Usage::default());
        Item::Assistant(AssistantMessage {
            blocks,
            stop,
            model: "m".into(),
            usage,
            instead_of: None,
        })
    }

    fn ended() -> Item {
        Item::TurnEnded { outcome: Outcome::Completed }
    }

    fn finished(call: &str, status: ToolStatus) -> Item {
        let (call, output, images) = (call.parse().unwrap(), String::new(), Vec::new());
        Item::ToolFinished(ToolFinished { call, status, output, images, duration_ms: 1 })
    }

    fn found(items: Vec<Item>, times: usize) -> Findings {
        let effects = BTreeMap::from([("s-a".to_owned(), times)]);
        look("s", &log(items), &["m1".into()], &["s-a".into()], &effects)
    }

    #[test]
    fn a_sound_log_has_no_findings() {
        assert!(found(vec![user("m1"), says("done s-a"), ended()], 1).none());
    }

    #[test]
    fn each_kind_of_wrong_is_found() {
        assert_eq!(found(vec![says("done s-a"), ended()], 1).lost.len(), 1);
        assert_eq!(found(vec![user("m1"), says("hm"), ended()], 1).lost.len(), 1);
        assert_eq!(found(vec![user("m1"), says("done s-a"), ended()], 0).lost.len(), 1);
        let twice = vec![user("m1"), user("m1"), says("done s-a"), ended()];
        assert_eq!(found(twice, 1).duplicated.len(), 1);
        assert_eq!(found(vec![user("m1"), says("done s-a"), ended()], 2).effects_twice.len(), 1);
        assert_eq!(found(vec![user("m1"), says("done s-a")], 1).broken.len(), 1);
        let twice = vec![user("m1"), says("done s-a"), says("done s-a"), ended()];
        assert_eq!(found(twice, 1).duplicated.len(), 1);
    }

    #[test]
    fn a_second_effect_after_an_interrupted_call_is_labelled() {
        let end = finished("c_s-a_1_do_1", ToolStatus::Interrupted);
        assert!(found(vec![user("m1"), end, says("done s-a"), ended()], 2).none());
    }
}
