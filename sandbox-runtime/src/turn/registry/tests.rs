use std::net::TcpListener;
use std::sync::Arc;

use protocol::turn::{ModelApi, ModelChoice, TurnRequest};
use protocol::version::PROTOCOL_VERSION;
use protocol::{ProblemCode, Record};
use tempfile::TempDir;

use super::Registry;
use crate::context::Prompt;
use crate::edge::{Edge, Http};
use crate::keeper::Keeper;
use crate::limits::{
    MODEL_FIRST_BYTE_TIMEOUT, MODEL_IDLE_TIMEOUT, MODEL_RETRY_DELAY_MIN, RUNNING_TURNS_MAX,
};
use crate::repository::store::EdgeStore;
use crate::repository::vault::RepositoryOpener;
use crate::settings::ModelTimeouts;
use crate::shutdown::Shutdown;
use crate::tools::Gateway;
use crate::turn::Agent;
use crate::workspace::Workspace;
use tokio::runtime::Handle;

/// Turns that ask an edge that takes connections and never answers.
struct Stuck {
    registry: Arc<Registry>,
    _folder: TempDir,
    _edge: TcpListener,
}

fn stuck() -> Stuck {
    let folder = TempDir::new().unwrap();
    let edge = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", edge.local_addr().unwrap()).parse().unwrap();
    let workspace = Workspace::open(folder.path()).unwrap();
    let timeouts = ModelTimeouts {
        first_byte: MODEL_FIRST_BYTE_TIMEOUT,
        idle: MODEL_IDLE_TIMEOUT,
        retry_delay: MODEL_RETRY_DELAY_MIN,
    };
    let http = Http::new(url).unwrap();
    let tools = Gateway::new(workspace.clone(), http.clone(), Vec::new()).unwrap();
    let prompt = Prompt::new(&workspace, tools.specs(), &[]);
    let store = Arc::new(EdgeStore::new(http.clone(), Handle::current()));
    let root = folder.path().to_owned();
    let opener = Arc::new(RepositoryOpener::new(store, "main".parse().unwrap(), root));
    let keeper = Keeper::new(opener, workspace, Shutdown::new());
    let agent = Agent::new(Edge::new(http), tools, prompt, timeouts, keeper);
    Stuck { registry: Registry::new(agent, Shutdown::new()), _folder: folder, _edge: edge }
}

fn request(session: &str, turn: &str) -> TurnRequest {
    let record = serde_json::json!({
        "sequence": 1, "at_ms": 1, "turn": turn,
        "item": { "type": "user", "channel": "web", "event": "e", "text": "go" },
    });
    let record: Record = serde_json::from_value(record).unwrap();
    TurnRequest {
        protocol: PROTOCOL_VERSION,
        turn: turn.parse().unwrap(),
        session: session.parse().unwrap(),
        head: 1,
        records: vec![record],
        model: ModelChoice {
            provider: "p".into(),
            api: ModelApi::AnthropicMessages,
            model: "m".into(),
            max_output_tokens: 100,
            context_tokens: 10_000,
            thinking: None,
            images: false,
        },
        fallbacks: Vec::new(),
    }
}

#[tokio::test]
async fn only_so_many_turns_run_at_once() {
    let Stuck { registry, _folder, _edge } = stuck();
    for n in 0..RUNNING_TURNS_MAX {
        registry.post(request(&format!("s{n}"), &format!("t{n}"))).unwrap();
    }
    let refused = registry.post(request("more", "more")).unwrap_err();
    assert_eq!(refused.code, ProblemCode::Busy);
    registry.post(request("s0", "t0")).expect("attaching is always possible");
    registry.drain();
    registry.idle().await;
}

#[tokio::test]
async fn a_draining_process_begins_nothing() {
    let Stuck { registry, _folder, _edge } = stuck();
    registry.post(request("s", "t")).unwrap();
    registry.drain();
    let refused = registry.post(request("other", "u")).unwrap_err();
    assert_eq!(refused.code, ProblemCode::Draining);
    registry.idle().await;
    let gone = registry.events(&"t".parse().unwrap()).unwrap_err();
    assert_eq!(gone.code, ProblemCode::NotFound, "a cut turn can be taken up anew");
}
