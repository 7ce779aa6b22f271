//! The command line of the engine, parsed in one pass and checked before anything starts.

use std::ffi::OsString;
use std::path::PathBuf;

/// What `--help` prints.
pub const HELP: &str = "\
container-engine: a local stand-in for Docker that workerd can talk to

Usage: container-engine --socket PATH [--log-dir DIR] [--work-dir DIR] [-- COMMAND [ARG...]]

  --socket PATH    unix socket to serve the Docker API on (mode 0600; a stale one is replaced)
  --log-dir DIR    append each container's output to DIR/<name>.log
                   (default: print it to standard error with the name in front)
  --work-dir DIR   keep the containers' private folders below DIR
                   (default: a temporary folder, removed at exit)
  -- COMMAND ...   what to start for a container that is created without its own command
  --help           print this text

No isolation: containers run as plain processes of yours. For development and tests only.
";

/// What was asked of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Print the help text.
    Help,
    /// Serve the API.
    Serve(Args),
    /// Serve as the process that outlives the engine and ends its containers; started by the
    /// engine itself and therefore not in the help text.
    Lifeline,
}

/// The checked arguments of a serving engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// Where the API is served.
    pub socket: PathBuf,
    /// Where output of containers goes; standard error when absent.
    pub log_dir: Option<PathBuf>,
    /// Where the private folders of containers are made; a temporary folder when absent.
    pub work_dir: Option<PathBuf>,
    /// The command of containers that are created without one; may be empty.
    pub command: Vec<OsString>,
}

/// Why the command line was refused.
#[derive(Debug, thiserror::Error)]
pub enum ArgsError {
    /// An unknown option, or one without its value.
    #[error("cannot read the command line (see --help)")]
    Syntax(#[from] lexopt::Error),
    /// `--socket` is missing.
    #[error("--socket PATH is required (see --help)")]
    NoSocket,
}

/// Reads the arguments that follow the program's name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Request, ArgsError> {
    use lexopt::prelude::{Long, Short, Value};

    let (mut socket, mut log_dir, mut work_dir) = (None, None, None);
    let mut command = Vec::new();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Request::Help),
            Long("lifeline") => return Ok(Request::Lifeline),
            Long("socket") => socket = Some(PathBuf::from(parser.value()?)),
            Long("log-dir") => log_dir = Some(PathBuf::from(parser.value()?)),
            Long("work-dir") => work_dir = Some(PathBuf::from(parser.value()?)),
            Value(program) => {
                command.push(program);
                // Everything after the program belongs to it, options included.
                command.extend(parser.raw_args()?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let socket = socket.ok_or(ArgsError::NoSocket)?;
    Ok(Request::Serve(Args { socket, log_dir, work_dir, command }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Request, ArgsError> {
        parse(words.iter().map(OsString::from))
    }

    #[test]
    fn options_before_the_dashes_and_the_command_after_them() {
        let request = read(&["--socket", "/s", "--log-dir=/l", "--", "/bin/app", "--socket", "x"]);
        let expected = Args {
            socket: "/s".into(),
            log_dir: Some("/l".into()),
            work_dir: None,
            command: ["/bin/app", "--socket", "x"].map(OsString::from).to_vec(),
        };
        assert_eq!(request.unwrap(), Request::Serve(expected));
    }

    #[test]
    fn help_needs_nothing_else() {
        assert_eq!(read(&["--help"]).unwrap(), Request::Help);
    }

    #[test]
    fn a_missing_socket_and_an_unknown_option_are_refused() {
        assert!(matches!(read(&[]), Err(ArgsError::NoSocket)));
        assert!(matches!(read(&["--sokcet", "/s"]), Err(ArgsError::Syntax(_))));
        assert!(matches!(read(&["--socket"]), Err(ArgsError::Syntax(_))));
    }
}
