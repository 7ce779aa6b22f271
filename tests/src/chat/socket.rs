//! The chat's WebSocket itself, with a bound on every wait.

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use protocol::chat::ServerFrame;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::limits::FRAME;

/// An open socket on which nothing was said yet.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// Why a socket was not opened.
#[derive(Debug)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What it says.
    pub body: String,
}

impl Socket {
    /// Opens a socket to the agent at `url`, as a page of `origin` does.
    pub async fn open(url: &str, origin: Option<&str>) -> Result<Result<Self, Refusal>> {
        let socket_url = format!("{}/api/chat/socket", url.replacen("http", "ws", 1));
        let mut request = socket_url.into_client_request()?;
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", HeaderValue::from_str(origin)?);
        }
        match connect_async(request).await {
            Ok((stream, _)) => Ok(Ok(Self { stream })),
            Err(Error::Http(response)) => {
                let status = response.status().as_u16();
                let body = response.into_body().unwrap_or_default();
                let body = String::from_utf8_lossy(&body).into_owned();
                Ok(Err(Refusal { status, body }))
            }
            Err(error) => Err(error).context("opening the chat socket"),
        }
    }

    /// Sends any text.
    pub async fn text(&mut self, text: &str) -> Result<()> {
        Ok(self.stream.send(Message::text(text)).await?)
    }

    /// Sends any bytes.
    pub async fn binary(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.send(Message::binary(bytes.to_vec())).await?)
    }

    /// The next frame.
    pub async fn frame(&mut self) -> Result<ServerFrame> {
        match self.next().await? {
            Some(frame) => Ok(frame),
            None => bail!("the server closed the socket"),
        }
    }

    /// Everything up to the end of the socket.
    pub async fn rest(&mut self) -> Result<Vec<ServerFrame>> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await? {
            frames.push(frame);
        }
        Ok(frames)
    }

    /// The next frame, `None` when the server has closed.
    async fn next(&mut self) -> Result<Option<ServerFrame>> {
        loop {
            let message = tokio::time::timeout(FRAME, self.stream.next())
                .await
                .with_context(|| format!("no frame within {FRAME:?}"))?;
            match message {
                Some(Ok(Message::Text(text))) => {
                    let frame = serde_json::from_str(&text);
                    return frame.with_context(|| format!("reading {text}")).map(Some);
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(None),
                Some(Ok(_)) => {}
            }
        }
    }
}
