//! The chat's sockets: hibernating, so that an open idle page keeps nothing awake.
//!
//! Invariant: which session a socket follows is in its attachment, which survives hibernation.

use protocol::chat::ServerFrame;
use protocol::{Problem, SessionId};
use serde::{Deserialize, Serialize};
use worker::{State, WebSocketPair};

use super::http::internal;

pub(crate) use worker::WebSocket as Socket;

/// Close code: more sockets than the object holds.
pub(crate) const CLOSE_TOO_MANY: u16 = 4429;

/// Close code: a frame that cannot be a chat client's.
pub(crate) const CLOSE_UNINTELLIGIBLE: u16 = 4400;

#[derive(Debug, Serialize, Deserialize)]
struct Attachment {
    session: SessionId,
}

/// Takes a new socket; the returned end belongs into the response.
pub(crate) fn open(state: &State) -> Result<Socket, Problem> {
    let pair = WebSocketPair::new().map_err(|error| internal("Opening a socket", &error))?;
    state.accept_web_socket(&pair.server);
    Ok(pair.client)
}

/// How many sockets are open.
pub(crate) fn count(state: &State) -> usize {
    state.get_websockets().len()
}

/// Notes that a socket follows a session.
pub(crate) fn follow(socket: &Socket, session: &SessionId) -> Result<(), Problem> {
    socket
        .serialize_attachment(Attachment { session: session.clone() })
        .map_err(|error| internal("Noting a socket's session", &error))
}

/// The session that a socket follows, once it has said hello.
pub(crate) fn followed(socket: &Socket) -> Option<SessionId> {
    let attachment: Option<Attachment> = socket.deserialize_attachment().ok().flatten();
    attachment.map(|attachment| attachment.session)
}

/// Sends frames to one socket. A socket that is gone is no failure: its page says hello again.
pub(crate) fn send(socket: &Socket, frame: &ServerFrame) {
    match serde_json::to_string(frame) {
        Ok(text) => deliver(socket, &text),
        Err(error) => worker::console_error!("a chat frame could not be written: {error}"),
    }
}

/// Sends a frame to every socket that follows a session.
pub(crate) fn broadcast(state: &State, session: &SessionId, frame: &ServerFrame) {
    let text = match serde_json::to_string(frame) {
        Ok(text) => text,
        Err(error) => {
            worker::console_error!("a chat frame could not be written: {error}");
            return;
        }
    };
    for socket in state.get_websockets() {
        if followed(&socket).as_ref() == Some(session) {
            deliver(&socket, &text);
        }
    }
}

/// Closes a socket with a code of ours and a reason for its page.
pub(crate) fn close(socket: &Socket, code: u16, reason: &str) {
    if let Err(error) = socket.close(Some(code), Some(reason)) {
        worker::console_debug!("a socket was closed already: {error}");
    }
}

fn deliver(socket: &Socket, text: &str) {
    if let Err(error) = socket.send_with_str(text) {
        worker::console_debug!("a socket went away: {error}");
    }
}
