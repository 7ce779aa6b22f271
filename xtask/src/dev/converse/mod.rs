//! Says messages to the agent as the chat page does, and prints the replies.

mod exchange;
#[cfg(test)]
mod tests;

use std::io::ErrorKind::{TimedOut, WouldBlock};
use std::net::{Ipv4Addr, TcpStream};
use std::process;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, bail};
use protocol::Problem;
use protocol::chat::{ClientFrame, ServerFrame, TurnTiming};
use protocol::session::Outcome;
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Error, Message, WebSocket};

use super::{Ready, milliseconds};
use crate::console;
use crate::limits::REPLY_SECONDS_MAX;
use exchange::{Exchange, Heard};

/// Says all messages, one after another; an error when one is not answered.
pub(super) fn say_all(port: u16, messages: &[String], json: bool, ready: &Ready) -> Result<()> {
    let mut chat = Chat::open(port, json)?;
    for (number, text) in (1..).zip(messages) {
        let reply = chat.say(number, text)?;
        console::print(&reply.line(number, json, ready).to_string());
        match reply.outcome {
            Outcome::Completed => {}
            Outcome::Cancelled => bail!("message {number} was not answered: it was stopped"),
            Outcome::Failed { problem } => {
                bail!("message {number} was not answered: {problem}")
            }
        }
    }
    Ok(())
}

/// What the agent says of itself to a page that opens.
pub(super) struct Greeting {
    /// `provider/model` that answers; empty when none can.
    pub(super) model: String,
    /// What is wrong, each with its remedy.
    pub(super) problems: Vec<Problem>,
}

/// Asks for the greeting.
pub(super) fn greeting(port: u16) -> Result<Greeting> {
    match Chat::open(port, true)?.receive()? {
        ServerFrame::Welcome { model, problems, .. } => Ok(Greeting { model, problems }),
        other => bail!("the agent does not greet; it says {other:?}"),
    }
}

/// An open chat.
struct Chat {
    socket: WebSocket<TcpStream>,
    json: bool,
}

/// An answered message.
struct Reply {
    text: String,
    outcome: Outcome,
    timing: TurnTiming,
    first_text: Option<Duration>,
    whole: Duration,
}

impl Chat {
    fn open(port: u16, json: bool) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("connecting")?;
        stream.set_nodelay(true).context("setting TCP_NODELAY")?;
        let patience = Some(Duration::from_secs(REPLY_SECONDS_MAX));
        stream.set_read_timeout(patience).context("setting the patience")?;
        let origin = format!("http://127.0.0.1:{port}");
        let mut request = format!("ws://127.0.0.1:{port}/api/chat/socket")
            .into_client_request()
            .context("forming the request")?;
        request.headers_mut().insert("origin", origin.parse().context("forming the origin")?);
        let (socket, _) = tungstenite::client(request, stream)
            .map_err(|error| anyhow!("opening the chat: {error}"))?;
        let mut chat = Self { socket, json };
        let session = "web".parse().context("naming the session")?;
        chat.send(&ClientFrame::Hello { session, after: 0 })?;
        Ok(chat)
    }

    fn say(&mut self, number: usize, text: &str) -> Result<Reply> {
        let begun = Instant::now();
        let deadline = begun + Duration::from_secs(REPLY_SECONDS_MAX);
        let id = message_id(number);
        self.send(&ClientFrame::Send { id: id.clone(), text: text.to_owned() })?;
        let mut exchange = Exchange::new(id);
        let mut first_text = None;
        while Instant::now() < deadline {
            for heard in exchange.hear(self.receive()?) {
                match heard {
                    Heard::Text(piece) => {
                        first_text.get_or_insert_with(|| begun.elapsed());
                        self.show(&piece)?;
                    }
                    Heard::Aside(line) => self.aside(&line),
                    Heard::Refused(problem) => bail!("message {number} was refused: {problem}"),
                    Heard::Ended { outcome, timing } => {
                        self.show("\n")?;
                        let text = exchange.into_text();
                        let whole = begun.elapsed();
                        return Ok(Reply { text, outcome, timing, first_text, whole });
                    }
                }
            }
        }
        bail!("message {number} was not answered in {REPLY_SECONDS_MAX} s")
    }

    fn show(&self, piece: &str) -> Result<()> {
        if self.json {
            return Ok(());
        }
        console::stream(piece).context("printing the reply")
    }

    fn aside(&self, line: &str) {
        if !self.json {
            console::note(line);
        }
    }

    fn send(&mut self, frame: &ClientFrame) -> Result<()> {
        let text = serde_json::to_string(frame).context("writing a frame")?;
        self.socket.send(Message::text(text)).context("sending to the chat")
    }

    fn receive(&mut self) -> Result<ServerFrame> {
        loop {
            let message = self.socket.read().map_err(|error| match error {
                Error::Io(error) if matches!(error.kind(), WouldBlock | TimedOut) => {
                    anyhow!("the agent has said nothing for {REPLY_SECONDS_MAX} s; see its logs")
                }
                other => anyhow!(other).context("hearing from the chat"),
            });
            match message? {
                Message::Text(text) => {
                    return serde_json::from_str(&text).context("reading a frame of the chat");
                }
                Message::Close(Some(why)) => {
                    bail!("the chat was closed: {} {}", why.code, why.reason)
                }
                Message::Close(None) => bail!("the chat was closed"),
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }
}

impl Reply {
    fn line(&self, number: usize, with_text: bool, ready: &Ready) -> Value {
        let mut line = json!({
            "event": "reply",
            "message": number,
            "outcome": self.outcome,
            "build_ms": milliseconds(ready.build_time),
            "ready_ms": milliseconds(ready.start_time),
            "first_text_ms": self.first_text.map(milliseconds),
            "reply_ms": milliseconds(self.whole),
            "timing": self.timing,
        });
        if let (true, Some(line)) = (with_text, line.as_object_mut()) {
            line.insert("text".to_owned(), self.text.clone().into());
        }
        line
    }
}

/// An id that no other message of any run has.
fn message_id(number: usize) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("say-{}-{}-{number}", now.as_nanos(), process::id())
}
