//! What a run of the harness came to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::Options;
use super::books::Findings;
use super::kinds::Kind;

/// The figures of one run.
#[derive(Debug)]
pub struct Report {
    seed: u64,
    wanted: u32,
    faults: BTreeMap<Kind, u32>,
    recovery_ms: Vec<u128>,
    skipped: BTreeMap<&'static str, String>,
    /// Messages that were accepted.
    pub accepted: usize,
    /// Messages that were answered.
    pub answered: usize,
    /// Turns that ended without the work done, by the round's faults and the reason that was told.
    pub explained: BTreeMap<String, usize>,
    /// How often the model was asked.
    pub model_calls: usize,
    /// Answers that the receiver of webhooks has taken, repetitions among them.
    pub delivered: usize,
    /// How often the repository was tidied.
    pub tidied: u32,
    /// Snapshots of the workspace that the stock client has checked.
    pub snapshots: usize,
    /// What was found wrong.
    pub findings: Findings,
    /// Why the run ended early, if it did.
    pub error: Option<String>,
    /// Where the stack's state is, when it was kept.
    pub kept: Option<PathBuf>,
}

impl Report {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            seed: options.seed,
            wanted: options.rounds,
            faults: BTreeMap::new(),
            recovery_ms: Vec::new(),
            skipped: BTreeMap::new(),
            accepted: 0,
            answered: 0,
            explained: BTreeMap::new(),
            model_calls: 0,
            delivered: 0,
            tidied: 0,
            snapshots: 0,
            findings: Findings::default(),
            error: None,
            kept: None,
        }
    }

    /// Notes what this machine cannot do or suffer, and why.
    pub(super) fn skip(&mut self, what: &'static str, why: String) {
        self.skipped.insert(what, why);
    }

    /// Notes why turns ended without the work done. The person said "go on" to each.
    pub(super) fn explain(&mut self, faults: &str, reasons: Vec<String>) {
        self.accepted += reasons.len();
        for reason in reasons {
            *self.explained.entry(format!("{faults}: {reason}")).or_default() += 1;
        }
    }

    /// Notes a round: its faults, and how long it took from the first to the last answer.
    pub(super) fn round(&mut self, kinds: impl Iterator<Item = Kind>, took: Duration) {
        for kind in kinds {
            *self.faults.entry(kind).or_default() += 1;
        }
        self.recovery_ms.push(took.as_millis());
    }

    /// Whether something must be looked into.
    pub fn is_bad(&self) -> bool {
        self.error.is_some() || !self.findings.none()
    }

    fn percentile(&self, percent: usize) -> u128 {
        let mut sorted = self.recovery_ms.clone();
        sorted.sort_unstable();
        let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        sorted.get(place).copied().unwrap_or(0)
    }

    /// The figures for a program.
    pub fn json(&self) -> Value {
        let faults: BTreeMap<String, u32> =
            self.faults.iter().map(|(kind, count)| (kind.to_string(), *count)).collect();
        json!({
            "seed": self.seed,
            "rounds": self.recovery_ms.len(),
            "rounds_wanted": self.wanted,
            "faults": faults,
            "accepted": self.accepted,
            "answered": self.answered,
            "failed_explained": self.explained.values().sum::<usize>(),
            "explanations": self.explained,
            "model_calls": self.model_calls,
            "answers_by_webhook": self.delivered,
            "repository_tidied": self.tidied,
            "snapshots_checked": self.snapshots,
            "lost": self.findings.lost.len(),
            "duplicated_without_label": self.findings.duplicated.len(),
            "side_effects_twice_without_label": self.findings.effects_twice.len(),
            "files_lost": self.findings.files_lost.len(),
            "sessions_broken": self.findings.broken.len(),
            "recover_ms": { "p50": self.percentile(50), "p95": self.percentile(95) },
            "skipped": self.skipped,
            "details": {
                "lost": self.findings.lost,
                "duplicated": self.findings.duplicated,
                "effects_twice": self.findings.effects_twice,
                "files_lost": self.findings.files_lost,
                "broken": self.findings.broken,
            },
            "error": self.error,
            "state_kept_in": self.kept,
        })
    }
}
