//! What the `docker` command must answer for `wrangler dev`, which builds and pulls images before
//! it lets workerd start containers. Here there are no images, so building one is agreeing to it.
//!
//! *Invariant:* a command that is not understood fails; it never looks as if it had been done.

/// What the program does for one command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Printed on standard output.
    pub stdout: &'static str,
    /// Printed on standard error.
    pub stderr: String,
    /// Whether standard input is read to its end first: a build gets its Dockerfile there, and
    /// closing early would break the writer's pipe.
    pub reads_stdin: bool,
    /// The exit code.
    pub exit_code: u8,
}

const VERSION: &str = "Docker version 28.0.0, build container-engine\n";

/// Options before the command that take a value.
const GLOBAL_OPTIONS_WITH_VALUE: [&str; 7] =
    ["--host", "-H", "--context", "-c", "--config", "--log-level", "-l"];

/// Answers the arguments that follow the program's name.
pub fn respond(arguments: &[String]) -> Response {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let command = after_global_options(&words);
    match command {
        ["--version" | "-v" | "version", ..] => done(VERSION),
        ["info", rest @ ..] if asks_format(rest) => done("[]\n"),
        ["info", ..] => done("Server:\n Name: container-engine\n"),
        ["build", ..] | ["buildx", "build", ..] => Response { reads_stdin: true, ..done("") },
        ["buildx", "version", ..] => done("github.com/docker/buildx v0.20.0\n"),
        ["image", "inspect", rest @ ..] if mentions(rest, "ExposedPorts") => done("1\n"),
        ["image", "inspect", rest @ ..] if mentions(rest, "RepoTags") => done("[]\n"),
        ["image" | "container", "inspect", rest @ ..] if asks_format(rest) => done("\n"),
        ["image" | "container", "inspect", ..] => done("[]\n"),
        ["pull" | "tag" | "rmi" | "rm" | "ps" | "stop", ..]
        | ["context", "ls", ..]
        | ["image" | "container", "rm" | "ls" | "prune", ..] => done(""),
        other => Response {
            stdout: "",
            stderr: format!(
                "docker-stand-in: {:?} is not supported: this only serves `wrangler dev` with \
                 container-engine; use a real Docker for anything else\n",
                other.join(" ")
            ),
            reads_stdin: false,
            exit_code: 1,
        },
    }
}

const fn done(stdout: &'static str) -> Response {
    Response { stdout, stderr: String::new(), reads_stdin: false, exit_code: 0 }
}

fn after_global_options<'a, 'b>(words: &'a [&'b str]) -> &'a [&'b str] {
    match words {
        [option, _, rest @ ..] if GLOBAL_OPTIONS_WITH_VALUE.contains(option) => {
            after_global_options(rest)
        }
        [option, rest @ ..]
            if option.starts_with("--") && option.contains('=') || *option == "--debug" =>
        {
            after_global_options(rest)
        }
        all => all,
    }
}

fn asks_format(words: &[&str]) -> bool {
    words.iter().any(|word| *word == "--format" || *word == "-f" || word.starts_with("--format="))
}

fn mentions(words: &[&str], text: &str) -> bool {
    words.iter().any(|word| word.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Response {
        respond(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_wrangler_dev_asks() {
        let build = "build --load -t cloudflare-dev/agent:1 --platform linux/amd64 \
                     --provenance=false -f - .";
        assert!(run(build).reads_stdin);
        assert_eq!(run(build).exit_code, 0);
        assert_eq!(run("info").exit_code, 0);
        let security = "--host unix:///s info --format {{json .SecurityOptions}}";
        assert_eq!(run(security).stdout, "[]\n");
        let ports = "image inspect x --format {{ len .Config.ExposedPorts }}";
        assert_eq!(run(ports).stdout, "1\n");
        for line in ["pull x", "ps -a --filter ancestor=x", "rm --force x", "context ls"] {
            assert_eq!((run(line).stdout, run(line).exit_code), ("", 0), "{line}");
        }
    }

    #[test]
    fn anything_else_fails_and_says_why() {
        for line in ["run -it alpine sh", "compose up", "--host unix:///s", ""] {
            let response = run(line);
            assert_eq!(response.exit_code, 1, "{line}");
            assert!(response.stderr.contains("not supported"), "{line}");
        }
    }
}
