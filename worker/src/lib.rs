//! Pagurus at the edge: the Worker that guards the doors, and the agent object that decides and
//! keeps the books.

mod agent;
mod auth;
mod channels;
mod egress;
mod entry;
mod keys;
mod limits;
mod models;
mod platform;
mod ports;
mod routes;
mod services;
mod settings;
mod web;

pub use agent::Agent;
use worker::{Context, Env, Request, Response, Result, event};

/// The platform's call for every HTTP request, from outside and from our own container.
#[event(fetch)]
async fn fetch(mut request: Request, env: Env, context: Context) -> Result<Response> {
    Ok(entry::handle(&mut request, &env, &context).await)
}
