//! The file tools through the whole program.

use protocol::session::{Outcome, ToolStatus};
use serde_json::json;

use crate::answers::{asks, call, says};
use crate::tools::finished;
use crate::world::World;

#[tokio::test]
async fn files_are_written_edited_and_read_back() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([
        asks(&[
            call("c1", "write", &json!({ "path": "notes/a.md", "content": "one\ntwo\n" })),
            call("c2", "edit", &json!({ "path": "notes/a.md", "old": "two", "new": "2" })),
            call("c3", "read", &json!({ "path": world.path().join("notes/a.md") })),
            call("c4", "read", &json!({ "path": "/etc/passwd" })),
            call("c5", "write", &json!({ "path": "../out", "content": "x" })),
        ]),
        says("Done"),
    ]);
    assert_eq!(life.outcome(&world.edge.say("s", "t", "go")).await, Outcome::Completed);
    assert_eq!(world.file("notes/a.md"), "one\n2\n");
    let ends = finished(&world, "s");
    let statuses: Vec<ToolStatus> = ends.iter().map(|end| end.status).collect();
    let (ok, failed) = (ToolStatus::Ok, ToolStatus::Failed);
    assert_eq!(statuses, [ok, ok, ok, failed, failed], "{ends:#?}");
    assert_eq!(ends[2].output, "     1\tone\n     2\t2\n");
    assert!(ends[4].output.contains("outside the workspace"));
}
