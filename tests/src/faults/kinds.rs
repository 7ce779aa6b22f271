//! The faults: which one comes, and how it is done.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::chance::Chance;
use super::disk::Disk;
use super::player::{Player, Trouble};
use crate::hook::{Receiver, Reception};
use crate::http;
use crate::limits::{CONDITION, POLL};
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
    /// workerd alone is killed: the object is reset, its container runs on.
    KillWorkerd,
    /// The platform resets the object, and the isolate lives on.
    ResetObject,
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
    /// Every message is sent twice; those by webhook three times and out of order.
    SentTwice,
    /// The receiver of answers refuses, fails, or takes one and says nothing.
    FailReceiver,
    /// The container's disk is full for a while.
    FillDisk,
}

/// The kinds, each with its name and how often it is to come.
const TABLE: &[(Kind, &str, u64)] = &[
    (Kind::KillRuntime, "kill_runtime", 26),
    (Kind::EndRuntime, "end_runtime", 12),
    (Kind::KillAll, "kill_all", 6),
    (Kind::KillWorkerd, "kill_workerd", 14),
    (Kind::ResetObject, "reset_object", 10),
    (Kind::CutModel, "cut_model", 10),
    (Kind::StallModel, "stall_model", 4),
    (Kind::FailR2, "fail_r2", 10),
    (Kind::SlowR2, "slow_r2", 6),
    (Kind::LoseR2Answers, "lose_r2_answers", 10),
    (Kind::RingTwice, "ring_twice", 5),
    (Kind::ClockAhead, "clock_ahead", 4),
    (Kind::ClockBack, "clock_back", 3),
    (Kind::SentTwice, "sent_twice", 6),
    (Kind::FailReceiver, "fail_receiver", 5),
    (Kind::FillDisk, "fill_disk", 5),
];

/// What the faults are done to.
#[derive(Debug)]
pub(super) struct Victims {
    /// The small disk below the containers, where there is one. Before the stack, which uses it.
    pub(super) disk: Option<Disk>,
    /// The product.
    pub(super) stack: Stack,
    /// Its model.
    pub(super) player: Player,
    /// Where its answers by webhook go.
    pub(super) receiver: Receiver,
    /// Whether workerd comes back by itself.
    pub(super) is_kept: bool,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = TABLE.iter().find(|(kind, ..)| kind == self);
        f.pad(row.map_or("unknown", |(_, name, _)| *name))
    }
}

impl Kind {
    /// The next one. The same number chooses the same one whatever the machine can do.
    pub(super) fn choose(chance: &mut Chance) -> Self {
        let all = TABLE.iter().map(|(.., weight)| weight).sum();
        let mut place = chance.below(all);
        for (kind, _, weight) in TABLE {
            if place < *weight {
                return *kind;
            }
            place -= weight;
        }
        Self::KillRuntime
    }

    /// This one, or one that these victims can suffer in its place.
    pub(super) fn possible(self, victims: &Victims) -> Self {
        match self {
            Self::KillWorkerd if !victims.is_kept => Self::KillAll,
            Self::FillDisk if victims.disk.is_none() => Self::KillRuntime,
            other => other,
        }
    }

    /// Does it, and for what lasts also its end.
    pub(super) async fn happen(self, victims: &mut Victims, chance: &mut Chance) -> Result<()> {
        let stack = &mut victims.stack;
        match self {
            Self::KillRuntime => signal_runtime(stack, Signal::Kill),
            Self::EndRuntime => signal_runtime(stack, Signal::Term),
            Self::KillAll => {
                stack.kill().await?;
                stack.start_again().await
            }
            Self::KillWorkerd => stack.kill_workerd(),
            Self::ResetObject => order(stack, &json!({ "reset": true })).await,
            Self::CutModel => {
                victims.player.trouble(Trouble::Cut);
                Ok(())
            }
            Self::StallModel => {
                victims.player.trouble(Trouble::Stall);
                Ok(())
            }
            Self::RingTwice => order(stack, &json!({ "ring": 3 })).await,
            // The pages and the senders of webhooks do it.
            Self::SentTwice => Ok(()),
            Self::FailReceiver => {
                victims.receiver.script(RECEPTIONS);
                Ok(())
            }
            Self::FillDisk => full_for_a_while(victims, chance).await,
            Self::FailR2
            | Self::SlowR2
            | Self::LoseR2Answers
            | Self::ClockAhead
            | Self::ClockBack => self.last(stack, chance).await,
        }
    }

    /// Does what is told to the Worker and lasts for a while.
    async fn last(self, stack: &Stack, chance: &mut Chance) -> Result<()> {
        let seed = chance.number() >> 1;
        let faults = match self {
            Self::FailR2 => json!({ "r2": { "fail_per_mille": 300, "seed": seed } }),
            Self::SlowR2 => json!({ "r2": { "delay_ms": 80 } }),
            Self::LoseR2Answers => json!({ "r2": { "lose_answer_per_mille": 300, "seed": seed } }),
            Self::ClockAhead => {
                let hours = 1 + chance.below(5);
                json!({ "clock_offset_ms": i64::try_from(hours * 3_600_000)?, "ring": 2 })
            }
            _ => json!({ "clock_offset_ms": -600_000, "ring": 2 }),
        };
        order(stack, &faults).await?;
        a_while(chance).await;
        calm(stack).await
    }
}

/// What a failing receiver does, one after the other.
const RECEPTIONS: &[Reception] = &[
    Reception::Status(500),
    Reception::Status(429),
    Reception::Status(503),
    Reception::TakeAndHang,
];

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

async fn full_for_a_while(victims: &Victims, chance: &mut Chance) -> Result<()> {
    let Some(disk) = &victims.disk else { return Ok(()) };
    disk.fill()?;
    a_while(chance).await;
    disk.clear()
}

async fn a_while(chance: &mut Chance) {
    sleep(Duration::from_millis(200 + chance.below(800))).await;
}

/// Has the Worker's fault layer do this.
pub(super) async fn order(stack: &Stack, faults: &Value) -> Result<()> {
    let deadline = Instant::now() + CONDITION;
    loop {
        match http::post_json(&stack.url, "/faults", faults).await {
            Ok(answer) if answer.status == 204 => return Ok(()),
            // An earlier fault may not be over yet.
            said if Instant::now() > deadline => {
                let answer = said.context("asking for faults")?;
                bail!("/faults: {} {}", answer.status, answer.body);
            }
            _ => sleep(POLL).await,
        }
    }
}
