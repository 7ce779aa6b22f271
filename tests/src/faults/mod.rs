//! The fault harness: conversations whose steps change files and have counted side effects, while
//! parts of the stack are killed, cut off, slowed down or lied to; afterwards the books are looked at.
//!
//! Invariant: what goes wrong, and when, follows from the seed alone.

pub mod books;
pub mod chance;
mod delivered;
mod disk;
mod ending;
mod keeper;
mod kinds;
mod moment;
mod plan;
mod player;
mod report;
mod rest;
mod tables;
mod talk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::future::{try_join, try_join_all};

pub use keeper::serve as keep_workerd;
pub use kinds::Kind;
pub use report::Report;

use crate::hook::{HOOK_SECRET, Receiver};
use crate::limits::{FAULTS_ROUNDS_PER_SESSION, FAULTS_SECOND_IN, FAULTS_SESSIONS};
use crate::stack::{CANARY_KEY, NO_CAPS, Stack};
use chance::Chance;
use disk::Disk;
use kinds::Victims;
use moment::Moment;
use player::Player;
use talk::{Message, Talk, Way};

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where chance begins.
    pub seed: u64,
    /// How many rounds; each has one fault or two.
    pub rounds: u32,
    /// A program that calls [`keep_workerd`] first of all.
    pub keeper: PathBuf,
    /// Told after each round.
    pub progress: fn(&str),
}

/// The token that shows the owner's restic in.
const TOKEN: &str = "token-of-the-harness-2718281828";

/// One conversation and what it was asked.
#[derive(Debug)]
struct Session {
    way: Way,
    messages: Vec<String>,
    tasks: Vec<String>,
}

/// What goes wrong in a round, and when.
#[derive(Debug, Clone, Copy)]
struct Fault {
    kind: Kind,
    moment: Moment,
}

/// The harness in the middle of its work.
#[derive(Debug)]
struct Harness {
    victims: Victims,
    effects: PathBuf,
    chance: Chance,
    sessions: BTreeMap<String, Session>,
    report: Report,
}

/// Runs the rounds and looks at the books. The stack's folder is kept when something is wrong.
pub async fn run(options: &Options) -> Result<Report> {
    let effects = tempfile::TempDir::with_prefix("pagurus-effects-")?;
    let mut report = Report::new(options);
    let victims = victims(options, effects.path(), &mut report).await?;
    let mut harness = Harness {
        victims,
        effects: effects.path().to_owned(),
        chance: Chance::new(options.seed),
        sessions: BTreeMap::new(),
        report,
    };
    for round in 0..options.rounds {
        // Its own, so that what one round makes of it does not change the next.
        let mut chance = Chance::new(harness.chance.number());
        let faults = harness.choose(&mut chance);
        let took = harness.day(round, &faults, &mut chance).await;
        match took.with_context(|| format!("round {round}, {faults:?}")) {
            Ok(took) => (options.progress)(&format!(
                "round {:>4}  {:<30}  {:>6} ms",
                round + 1,
                names(&faults),
                took.as_millis()
            )),
            Err(error) => {
                harness.report.error = Some(format!("{error:#}"));
                break;
            }
        }
    }
    harness.end().await
}

/// The faults of one round in words.
fn names(faults: &[Fault]) -> String {
    faults.iter().map(|fault| fault.kind.to_string()).collect::<Vec<_>>().join(" + ")
}

/// Starts everything that faults are done to, and notes what this machine cannot do.
async fn victims(options: &Options, effects: &Path, report: &mut Report) -> Result<Victims> {
    let player = Player::start(effects).await?;
    let receiver = Receiver::start().await?;
    let mut variables = vec![
        ("ANTHROPIC_API_KEY", CANARY_KEY.to_owned()),
        ("ANTHROPIC_BASE_URL", player.url.clone()),
        ("API_TOKEN", TOKEN.to_owned()),
        ("FAULTS", "true".to_owned()),
        ("MODEL_IDLE_TIMEOUT_MS", "1500".to_owned()),
        ("MODEL_FIRST_BYTE_TIMEOUT_MS", "5000".to_owned()),
        ("WEBHOOK_SECRET", HOOK_SECRET.to_owned()),
        ("WEBHOOK_REPLY_URL", receiver.url.clone()),
    ];
    // A call whose end nobody saw counts with all that it can have cost, and here that is usual.
    variables.extend(NO_CAPS.map(|(name, none)| (name, none.to_owned())));
    let kept = keeper::variables(&options.keeper)?;
    let is_kept = kept.is_ok();
    match kept {
        Ok(kept) => variables.extend(kept.map(|(name, path)| (name, path.display().to_string()))),
        Err(why) => report.skip("kill_workerd", why),
    }
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let stack = Stack::prepare(&variables)?;
    let disk = match Disk::mount(&stack.folder().join("state/work"))? {
        Ok(disk) => Some(disk),
        Err(why) => {
            report.skip("fill_disk", why);
            None
        }
    };
    let mut victims = Victims { disk, stack, player, receiver, is_kept };
    victims.stack.start_again().await?;
    Ok(victims)
}

impl Harness {
    /// What goes wrong in the next round.
    fn choose(&self, chance: &mut Chance) -> Vec<Fault> {
        let count = 1 + u32::from(chance.below(FAULTS_SECOND_IN) == 0);
        let mut faults = Vec::new();
        for _ in 0..count {
            let kind = Kind::choose(chance).possible(&self.victims);
            faults.push(Fault { kind, moment: Moment::choose(chance) });
        }
        faults
    }

    /// A round, and a night before it when new conversations begin.
    async fn day(&mut self, round: u32, faults: &[Fault], chance: &mut Chance) -> Result<Duration> {
        if round > 0 && round.is_multiple_of(FAULTS_ROUNDS_PER_SESSION) {
            self.rest().await.context("in the night before it")?;
        }
        self.round(round, faults, chance).await
    }

    /// Faults in the middle of conversations, and their end; gives the time from the first fault to
    /// the last answer.
    async fn round(
        &mut self,
        round: u32,
        faults: &[Fault],
        chance: &mut Chance,
    ) -> Result<Duration> {
        let generation = round / FAULTS_ROUNDS_PER_SESSION;
        let repeat = faults.iter().any(|fault| fault.kind == Kind::SentTwice);
        let mut pages = Vec::new();
        for n in 0..FAULTS_SESSIONS {
            let count = 1 + chance.below(2);
            pages.push(self.ask(&format!("s{n}x{generation}"), (round, count), repeat).run());
        }
        let count = 1 + chance.below(2);
        pages.push(self.ask(&format!("hook:h{generation}"), (round, count), repeat).run());
        let (victims, effects) = (&mut self.victims, &self.effects);
        let suffer = async {
            let mut began = None;
            for fault in faults {
                fault.moment.come(&victims.player, effects).await;
                began = began.or(Some(Instant::now()));
                let happened = fault.kind.happen(victims, chance).await;
                happened.with_context(|| format!("doing {fault:?}"))?;
            }
            anyhow::Ok(began)
        };
        let (told, began) = try_join(try_join_all(pages), suffer).await?;
        let took = began.map(|began| began.elapsed()).unwrap_or_default();
        self.report.round(faults.iter().map(|fault| fault.kind), took);
        for told in told {
            self.report.explain(&names(faults), told.explained);
        }
        Ok(took)
    }

    /// What a session is asked in a round: one task, or two in quick succession.
    fn ask(&mut self, session: &str, (round, count): (u32, u64), repeat: bool) -> Talk {
        let hook = session.strip_prefix("hook:");
        let way = hook.map_or(Way::Page, |name| Way::Hook(name.to_owned()));
        let (messages, tasks) = (Vec::new(), Vec::new());
        let entry = self.sessions.entry(session.to_owned());
        let entry = entry.or_insert(Session { way: way.clone(), messages, tasks });
        let (mut unaccepted, mut tasks) = (Vec::new(), Vec::new());
        for n in 0..count {
            let task = format!("{}-r{round}n{n}", hook.unwrap_or(session));
            let id = format!("m-{task}");
            let text = format!("Please see to task:{task}");
            // A hook's name stands before its messages' ids.
            entry.messages.push(hook.map_or(id.clone(), |name| format!("{name}/{id}")));
            unaccepted.push(Message { id, text });
            entry.tasks.push(task.clone());
            tasks.push(task);
        }
        self.report.accepted += unaccepted.len();
        let url = self.victims.stack.url.clone();
        Talk { url, session: session.to_owned(), unaccepted, said: Vec::new(), tasks, way, repeat }
    }
}
