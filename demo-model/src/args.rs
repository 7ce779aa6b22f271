//! The command line.

use std::time::Duration;

use lexopt::Arg::{Long, Short};
use lexopt::ValueExt as _;

use crate::limits::{DELAY_DEFAULT, DELAY_MS_MAX};

/// What `--help` prints.
pub(crate) const HELP: &str = "\
demo-model: fixed rules behind the Anthropic Messages and OpenAI Chat Completions APIs

Usage: demo-model [--port N] [--delay-ms N] [--with-stdin]

  --port N       listen on 127.0.0.1:N (default 0: the system chooses)
  --delay-ms N   wait so long between two pieces of an answer (default 12, at most 10000)
  --with-stdin   end when stdin closes, so that the program never outlives its starter
  --help         print this text

Prints `listening http://127.0.0.1:PORT` when it is ready. Any key is accepted.
";

/// What is asked of the program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Print the help text.
    Help,
    /// Serve.
    Serve(Options),
}

/// How to serve.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// The port; 0 lets the system choose.
    pub(crate) port: u16,
    /// Between two pieces of an answer.
    pub(crate) delay: Duration,
    /// End when stdin closes.
    pub(crate) with_stdin: bool,
}

/// Reads the command line.
pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Request, lexopt::Error> {
    let mut options = Options { port: 0, delay: DELAY_DEFAULT, with_stdin: false };
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Request::Help),
            Long("port") => options.port = parser.value()?.parse()?,
            Long("delay-ms") => {
                let milliseconds: u64 = parser.value()?.parse()?;
                if milliseconds > DELAY_MS_MAX {
                    return Err(format!("--delay-ms is at most {DELAY_MS_MAX}").into());
                }
                options.delay = Duration::from_millis(milliseconds);
            }
            Long("with-stdin") => options.with_stdin = true,
            other => return Err(other.unexpected()),
        }
    }
    Ok(Request::Serve(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Request, lexopt::Error> {
        parse(lexopt::Parser::from_args(words))
    }

    #[test]
    fn options_are_read_and_bounded() {
        let expected = Options { port: 81, delay: Duration::ZERO, with_stdin: true };
        let words = ["--port", "81", "--delay-ms=0", "--with-stdin"];
        assert_eq!(parsed(&words).unwrap(), Request::Serve(expected));
        assert_eq!(parsed(&["--port", "1", "-h"]).unwrap(), Request::Help);
        for bad in [["--port", "70000"], ["--delay-ms", "10001"], ["--key", "x"]] {
            assert!(parsed(&bad).is_err(), "{bad:?}");
        }
    }
}
