//! The Worker as its own container's gateway: the interception's target, and how a request that
//! came through it is told from one that came from outside.

use protocol::{AgentId, Epoch};
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast, JsValue};
use worker::js_sys::{Array, Function, JSON, Object, Reflect};
use worker::{Context, State};

/// Who a container is. Properties of the interception that carries its requests: the platform sets
/// them, and nothing that a request holds can.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContainerIdentity {
    /// Its agent.
    pub(crate) agent: AgentId,
    /// Which life of the agent's container it is.
    pub(crate) epoch: Epoch,
    /// Whether the platform took TLS apart to let us see its requests.
    #[serde(default)]
    pub(crate) is_tls: bool,
}

/// The container that a request came from; `None` when it came from outside.
pub(crate) fn caller(context: &Context) -> Option<ContainerIdentity> {
    context.props().ok()
}

/// This Worker's own `fetch` with `identity` as its properties.
pub(super) fn gateway(state: &State, identity: &ContainerIdentity) -> Result<JsValue, JsValue> {
    let context: &JsValue = state.as_raw().as_ref();
    let exports = Reflect::get(context, &"exports".into())?;
    let entrypoint: Function = Reflect::get(&exports, &"default".into())?.unchecked_into();
    let properties =
        serde_json::to_string(identity).map_err(|e| JsValue::from_str(&e.to_string()))?;
    let options = Object::new();
    Reflect::set(&options, &"props".into(), &JSON::parse(&properties)?)?;
    // `entrypoint.call(…)` would be taken for a remote method named "call".
    Reflect::apply(&entrypoint, &exports, &Array::of1(&options))
}
