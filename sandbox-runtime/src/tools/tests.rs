use protocol::session::{ToolArguments, ToolStatus};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Gateway, ToolOutcome};
use crate::edge::Http;
use crate::limits::{
    COMMAND_TIMEOUT_SECONDS, COMMAND_TIMEOUT_SECONDS_MAX, IMAGE_BYTES_MAX, READ_LINES,
};
use crate::workspace::Workspace;

struct Bench {
    gateway: Gateway,
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let workspace = Workspace::open(folder.path()).unwrap();
        let http = Http::new("http://127.0.0.1:1".parse().unwrap()).unwrap();
        let variables = vec![("FOR_COMMANDS", "told".to_owned())];
        let gateway = Gateway::new(workspace, http, variables).unwrap();
        Self { gateway, folder }
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    async fn run(&self, name: &str, arguments: Value) -> ToolOutcome {
        self.run_for(name, arguments, false).await
    }

    /// Runs a tool for a model that sees images or does not.
    async fn run_for(&self, name: &str, arguments: Value, sees: bool) -> ToolOutcome {
        let arguments: ToolArguments =
            serde_json::from_value(json!({ "object": arguments })).unwrap();
        self.gateway.run(self.gateway.prepare(name, &arguments).unwrap(), sees).await
    }

    /// Runs a tool that must fail and compares what the model is told.
    async fn fails(&self, name: &str, arguments: Value, told: &str) {
        let outcome = self.run(name, arguments).await;
        assert_eq!((outcome.status, outcome.output.as_str()), (ToolStatus::Failed, told));
    }
}

#[test]
fn the_texts_for_the_model_say_what_the_limits_are() {
    let specs = Bench::new().gateway.specs();
    let text = |n: usize| specs[n].input_schema.to_string();
    let seconds = &specs[0].input_schema["properties"]["timeout_seconds"];
    assert_eq!(seconds["maximum"], COMMAND_TIMEOUT_SECONDS_MAX);
    assert!(text(0).contains(&format!("{COMMAND_TIMEOUT_SECONDS} if absent")));
    assert!(text(1).contains(&format!("{READ_LINES} if absent")));
}

#[tokio::test]
async fn read_shows_images_to_those_who_see() {
    let bench = Bench::new();
    for (name, bytes, media_type) in [
        ("a", b"\x89PNG\r\n\x1a\n\x00".as_slice(), "image/png"),
        ("b", b"\xff\xd8\xff\xe0", "image/jpeg"),
        ("c", b"GIF89a\xff", "image/gif"),
        ("d", b"RIFF\x00\x00\x00\x00WEBPVP8 \xff", "image/webp"),
    ] {
        std::fs::write(bench.folder.path().join(name), bytes).unwrap();
        let seen = bench.run_for("read", json!({ "path": name }), true).await;
        assert_eq!(seen.status, ToolStatus::Ok);
        assert_eq!(seen.output, format!("[an image: {media_type}, {} bytes]", bytes.len()));
        assert_eq!(seen.images.len(), 1);
        assert_eq!(seen.images[0].media_type, media_type);
        let unseen = bench.run("read", json!({ "path": name })).await;
        assert_eq!((unseen.status, unseen.images.len()), (ToolStatus::Failed, 0));
    }
    let large = [b"GIF89a".as_slice(), &vec![0; IMAGE_BYTES_MAX]].concat();
    std::fs::write(bench.folder.path().join("large"), large).unwrap();
    let outcome = bench.run_for("read", json!({ "path": "large" }), true).await;
    assert_eq!(outcome.status, ToolStatus::Failed);
    assert!(outcome.output.contains("make it smaller"), "{}", outcome.output);
}

#[tokio::test]
async fn read_shows_numbers_and_where_to_go_on() {
    let bench = Bench::new();
    bench.put("a", "one\ntwo\nthree\nfour");
    let read = |arguments| bench.run("read", arguments);
    assert_eq!(
        read(json!({ "path": "a", "offset": 2, "limit": 2 })).await.output,
        "     2\ttwo\n     3\tthree\n[lines 2 to 3 of 4; go on with offset 4]"
    );
    assert_eq!(read(json!({ "path": "a", "offset": 4 })).await.output, "     4\tfour\n");
    let past = read(json!({ "path": "a", "offset": 9 })).await.output;
    assert_eq!(past, "[the file has 4 lines; there is no line 9]");
    bench.put("empty", "");
    assert_eq!(read(json!({ "path": "empty" })).await.output, "[the file is empty]");
}

#[tokio::test]
async fn read_is_bounded_in_lines_and_in_bytes() {
    let bench = Bench::new();
    bench.put("long", &format!("{}\nend\n", "ä".repeat(5_000)));
    let output = bench.run("read", json!({ "path": "long" })).await.output;
    assert!(output.contains("ä [8000 more bytes in this line]\n"), "{output}");
    bench.put("many", &"x".repeat(500).lines().cycle().take(900).collect::<Vec<_>>().join("\n"));
    let output = bench.run("read", json!({ "path": "many" })).await.output;
    assert!(output.len() <= 30_000, "{}", output.len());
    assert!(output.ends_with("of 900; go on with offset 59]"), "{}", &output[29_000..]);
}

#[tokio::test]
async fn edit_replaces_exactly_what_it_is_told() {
    let bench = Bench::new();
    bench.put("a", "x = 1\ny = 1\n");
    let edit = |old: &str, new: &str, all: bool| json!({ "path": "a", "old": old, "new": new, "replace_all": all });
    let outcome = bench.run("edit", edit("x = 1", "x = 2", false)).await;
    assert_eq!(outcome, ToolOutcome::ok("Replaced 1 piece in a."));
    assert_eq!(bench.text("a"), "x = 2\ny = 1\n");
    let several = "the old text occurs 2 times in a; add lines around it until it is unique, or set \
                   replace_all";
    bench.fails("edit", edit(" = ", " := ", false), several).await;
    assert_eq!(bench.run("edit", edit(" = ", " := ", true)).await.status, ToolStatus::Ok);
    assert_eq!(bench.text("a"), "x := 2\ny := 1\n");
    let nowhere = "the old text does not occur in a; read the file and copy the text exactly, \
                   without line numbers";
    bench.fails("edit", edit("z", "w", false), nowhere).await;
    bench
        .fails("edit", edit("", "w", false), "the old text is empty; use write to make a file")
        .await;
    bench.fails("edit", edit("y", "y", false), "the old and the new text are the same").await;
}

#[tokio::test]
async fn failures_name_the_path_and_the_reason() {
    let bench = Bench::new();
    let root = bench.folder.path().canonicalize().unwrap();
    bench.put("file", "text");
    bench.fails("read", json!({ "path": "no" }), "no does not exist").await;
    bench.fails("read", json!({ "path": "." }), ". is not a file").await;
    let outside = format!(
        "../no is outside the workspace {}; only paths inside it can be used",
        root.display()
    );
    bench.fails("read", json!({ "path": "../no" }), &outside).await;
    let below = "file/x could not be looked up: Not a directory (os error 20)";
    bench.fails("write", json!({ "path": "file/x", "content": "" }), below).await;
}

#[tokio::test]
async fn bash_tells_how_a_command_was_killed() {
    let bench = Bench::new();
    let outcome = bench.run("bash", json!({ "command": "printf a; kill -9 $$" })).await;
    assert_eq!(outcome, ToolOutcome::failed("a\n[killed by signal 9]"));
    let outcome = bench.run("bash", json!({ "command": "sleep 300 & echo $!" })).await;
    let (pid, rest) = outcome.output.split_once('\n').unwrap();
    assert_eq!(outcome.status, ToolStatus::Ok);
    assert!(rest.starts_with("[a program it started runs on"), "{rest}");
    bench.run("bash", json!({ "command": format!("kill {pid}") })).await;
}
