//! The runtime by itself: from the start of its process to its first healthy answer.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use integration_tests::paths;
use integration_tests::process::Process;
use tempfile::TempDir;
use tokio::process::Command;

use crate::memory::pss_mb;
use crate::report::Report;
use crate::statistics::Series;

const STARTS: usize = 25;

pub(crate) async fn measure(report: &mut Report) -> Result<()> {
    let mut healthy = Series::default();
    let mut idle = Series::default();
    for _ in 0..STARTS {
        let folder = TempDir::with_prefix("pagurus-bench-")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(paths::runtime()?);
        command
            .env_clear()
            .env("PORT", port.to_string())
            .env("EDGE_URL", "http://127.0.0.1:9")
            .env("AGENT_ID", "main")
            .env("EPOCH", "1")
            .env("WORKSPACE_DIR", folder.path())
            .stdin(Stdio::null());
        let begin = Instant::now();
        let process = Process::spawn(&mut command, &folder.path().join("log"))?;
        wait_healthy(port, begin)?;
        healthy.push(begin.elapsed());
        idle.push_number(pss_mb(process.pid())?);
        process.kill().await?;
    }
    report.series("runtime: process start to healthy", "ms", &healthy, Some(15.0));
    report.series("runtime: memory idle (PSS)", "MB", &idle, Some(10.0));
    Ok(())
}

/// Asks without pause, so that the figure is the process's and not the asking's.
fn wait_healthy(port: u16, begin: Instant) -> Result<()> {
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(mut stream) => {
                stream
                    .write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
                let mut answer = String::new();
                stream.read_to_string(&mut answer).context("reading the health answer")?;
                ensure!(answer.starts_with("HTTP/1.1 200"), "not healthy: {answer}");
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                ensure!(begin.elapsed() < Duration::from_secs(5), "it never listens");
                std::thread::sleep(Duration::from_micros(200));
            }
            Err(error) => return Err(error).context("connecting to the runtime"),
        }
    }
}
