//! One page that talks to the agent, and does not give up while the stack dies and comes back.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use protocol::chat::{ClientFrame, ServerFrame};
use protocol::session::{Item, Outcome, Record};
use tokio::time::timeout;

use crate::chat::{Chat, assistant_text};
use crate::hook;
use crate::limits::{FAULTS_PATIENCE, FAULTS_READING, FAULTS_RECONNECT, FAULTS_SILENCE};

/// Words of a model's excuse that tell one from another.
const LAST_WORDS_MAX: usize = 6;

/// What became of the messages of one session in one round.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Why turns ended without the work done, after which the person said "go on".
    pub(super) explained: Vec<String>,
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
    /// The ids of what was accepted.
    pub(super) said: Vec<String>,
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
        self.say(&mut chat).await?;
        loop {
            // What is accepted and not in the log yet has its turn to come.
            let is_taken = |said: &String| chat.records.iter().any(|record| is_of(record, said));
            if self.said.iter().all(is_taken) {
                match standing(&chat.records, &self.tasks) {
                    Standing::Done => return Ok(()),
                    Standing::Explained(why) => {
                        told.explained.push(why);
                        self.go_on(&mut chat).await?;
                    }
                    Standing::Open => {}
                }
            }
            if let ServerFrame::Answer { key, .. } = chat.frame().await? {
                chat.say(&ClientFrame::Received { key }).await?;
            }
        }
    }

    /// What a person says who has read why the work is not done.
    async fn go_on(&mut self, chat: &mut Chat) -> Result<()> {
        tokio::time::sleep(FAULTS_READING).await;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let id = format!("again-{:x}", now.context("the clock")?.as_nanos());
        self.unaccepted.push(Message { id, text: "go on".into() });
        self.say(chat).await
    }

    /// Says what was not accepted yet.
    async fn say(&mut self, chat: &mut Chat) -> Result<()> {
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
            self.said.push(self.unaccepted.remove(0).id);
        }
        Ok(())
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

/// Whether a record is the message of this id. A webhook's id stands behind the hook's name.
fn is_of(record: &Record, id: &str) -> bool {
    matches!(&record.item, Item::User(user) if user.event.ends_with(id))
}

/// How a session stands.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// The last turn is over and all tasks are done.
    Done,
    /// The last turn is over and tasks are not done; why.
    Explained(String),
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
        Outcome::Completed => Standing::Explained(last_words(records)),
        Outcome::Cancelled => Standing::Explained("cancelled".to_owned()),
        Outcome::Failed { problem } => Standing::Explained(format!("{:?}", problem.code)),
    }
}

/// The beginning of what the model said last, without the names of tasks.
fn last_words(records: &[Record]) -> String {
    let said = records.iter().rev().map(|record| assistant_text(std::slice::from_ref(record)));
    let said = said.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
    said.split_whitespace().take(LAST_WORDS_MAX).collect::<Vec<_>>().join(" ")
}

/// Takes every answer that waits for a page of this session.
pub(super) async fn take_answers(url: &str, session: &str) -> Result<()> {
    let mut chat = Chat::open(url, session, 0).await?;
    let hello = ClientFrame::Hello { session: session.parse()?, after: chat.head() };
    // What is said between two greetings has been heard when the second is answered.
    for _ in 0..2 {
        chat.say(&hello).await?;
        let mut keys = Vec::new();
        chat.until(|frame| match frame {
            ServerFrame::Answer { key, .. } => {
                keys.push(key);
                None
            }
            ServerFrame::Welcome { .. } => Some(()),
            _ => None,
        })
        .await?;
        for key in keys {
            chat.say(&ClientFrame::Received { key }).await?;
        }
    }
    chat.say(&hello).await?;
    chat.until(|frame| matches!(frame, ServerFrame::Welcome { .. }).then_some(())).await
}

/// All records of a session.
pub(super) async fn records(url: &str, session: &str) -> Result<Vec<Record>> {
    let open = timeout(Duration::from_secs(20), Chat::open(url, session, 0));
    Ok(open.await.context("opening a page")??.records)
}
