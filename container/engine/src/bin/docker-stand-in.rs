//! The `docker` command for `wrangler dev` beside `container-engine`; see
//! [`container_engine::docker_cli`].

use std::io::Write;
use std::process::ExitCode;

use container_engine::docker_cli::respond;

fn main() -> std::io::Result<ExitCode> {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let response = respond(&arguments);
    if response.reads_stdin {
        std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink())?;
    }
    std::io::stderr().write_all(response.stderr.as_bytes())?;
    std::io::stdout().write_all(response.stdout.as_bytes())?;
    Ok(ExitCode::from(response.exit_code))
}
