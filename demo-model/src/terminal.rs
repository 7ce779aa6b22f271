//! What the program says to whoever started it.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::{Context as _, Error, Result};

/// Prints the help text.
pub(crate) fn help(text: &str) -> Result<()> {
    io::stdout().write_all(text.as_bytes()).context("printing the help")
}

/// Says where the server listens; a starter waits for this line.
pub(crate) fn listening(address: SocketAddr) -> Result<()> {
    writeln!(io::stdout(), "listening http://{address}").context("printing the address")
}

/// Says why the program ends. A closed stderr leaves nobody to tell.
pub(crate) fn failed(error: &Error) -> ExitCode {
    match writeln!(io::stderr(), "demo-model: {error:#}") {
        Ok(()) => ExitCode::FAILURE,
        Err(_) => ExitCode::from(2),
    }
}
