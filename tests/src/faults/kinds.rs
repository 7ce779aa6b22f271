//! The faults: which one comes, and how it is done.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::chance::Chance;
use super::player::{Player, Trouble};
use crate::http;
use crate::process::{Signal, send};
use crate::stack::Stack;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The runtime is killed.
    KillRuntime,
    /// The runtime is asked to end, as hosts do.
    EndRuntime,
    /// Everything is killed, workerd included, and started again on the same state.
    KillAll,
    /// The model's answer breaks off.
    CutModel,
    /// The model falls silent in mid-answer.
    StallModel,
    /// R2 fails now and then.
    FailR2,
    /// R2 is slow.
    SlowR2,
    /// R2 writes, and its answer is lost.
    LoseR2Answers,
    /// The alarm rings when it should not, several times.
    RingTwice,
    /// The clock jumps ahead by hours.
    ClockAhead,
    /// The clock jumps back.
    ClockBack,
    /// Every message is sent twice.
    SentTwice,
}

/// The kinds, each as often as it is to come.
const TABLE: &[(Kind, u64)] = &[
    (Kind::KillRuntime, 26),
    (Kind::EndRuntime, 12),
    (Kind::KillAll, 6),
    (Kind::CutModel, 10),
    (Kind::StallModel, 4),
    (Kind::FailR2, 10),
    (Kind::SlowR2, 6),
    (Kind::LoseR2Answers, 10),
    (Kind::RingTwice, 5),
    (Kind::ClockAhead, 4),
    (Kind::ClockBack, 3),
    (Kind::SentTwice, 4),
];

/// What the issue of faults names and this machine or product cannot do, with the reason.
pub(super) const SKIPPED: &[(&str, &str)] =
    &[("disk_full", "the container's stand-in has no disk of its own that could be full")];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::KillRuntime => "kill_runtime",
            Self::EndRuntime => "end_runtime",
            Self::KillAll => "kill_all",
            Self::CutModel => "cut_model",
            Self::StallModel => "stall_model",
            Self::FailR2 => "fail_r2",
            Self::SlowR2 => "slow_r2",
            Self::LoseR2Answers => "lose_r2_answers",
            Self::RingTwice => "ring_twice",
            Self::ClockAhead => "clock_ahead",
            Self::ClockBack => "clock_back",
            Self::SentTwice => "sent_twice",
        })
    }
}

impl Kind {
    /// The next one.
    pub fn choose(chance: &mut Chance) -> Self {
        let all = TABLE.iter().map(|(_, weight)| weight).sum();
        let mut place = chance.below(all);
        for (kind, weight) in TABLE {
            if place < *weight {
                return *kind;
            }
            place -= weight;
        }
        Self::KillRuntime
    }

    /// Does it, and for what lasts also its end.
    pub(super) async fn happen(
        self,
        stack: &mut Stack,
        player: &Player,
        chance: &mut Chance,
    ) -> Result<()> {
        match self {
            Self::KillRuntime => signal_runtime(stack, Signal::Kill),
            Self::EndRuntime => signal_runtime(stack, Signal::Term),
            Self::KillAll => {
                stack.kill().await?;
                stack.start_again().await
            }
            Self::CutModel => {
                player.trouble(Trouble::Cut);
                Ok(())
            }
            Self::StallModel => {
                player.trouble(Trouble::Stall);
                Ok(())
            }
            Self::FailR2 => {
                let seed = chance.number() >> 1;
                let faults = json!({ "r2": { "fail_per_mille": 300, "seed": seed } });
                for_a_while(stack, &faults, chance).await
            }
            Self::SlowR2 => for_a_while(stack, &json!({ "r2": { "delay_ms": 80 } }), chance).await,
            Self::LoseR2Answers => {
                let seed = chance.number() >> 1;
                let faults = json!({ "r2": { "lose_answer_per_mille": 300, "seed": seed } });
                for_a_while(stack, &faults, chance).await
            }
            Self::RingTwice => order(stack, &json!({ "ring": 3 })).await,
            Self::ClockAhead => {
                let hours = 1 + chance.below(5);
                let offset = i64::try_from(hours * 3_600_000)?;
                order(stack, &json!({ "clock_offset_ms": offset, "ring": 2 })).await?;
                for_a_while(stack, &json!({ "clock_offset_ms": offset }), chance).await
            }
            Self::ClockBack => {
                let faults = json!({ "clock_offset_ms": -600_000, "ring": 2 });
                for_a_while(stack, &faults, chance).await
            }
            // The pages do it.
            Self::SentTwice => Ok(()),
        }
    }
}

/// No faults any more.
pub(super) async fn calm(stack: &Stack) -> Result<()> {
    order(stack, &json!({})).await
}

fn signal_runtime(stack: &Stack, signal: Signal) -> Result<()> {
    // There may be none at this instant; then the fault hits nothing.
    if let Some(pid) = stack.runtime_now()? {
        drop(send(pid, signal));
    }
    Ok(())
}

async fn for_a_while(stack: &Stack, faults: &Value, chance: &mut Chance) -> Result<()> {
    order(stack, faults).await?;
    tokio::time::sleep(Duration::from_millis(200 + chance.below(800))).await;
    calm(stack).await
}

async fn order(stack: &Stack, faults: &Value) -> Result<()> {
    let answer = http::post_json(&stack.url, "/faults", faults).await?;
    ensure!(answer.status == 204, "/faults: {} {}", answer.status, answer.body);
    Ok(())
}
