//! One page that talks to the agent, and does not give up while the stack dies and comes back.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use protocol::chat::{ClientFrame, ServerFrame};
use protocol::session::{Item, Outcome, Record};
use tokio::time::timeout;

use crate::chat::{Chat, assistant_text};
use crate::hook;
use crate::limits::{FAULTS_PATIENCE, FAULTS_RECONNECT, FAULTS_SILENCE};

/// What became of the messages of one session in one round.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Turns that failed with a reason, after which the person said "go on".
    pub(super) explained: usize,
}

/// A message that is to be accepted once.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// Its id, the same however often it is sent.
    pub(super) id: String,
    /// Its text.
    pub(super) text: String,
}

/// How messages reach the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// Through the page.
    Page,
    /// By webhook, under this name; a page only watches.
    Hook(String),
}

/// One session's part in a round.
#[derive(Debug)]
pub(super) struct Talk {
    /// Where the agent is.
    pub(super) url: String,
    /// The session.
    pub(super) session: String,
    /// What is to be said and was not accepted yet.
    pub(super) unaccepted: Vec<Message>,
    /// What must be done at the end.
    pub(super) tasks: Vec<String>,
    /// How they are said.
    pub(super) way: Way,
    /// Whether every message is sent again and again.
    pub(super) repeat: bool,
}

impl Talk {
    /// Says the messages until all of the tasks are done, whatever happens to the stack.
    pub(super) async fn run(mut self) -> Result<Told> {
        let deadline = Instant::now() + FAULTS_PATIENCE;
        let mut told = Told::default();
        let mut last = String::new();
        while Instant::now() < deadline {
            match timeout(FAULTS_SILENCE, self.converse(&mut told)).await {
                Ok(Ok(())) => return Ok(told),
                Ok(Err(error)) => last = format!("{error:#}"),
                Err(elapsed) => last = format!("{elapsed}"),
            }
            tokio::time::sleep(FAULTS_RECONNECT).await;
        }
        let Self { session, tasks, .. } = self;
        bail!("session {session} has no answer to {tasks:?} within {FAULTS_PATIENCE:?}: {last}")
    }

    async fn converse(&mut self, told: &mut Told) -> Result<()> {
        let mut chat = Chat::open(&self.url, &self.session, 0).await?;
        let mut busy = self.say(&mut chat).await? || waits(&chat);
        loop {
            match standing(&chat.records, &self.tasks) {
                Standing::Done if !busy => return Ok(()),
                Standing::Explained if !busy => {
                    told.explained += 1;
                    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                    let nanoseconds = now.context("the clock")?.as_nanos();
                    let id = format!("{}-again-{nanoseconds:x}", self.session);
                    self.deliver(&mut chat, &Message { id, text: "go on".into() }).await?;
                    busy = true;
                }
                _ => {}
            }
            match chat.frame().await? {
                ServerFrame::Record { .. } | ServerFrame::Ended { .. } => busy = false,
                ServerFrame::Answer { key, .. } => {
                    chat.say(&ClientFrame::Received { key }).await?;
                }
                _ => {}
            }
        }
    }

    /// Says what was not accepted yet; whether a turn is to come of it.
    async fn say(&mut self, chat: &mut Chat) -> Result<bool> {
        let known = |message: &Message| chat.records.iter().any(|record| is_of(record, message));
        let any = self.unaccepted.iter().any(|message| !known(message));
        if self.repeat && self.way != Way::Page {
            // Three times in all, and the last one first.
            for message in self.unaccepted.iter().rev().chain(self.unaccepted.iter().rev()) {
                self.deliver(chat, message).await?;
            }
        }
        while let Some(message) = self.unaccepted.first() {
            for _ in 0..=u8::from(self.repeat && self.way == Way::Page) {
                self.deliver(chat, message).await?;
            }
            self.unaccepted.remove(0);
        }
        Ok(any)
    }

    /// Says one message; on return it is accepted.
    async fn deliver(&self, chat: &mut Chat, message: &Message) -> Result<()> {
        match &self.way {
            Way::Page => {
                chat.send_as(&message.id, &message.text).await?;
                chat.accepted(&message.id).await
            }
            Way::Hook(name) => {
                let answer = hook::send(&self.url, name, &message.id, &message.text).await?;
                ensure!(answer.status == 200, "the hook: {} {}", answer.status, answer.body);
                Ok(())
            }
        }
    }
}

/// Whether a record is this message's. A webhook's id stands behind the hook's name.
fn is_of(record: &Record, message: &Message) -> bool {
    matches!(&record.item, Item::User(user) if user.event.ends_with(&message.id))
}

fn waits(chat: &Chat) -> bool {
    match &chat.welcome {
        ServerFrame::Welcome { queued, .. } => !queued.is_empty(),
        _ => false,
    }
}

/// How a session stands.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// The last turn is over and all tasks are done.
    Done,
    /// The last turn is over and tasks are not done.
    Explained,
    /// A turn runs or is to come.
    Open,
}

fn standing(records: &[Record], tasks: &[String]) -> Standing {
    let Some(Item::TurnEnded { outcome }) = records.last().map(|record| &record.item) else {
        return Standing::Open;
    };
    let text = assistant_text(records);
    let words: Vec<&str> = text.split_whitespace().collect();
    let done = tasks.iter().all(|task| words.contains(&task.as_str()));
    let lost = records.iter().rposition(|r| matches!(r.item, Item::FilesLost { .. }));
    let answered = records.iter().rposition(|r| matches!(r.item, Item::Assistant(_)));
    match outcome {
        Outcome::Completed if done && lost <= answered => Standing::Done,
        _ => Standing::Explained,
    }
}

/// All records of a session.
pub(super) async fn records(url: &str, session: &str) -> Result<Vec<Record>> {
    let open = timeout(Duration::from_secs(20), Chat::open(url, session, 0));
    Ok(open.await.context("opening a page")??.records)
}
