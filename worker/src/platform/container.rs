//! The object's container. Own declarations of the platform's API: the SDK drops every environment
//! variable and lacks interception and the inactivity timeout.
//!
//! Invariant: `monitor` is pending from right after a start on, otherwise the platform may go on
//! calling a dead container running.

use std::future::Future;

use protocol::edge::EDGE_HOST;
use protocol::egress::VIA_SUFFIX;
use protocol::runtime::{RUNTIME_PORT, RuntimeRoute};
use wasm_bindgen::prelude::{JsCast, JsValue, wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use worker::js_sys::{Object, Promise, Reflect};
use worker::{Fetcher, State};

use super::clock::within;
use super::http::{Body, Response, describe, outgoing};
use super::loopback::{ContainerIdentity, gateway};
use crate::limits::PLATFORM_CALL_MS_MAX;

#[wasm_bindgen(wasm_bindgen = ::worker::wasm_bindgen)]
extern "C" {
    /// `ctx.container`.
    #[derive(Clone)]
    type ContainerExtern;
    #[wasm_bindgen(method, getter)]
    fn running(this: &ContainerExtern) -> bool;
    #[wasm_bindgen(method, catch)]
    fn start(this: &ContainerExtern, options: &JsValue) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch)]
    fn monitor(this: &ContainerExtern) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn destroy(this: &ContainerExtern) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn signal(this: &ContainerExtern, number: i32) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch, js_name = setInactivityTimeout)]
    fn set_inactivity_timeout(this: &ContainerExtern, ms: f64) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch, js_name = interceptOutboundHttp)]
    fn intercept_outbound_http(
        this: &ContainerExtern,
        address: &str,
        target: &JsValue,
    ) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch, js_name = interceptOutboundHttps)]
    fn intercept_outbound_https(
        this: &ContainerExtern,
        host: &str,
        target: &JsValue,
    ) -> Result<Promise, JsValue>;
}

const SIGTERM: i32 = 15;

/// Why the platform would not do something with the container.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{doing}: {why}")]
pub(crate) struct ContainerError {
    doing: &'static str,
    why: String,
}

impl ContainerError {
    /// What stood in the way was our own.
    pub(crate) fn new(doing: &'static str, why: &dyn std::fmt::Display) -> Self {
        Self { doing, why: why.to_string() }
    }
}

fn failed(doing: &'static str) -> impl Fn(JsValue) -> ContainerError {
    move |error| ContainerError { doing, why: describe(&error) }
}

/// The container of one object.
#[derive(Clone)]
pub(crate) struct Container {
    container: ContainerExtern,
    ports: std::rc::Rc<worker::Container>,
}

impl std::fmt::Debug for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Container")
    }
}

impl Container {
    /// The container that belongs to the object; `None` when the deployment gives it none.
    pub(crate) fn of(state: &State) -> Option<Self> {
        let ports = state.container()?;
        let raw: JsValue = state.container()?.into();
        Some(Self { container: raw.unchecked_into(), ports: std::rc::Rc::new(ports) })
    }

    /// Whether the platform holds it for running. Right after a start that does not mean ready.
    pub(crate) fn running(&self) -> bool {
        self.container.running()
    }

    /// Sends what the container asks of the edge, of the names below it and of the `allowed` hosts to
    /// this Worker, as `identity`. May be called before a start and again for a running container.
    /// `*` stands for any text in a host's name
    /// (<https://developers.cloudflare.com/containers/configuration/outbound-traffic/>).
    pub(crate) async fn intercept(
        &self,
        state: &State,
        identity: &ContainerIdentity,
        allowed: &[String],
    ) -> Result<(), ContainerError> {
        let doing = "redirecting the container's requests to the edge";
        let target = gateway(state, identity).map_err(failed(doing))?;
        let via = format!("*.{VIA_SUFFIX}");
        let plain = [EDGE_HOST, via.as_str()].into_iter().chain(allowed.iter().map(String::as_str));
        for host in plain {
            bounded(doing, self.container.intercept_outbound_http(host, &target)).await?;
        }
        let by_tls = ContainerIdentity { is_tls: true, ..identity.clone() };
        let target = gateway(state, &by_tls).map_err(failed(doing))?;
        for host in allowed {
            bounded(doing, self.container.intercept_outbound_https(host, &target)).await?;
        }
        Ok(())
    }

    /// Starts the container with plain (never secret) variables. Returns at once.
    pub(crate) fn start(
        &self,
        variables: &[(&str, String)],
        internet: bool,
    ) -> Result<(), ContainerError> {
        let doing = "starting the container";
        let environment = Object::new();
        for (name, value) in variables {
            set(&environment, name, &value.into()).map_err(failed(doing))?;
        }
        let options = Object::new();
        set(&options, "env", &environment).map_err(failed(doing))?;
        set(&options, "enableInternet", &internet.into()).map_err(failed(doing))?;
        self.container.start(&options).map_err(failed(doing))
    }

    /// Ends when the container has ended: well, or with the reason.
    pub(crate) fn monitor(&self) -> impl Future<Output = Result<(), ContainerError>> + 'static {
        let pending = self.container.monitor();
        async move { settle("the container ended", pending).await }
    }

    /// Keeps the container for this long when the object itself is idle.
    pub(crate) async fn keep_for(&self, ms: u64) -> Result<(), ContainerError> {
        #[expect(clippy::cast_precision_loss, reason = "a duration in milliseconds below 2^53")]
        let pending = self.container.set_inactivity_timeout(ms as f64);
        bounded("setting how long the container stays", pending).await
    }

    /// Asks the container to finish and exit.
    pub(crate) fn terminate(&self) -> Result<(), ContainerError> {
        self.container.signal(SIGTERM).map_err(failed("asking the container to exit"))
    }

    /// Ends the container without asking.
    pub(crate) async fn destroy(&self) -> Result<(), ContainerError> {
        bounded("destroying the container", self.container.destroy()).await
    }

    /// Calls a route of the runtime.
    pub(crate) async fn call(
        &self,
        route: &RuntimeRoute,
        body: Option<String>,
    ) -> Result<Response, ContainerError> {
        let doing = "calling the container";
        let failed = |error: worker::Error| ContainerError { doing, why: error.to_string() };
        let url = format!("http://container{}", route.path());
        let body = body.map_or(Body::Empty, Body::Text);
        let headers = [("content-type", "application/json")];
        let request = outgoing(route.method().as_str(), &url, &headers, body).map_err(failed)?;
        let port: Fetcher = self.ports.get_tcp_port(RUNTIME_PORT).map_err(failed)?;
        port.fetch_request(request).await.map_err(failed)
    }
}

fn set(object: &Object, name: &str, value: &JsValue) -> Result<(), JsValue> {
    Reflect::set(object, &name.into(), value).map(|_| ())
}

/// What the platform does soon or not at all.
async fn bounded(
    doing: &'static str,
    promise: Result<Promise, JsValue>,
) -> Result<(), ContainerError> {
    let late = || ContainerError { doing, why: "the platform does not answer".to_owned() };
    within(PLATFORM_CALL_MS_MAX, settle(doing, promise)).await.unwrap_or_else(|| Err(late()))
}

async fn settle(
    doing: &'static str,
    promise: Result<Promise, JsValue>,
) -> Result<(), ContainerError> {
    JsFuture::from(promise.map_err(failed(doing))?).await.map(|_| ()).map_err(failed(doing))
}
