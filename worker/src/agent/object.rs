//! The Durable Object: the door through which the platform calls the agent. One line a case; the
//! work is elsewhere.

#![expect(missing_docs, reason = "the SDK's macro generates items without documentation")]

use std::rc::Rc;

use protocol::object::{AGENT_HEADER, EPOCH_HEADER, ObjectRoute};
use protocol::{AgentId, Problem, ProblemCode};
use worker::{
    DurableObject, Env, Request, Response, Result, State, WebSocket, WebSocketIncomingMessage,
    durable_object,
};

use super::core::Core;
use crate::limits::SOCKETS_MAX;
use crate::platform::http;
use crate::platform::sockets::{self, CLOSE_TOO_MANY};

/// One agent.
#[durable_object]
#[derive(Debug)]
pub struct Agent {
    core: Rc<Core>,
}

impl DurableObject for Agent {
    fn new(state: State, env: Env) -> Self {
        Self { core: Rc::new(Core::new(state, &env)) }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let response = self.serve(&mut request).await;
        Ok(response.unwrap_or_else(|problem| http::problem(&problem, None)))
    }

    async fn alarm(&self) -> Result<Response> {
        // A failure is thrown, so that the platform rings again.
        self.core.on_alarm().await.map_err(|problem| worker::Error::from(problem.to_string()))?;
        Response::empty()
    }

    async fn websocket_message(
        &self,
        socket: WebSocket,
        message: WebSocketIncomingMessage,
    ) -> Result<()> {
        let text = match message {
            WebSocketIncomingMessage::String(text) => Some(text),
            WebSocketIncomingMessage::Binary(_) => None,
        };
        self.core.on_frame(&socket, text).await;
        Ok(())
    }

    async fn websocket_close(
        &self,
        socket: WebSocket,
        code: usize,
        _reason: String,
        _was_clean: bool,
    ) -> Result<()> {
        // Codes 1005, 1006 and 1015 are never sent; answering with them hangs the peer.
        let sendable = code == 1000 || (3000..=4999).contains(&code);
        let code = u16::try_from(code).ok().filter(|_| sendable).unwrap_or(1000);
        sockets::close(&socket, code, "");
        Ok(())
    }

    async fn websocket_error(&self, _socket: WebSocket, error: worker::Error) -> Result<()> {
        worker::console_debug!("a socket failed: {error}");
        Ok(())
    }
}

impl Agent {
    async fn serve(&self, request: &mut Request) -> Result<Response, Problem> {
        let core = &self.core;
        if let Some(problem) = &core.broken {
            return Err(problem.clone());
        }
        let url = request.url().map_err(|error| http::internal("Reading a URL", &error))?;
        let method = http::method(request);
        let query = url.query().unwrap_or_default();
        let route = ObjectRoute::parse(&method, url.path(), query)
            .ok_or_else(|| Problem::new(ProblemCode::NotFound, "The object has no such route."))?;
        let agent: Option<AgentId> =
            http::header(request, AGENT_HEADER).and_then(|name| name.parse().ok());
        if let Some(agent) = agent {
            core.identify(&agent)?;
        }
        let epoch = http::header(request, EPOCH_HEADER).and_then(|text| text.parse().ok());
        match route {
            ObjectRoute::ChatSocket => self.open_socket(),
            ObjectRoute::ModelGrant => core.grant_call(epoch, request).await,
            ObjectRoute::ModelSettle => core.settle_call(request).await,
            ObjectRoute::Session(route) => {
                core.check_epoch(epoch)?;
                core.serve_session(epoch, route, request).await
            }
            ObjectRoute::Usage => Ok(http::json(200, &core.usage()?)),
            ObjectRoute::Report => core.hear_last_words(epoch, request).await,
            ObjectRoute::Egress => {
                core.note_egress(epoch, request).await.map(|()| http::empty(204))
            }
            ObjectRoute::WorkspaceGrant(access) => {
                core.grant_workspace(epoch, access).map(|()| http::empty(204))
            }
            ObjectRoute::OwnerGrant => core.grant_owner().map(|()| http::empty(204)),
            ObjectRoute::SnapshotStored { name } => {
                core.snapshot_stored(epoch, &name).map(|()| http::empty(204))
            }
            ObjectRoute::WorkspacePassword => Ok(http::text(200, core.workspace()?.password)),
            ObjectRoute::Faults => core.order_faults(request).await,
            ObjectRoute::Accept => core.accept_envelope(request).await,
            ObjectRoute::Export { session } => core.export(session),
            ObjectRoute::ControlExport => Ok(http::json(200, &core.export_control().await?)),
            ObjectRoute::ControlRestore => Ok(http::json(200, &core.rebuild().await?)),
        }
    }

    fn open_socket(&self) -> Result<Response, Problem> {
        let state = &self.core.state;
        if sockets::count(state) >= SOCKETS_MAX
            && let Some(oldest) = state.get_websockets().first()
        {
            sockets::close(oldest, CLOSE_TOO_MANY, "too many pages are open");
        }
        http::switch_protocols(sockets::open(state)?)
    }
}
