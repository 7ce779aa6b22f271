//! A demonstration model: fixed rules behind the two model APIs, so that the agent can be seen at
//! work without a key.
//!
//! Invariants: it listens on loopback only; it says that it is a demonstration; the same request
//! always gets the same answer.

mod args;
mod conversation;
mod dialect;
mod limits;
mod rules;
mod server;
mod terminal;

use std::process::ExitCode;

use crate::args::Request;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let request = match args::parse(lexopt::Parser::from_env()) {
        Ok(request) => request,
        Err(error) => return terminal::failed(&error.into()),
    };
    let result = match request {
        Request::Help => terminal::help(args::HELP),
        Request::Serve(options) => server::run(&options).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => terminal::failed(&error),
    }
}
