//! Tool calls: what is appended when, what the model is told, what is not run.

use protocol::session::{Item, Outcome, ToolFinished, ToolStatus};
use serde_json::{Value, json};

use crate::answers::{asks, bash, call, raw_call, says, stream, text};
use crate::fake_edge::Answer;
use crate::world::{World, brief, brief_log, patiently};

/// The ends of all calls in a session.
pub(crate) fn finished(world: &World, session: &str) -> Vec<ToolFinished> {
    let items = world.edge.log(session).into_iter().map(|record| record.item);
    items
        .filter_map(|item| match item {
            Item::ToolFinished(finished) => Some(finished),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn each_step_is_appended_before_the_next_effect() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([
        asks(&[text("Looking"), bash("c1", "echo one"), bash("c2", "echo two >&2; exit 3")]),
        says("Done"),
    ]);
    assert_eq!(life.outcome(&world.edge.say("s", "t", "go")).await, Outcome::Completed);
    let appends: Vec<Vec<String>> = world.edge.appends().into_iter().map(brief).collect();
    assert_eq!(
        appends,
        [
            vec!["assistant Looking <c1> <c2>", "started c1"],
            vec!["finished c1 Ok", "started c2"],
            vec!["finished c2 Failed"],
            vec!["assistant Done"],
            vec!["ended Completed"],
        ]
    );
    let outputs: Vec<String> = finished(&world, "s").into_iter().map(|end| end.output).collect();
    assert_eq!(outputs, ["one\n[exit code 0]", "two\n[exit code 3]"]);

    let asked = &world.edge.questions()[1].1["messages"];
    let results = asked[2]["content"].as_array().unwrap();
    let told: Vec<(&Value, bool)> = results
        .iter()
        .map(|result| (&result["tool_use_id"], result["is_error"] == json!(true)))
        .collect();
    assert_eq!(told, [(&json!("c1"), false), (&json!("c2"), true)]);
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_with_a_reason_and_never_started() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([
        asks(&[
            call("c1", "browse", &json!({})),
            raw_call("c2", "bash", "{\"command\": "),
            call("c3", "bash", &json!({ "cmd": "ls" })),
            call("c4", "bash", &json!({ "command": 7 })),
            call("c5", "bash", &json!({ "command": "ls", "timeout_seconds": 100_000 })),
            bash("c6", "echo fine"),
        ]),
        says("Done"),
    ]);
    assert_eq!(life.outcome(&world.edge.say("s", "t", "go")).await, Outcome::Completed);
    assert_eq!(world.edge.appends().len(), 4);
    let ends = finished(&world, "s");
    let hints = [
        "The tools are: bash, read, write, edit",
        "not a JSON object",
        "\"command\" is missing",
        "must be of type string",
        "at most 600",
        "fine",
    ];
    for (end, hint) in ends.iter().zip(hints) {
        assert!(end.output.contains(hint), "{hint:?} is not in {:?}", end.output);
    }
    let refused = ends.iter().filter(|end| end.status == ToolStatus::Refused).count();
    let log = brief_log(&world.edge, "s");
    let started = log.iter().filter(|line| line.starts_with("started")).count();
    assert_eq!((refused, started), (5, 1));
}

#[tokio::test]
async fn a_call_that_the_output_limit_cut_is_refused_as_cut() {
    let world = World::new().await;
    let life = world.live().await;
    let cut =
        stream(&[raw_call("c1", "write", "{\"path\": \"a\", \"content\": \"abc")], "max_tokens");
    world.edge.script([Answer::Body(cut), says("smaller then")]);
    assert_eq!(life.outcome(&world.edge.say("s", "t", "go")).await, Outcome::Completed);
    let ends = finished(&world, "s");
    assert_eq!(ends[0].status, ToolStatus::Refused);
    assert!(ends[0].output.contains("output limit"), "{}", ends[0].output);
}

#[tokio::test]
async fn calls_of_one_name_are_told_apart() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([
        asks(&[bash("call_0", "echo 1")]),
        asks(&[bash("call_0", "echo 2")]),
        says("Done"),
    ]);
    assert_eq!(life.outcome(&world.edge.say("s", "t", "go")).await, Outcome::Completed);
    let calls: Vec<String> =
        finished(&world, "s").into_iter().map(|end| end.call.to_string()).collect();
    assert_eq!(calls, ["call_0", "call_0-2"]);
}

#[tokio::test]
async fn output_is_bounded_and_says_what_is_missing() {
    let world = World::new().await;
    let life = world.live().await;
    world.edge.script([
        asks(&[bash("c1", "echo first; head -c 20000000 /dev/zero | tr '\\0' x; echo; echo last")]),
        says("Done"),
    ]);
    assert_eq!(life.outcome(&world.edge.say("s", "t", "go")).await, Outcome::Completed);
    let output = &finished(&world, "s")[0].output;
    assert!(output.len() < 31_000, "{}", output.len());
    assert!(output.starts_with("first\n") && output.ends_with("last\n[exit code 0]"));
    assert!(output.contains("bytes left out here"));
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_killed_with_all_it_started() {
    let world = World::new().await;
    let life = world.live().await;
    let command = "echo $$ > pid; (sleep 300 & echo $! > child; wait)";
    let arguments = json!({ "command": command, "timeout_seconds": 1 });
    world.edge.script([asks(&[call("c1", "bash", &arguments)]), says("Done")]);
    assert_eq!(life.outcome(&world.edge.say("s", "t", "go")).await, Outcome::Completed);
    let end = &finished(&world, "s")[0];
    assert_eq!((end.status, end.output.as_str()), (ToolStatus::Failed, "[killed after 1 seconds]"));
    gone(&world.file("child")).await;
}

/// Waits until a process is gone or only waits to be buried. A kill is an order to the kernel, which
/// carries it out when it next runs the process.
pub(crate) async fn gone(pid: &str) {
    let stat = format!("/proc/{}/stat", pid.trim());
    let is_gone = || match std::fs::read_to_string(&stat) {
        Err(_) => true,
        Ok(stat) => stat.rsplit(") ").next().unwrap().starts_with(['Z', 'X']),
    };
    patiently(async {
        while !is_gone() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_turn_that_goes_in_circles_is_ended() {
    let world = World::new().await;
    let life = world.live().await;
    let many = (0..70).map(|n| asks(&[call(&format!("c{n}"), "nothing", &json!({}))]));
    world.edge.script(many);
    let outcome = life.outcome(&world.edge.say("s", "t", "go")).await;
    let problem = crate::world::problem(outcome);
    assert_eq!(problem.code, protocol::ProblemCode::TurnBound);
    assert_eq!(world.edge.questions().len(), 60);
}
