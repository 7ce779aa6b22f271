//! A browser's side of the chat socket, without the browser.

mod socket;

use anyhow::{Context, Result, bail, ensure};
use protocol::chat::{ClientFrame, ServerFrame, TurnTiming};
use protocol::session::{Block, Item, Outcome, Record, ToolFinished};
use protocol::{Problem, SessionId};

pub use socket::{Refusal, Socket};

/// One open page.
#[derive(Debug)]
pub struct Chat {
    socket: Socket,
    sent: u32,
    name: String,
    /// What the server said first.
    pub welcome: ServerFrame,
    /// The records seen so far.
    pub records: Vec<Record>,
}

/// One answered message.
#[derive(Debug)]
pub struct Answer {
    /// What was streamed.
    pub streamed: String,
    /// How the turn ended.
    pub outcome: Outcome,
    /// Where the time went.
    pub timing: TurnTiming,
    /// The records of the turn.
    pub records: Vec<Record>,
}

impl Answer {
    /// The assistant's text in the log.
    pub fn text(&self) -> String {
        assistant_text(&self.records)
    }

    /// The turn's tool calls that have ended.
    pub fn tools(&self) -> Vec<ToolFinished> {
        let finished = |record: &Record| match &record.item {
            Item::ToolFinished(finished) => Some(finished.clone()),
            _ => None,
        };
        self.records.iter().filter_map(finished).collect()
    }

    /// The problem that it failed with.
    pub fn problem(&self) -> Result<&Problem> {
        match &self.outcome {
            Outcome::Failed { problem } => Ok(problem),
            other => bail!("the turn did not fail, it ended as {other:?}: {}", self.text()),
        }
    }

    /// Fails unless the turn was completed.
    pub fn completed(self) -> Result<Self> {
        ensure!(self.outcome == Outcome::Completed, "the turn ended as {:?}", self.outcome);
        Ok(self)
    }
}

/// The assistant's text in records.
pub fn assistant_text(records: &[Record]) -> String {
    let blocks = records.iter().filter_map(|record| match &record.item {
        Item::Assistant(message) => Some(&message.blocks),
        _ => None,
    });
    let texts = blocks.flatten().filter_map(|block| match block {
        Block::Text { text } => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// The records as short words, such as `user assistant ended:completed`, to compare a whole log at
/// a glance.
pub fn outline(records: &[Record]) -> String {
    let word = |record: &Record| match &record.item {
        Item::User(_) => "user".to_owned(),
        Item::Assistant(_) => "assistant".to_owned(),
        Item::ToolStarted { .. } => "started".to_owned(),
        Item::ToolFinished(finished) => format!("finished:{:?}", finished.status).to_lowercase(),
        Item::FilesSaved { .. } => "saved".to_owned(),
        Item::FilesLost { .. } => "lost".to_owned(),
        Item::FilesUnsaved { .. } => "unsaved".to_owned(),
        Item::TurnEnded { outcome } => match outcome {
            Outcome::Completed => "completed".to_owned(),
            Outcome::Cancelled => "cancelled".to_owned(),
            Outcome::Failed { .. } => "failed".to_owned(),
        },
    };
    let shown = |record: &&Record| !matches!(record.item, Item::FilesSaved { .. });
    records.iter().filter(shown).map(word).collect::<Vec<_>>().join(" ")
}

impl Chat {
    /// Opens a page on a session of the agent at `url`, which shows records up to `after` already.
    pub async fn open(url: &str, session: &str, after: u64) -> Result<Self> {
        let socket = Socket::open(url, Some(url)).await?;
        let mut socket = socket.map_err(|refusal| anyhow::anyhow!("refused: {refusal:?}"))?;
        let session: SessionId = session.parse()?;
        let hello = ClientFrame::Hello { session, after };
        socket.text(&serde_json::to_string(&hello)?).await?;
        let welcome = socket.frame().await?;
        let ServerFrame::Welcome { head, .. } = &welcome else { bail!("no welcome: {welcome:?}") };
        let head = *head;
        // Unique across pages of one test, as a browser's are.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let name = format!("{:x}", now.context("the clock")?.as_nanos());
        let mut chat = Self { socket, sent: 0, name, welcome, records: Vec::new() };
        while chat.records.last().map_or(after, |record| record.sequence) < head {
            chat.frame().await?;
        }
        Ok(chat)
    }

    /// The log's head when the page was welcomed.
    pub fn head(&self) -> u64 {
        match &self.welcome {
            ServerFrame::Welcome { head, .. } => *head,
            _ => 0,
        }
    }

    /// The next frame; records are kept as well.
    pub async fn frame(&mut self) -> Result<ServerFrame> {
        let frame = self.socket.frame().await?;
        if let ServerFrame::Record { record } = &frame
            && self.records.last().is_none_or(|last| last.sequence < record.sequence)
        {
            self.records.push(record.clone());
        }
        Ok(frame)
    }

    /// Sends a message and returns its id.
    pub async fn send(&mut self, text: &str) -> Result<String> {
        self.sent += 1;
        let id = format!("{}-{}", self.name, self.sent);
        self.send_as(&id, text).await?;
        Ok(id)
    }

    /// Sends a message under an id of the caller's.
    pub async fn send_as(&mut self, id: &str, text: &str) -> Result<()> {
        self.say(&ClientFrame::Send { id: id.to_owned(), text: text.to_owned() }).await
    }

    /// Sends any frame.
    pub async fn say(&mut self, frame: &ClientFrame) -> Result<()> {
        self.raw(&serde_json::to_string(frame)?).await
    }

    /// Sends any text.
    pub async fn raw(&mut self, text: &str) -> Result<()> {
        self.socket.text(text).await
    }

    /// Waits for a frame that gives `Some`.
    pub async fn until<T>(&mut self, mut find: impl FnMut(ServerFrame) -> Option<T>) -> Result<T> {
        loop {
            if let Some(found) = find(self.frame().await?) {
                return Ok(found);
            }
        }
    }

    /// Waits for the acceptance of a message.
    pub async fn accepted(&mut self, wanted: &str) -> Result<()> {
        let problem = self
            .until(|frame| match frame {
                ServerFrame::Accepted { id } if id == wanted => Some(None),
                ServerFrame::Rejected { id, problem } if id == wanted => Some(Some(problem)),
                _ => None,
            })
            .await?;
        ensure!(problem.is_none(), "the message was rejected: {problem:?}");
        Ok(())
    }

    /// Waits for a rejection and gives the id that it names and the reason.
    pub async fn rejected(&mut self) -> Result<(String, Problem)> {
        self.until(|frame| match frame {
            ServerFrame::Rejected { id, problem } => Some((id, problem)),
            _ => None,
        })
        .await
    }

    /// Waits until this text has been streamed.
    pub async fn hears(&mut self, wanted: &str) -> Result<()> {
        let mut heard = String::new();
        self.until(|frame| match frame {
            ServerFrame::Text { text, .. } => {
                heard.push_str(&text);
                heard.contains(wanted).then_some(())
            }
            _ => None,
        })
        .await
    }

    /// Waits for a record that is wanted.
    pub async fn recorded(&mut self, wanted: impl Fn(&Item) -> bool) -> Result<Record> {
        self.until(|frame| match frame {
            ServerFrame::Record { record } if wanted(&record.item) => Some(record),
            _ => None,
        })
        .await
    }

    /// Gives a command and gives its answer.
    pub async fn command(&mut self, text: &str) -> Result<String> {
        let wanted = self.send(text).await?;
        self.until(|frame| match frame {
            ServerFrame::Notice { id, text } if id == wanted => Some(text),
            _ => None,
        })
        .await
    }

    /// Sends a message and waits for the end of its turn.
    pub async fn ask(&mut self, text: &str) -> Result<Answer> {
        self.send(text).await?;
        self.answer().await
    }

    /// Waits for the end of the turn that runs or is about to.
    pub async fn answer(&mut self) -> Result<Answer> {
        let mut streamed = String::new();
        let (turn, outcome, timing) = self
            .until(|frame| match frame {
                ServerFrame::Text { text, .. } => {
                    streamed.push_str(&text);
                    None
                }
                ServerFrame::Restarted { .. } | ServerFrame::Retrying { .. } => {
                    streamed.clear();
                    None
                }
                ServerFrame::Ended { turn, outcome, timing } => Some((turn, outcome, timing)),
                _ => None,
            })
            .await?;
        let records = self.records.iter().filter(|record| record.turn == turn).cloned().collect();
        Ok(Answer { streamed, outcome, timing, records })
    }
}
