//! A running engine with its own folders, and a client for its socket.

pub(crate) mod workerd;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::net::UnixStream;

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// A container that says which port it was given, and stays.
pub(crate) const STAYS: &str = "echo $PORT > port.new; mv port.new port; exec sleep 600";

pub(crate) struct Engine {
    pub(crate) root: tempfile::TempDir,
    process: Child,
    greeting: String,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Engine {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts an engine whose default command is given.
    pub(crate) fn start_with(command: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), command)
    }

    pub(crate) fn start_in(root: tempfile::TempDir, command: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_container-engine"))
            .arg("--socket")
            .arg(root.path().join("socket"))
            .arg("--log-dir")
            .arg(root.path().join("logs"))
            .arg("--work-dir")
            .arg(root.path().join("work"))
            .arg("--")
            .args(command)
            .env("ENGINE_SECRET", "must-not-be-inherited")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut greeting = String::new();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        while !greeting.contains("listening") {
            assert!(stdout.read_line(&mut greeting).unwrap() > 0, "the engine ended: {greeting}");
        }
        Self { root, process, greeting }
    }

    pub(crate) fn greeting(&self) -> &str {
        &self.greeting
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.root.path().join("socket")
    }

    /// A container's private folder.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.root.path().join("work").join(name)
    }

    /// Reads a file that a container writes, as soon as it is there.
    pub(crate) async fn file(&self, name: &str, file: &str) -> String {
        let path = self.folder(name).join(file);
        until(&format!("{}", path.display()), || std::fs::read_to_string(&path).ok()).await
    }

    /// The port that a [`STAYS`] container was given.
    pub(crate) async fn port(&self, name: &str) -> u16 {
        self.file(name, "port").await.trim().parse().unwrap()
    }

    pub(crate) async fn call(&self, method: &str, target: &str) -> Answer {
        self.send(method, target, Bytes::new()).await
    }

    pub(crate) async fn send(&self, method: &str, target: &str, body: impl Into<Bytes>) -> Answer {
        let request = Request::builder()
            .method(method.parse::<Method>().unwrap())
            .uri(target)
            .header("host", "localhost")
            .body(Full::new(body.into()))
            .unwrap();
        let exchange = async {
            let stream = UnixStream::connect(self.socket()).await.unwrap();
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            let response = sender.send_request(request).await.unwrap();
            let status = response.status().as_u16();
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
        };
        tokio::time::timeout(DEADLINE, exchange).await.expect(target)
    }

    /// Creates a container that runs a shell script.
    pub(crate) async fn create(&self, name: &str, script: &str) -> Answer {
        let body = json!({"Image": "i", "Cmd": ["/bin/sh", "-c", script],
            "HostConfig": {"RestartPolicy": {"Name": "on-failure"}}});
        self.send("POST", &format!("/containers/create?name={name}"), body.to_string()).await
    }

    /// Creates and starts a container that runs a shell script.
    pub(crate) async fn run(&self, name: &str, script: &str) {
        assert_eq!(self.create(name, script).await.status, 201);
        assert_eq!(self.call("POST", &format!("/containers/{name}/start")).await.status, 204);
    }

    /// Creates and starts a sidecar and, in its network, an app; gives the sidecar's port.
    pub(crate) async fn run_with_sidecar(&self, name: &str, script: &str) -> u16 {
        self.run_in_session(name, script, "s1").await
    }

    pub(crate) async fn run_in_session(&self, name: &str, script: &str, session: &str) -> u16 {
        let labels = json!({"dev.workerd.session": session});
        let sidecar = json!({"Image": "p", "Cmd": ["--http-egress-port", "1"], "Labels": labels});
        let app = json!({"Image": "i", "Cmd": ["/bin/sh", "-c", script], "Labels": labels,
            "Env": ["FOO=bar", "PORT=8080"],
            "HostConfig": {"NetworkMode": format!("container:{name}-proxy")}});
        for (name, body) in [(format!("{name}-proxy"), sidecar), (name.to_owned(), app)] {
            let target = format!("/containers/create?name={name}");
            assert_eq!(self.send("POST", &target, body.to_string()).await.status, 201);
            assert_eq!(self.call("POST", &format!("/containers/{name}/start")).await.status, 204);
        }
        let inspected = self.inspect(&format!("{name}-proxy")).await;
        let port = &inspected["NetworkSettings"]["Ports"]["39001/tcp"][0]["HostPort"];
        port.as_str().expect("HostPort is a string").parse().unwrap()
    }

    pub(crate) async fn inspect(&self, name: &str) -> Value {
        let answer = self.call("GET", &format!("/containers/{name}/json")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// The process of a running container.
    pub(crate) async fn pid(&self, name: &str) -> Pid {
        let pid = self.inspect(name).await["State"]["Pid"].as_i64().unwrap();
        Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
    }

    pub(crate) async fn wait(&self, name: &str) -> i64 {
        let answer = self.call("POST", &format!("/containers/{name}/wait")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body["StatusCode"].as_i64().unwrap()
    }

    /// Ends the engine with a signal and gives back its folders.
    pub(crate) fn end(mut self, signal: Signal) -> tempfile::TempDir {
        self.signal(signal);
        self.process.wait().unwrap();
        let placeholder = tempfile::tempdir().unwrap();
        std::mem::replace(&mut self.root, placeholder)
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Not waited for when `end` has waited already; then its pid may be another's by now.
        if self.process.try_wait().unwrap().is_none() {
            self.signal(Signal::TERM);
            self.process.wait().unwrap();
        }
    }
}

/// Waits for a condition; fails with its name when it does not come true.
pub(crate) async fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < DEADLINE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Waits until nothing listens on a port any more.
pub(crate) async fn closed(port: u16) {
    let refused = || std::net::TcpStream::connect(("127.0.0.1", port)).is_err().then_some(());
    until(&format!("port {port} to close"), refused).await;
}

/// Bounds a future that should be done at once.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(DEADLINE, future).await;
    done.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Waits until a process is gone; a zombie that its new parent has not reaped counts as gone.
pub(crate) async fn gone(pid: Pid) {
    let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
    until(&format!("the end of {pid:?}"), || match std::fs::read_to_string(Path::new(&stat)) {
        Ok(text) if !text.contains(") Z ") && !text.contains(") X ") => None,
        _ => Some(()),
    })
    .await;
}

pub(crate) fn parse_pid(text: &str) -> Pid {
    Pid::from_raw(text.trim().parse().unwrap()).unwrap()
}
