use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, test_kill_process_group};

use super::{CommandEnd, run_shell};

const PATIENCE: Duration = Duration::from_secs(20);

async fn run(script: &str, limit: Duration) -> (CommandEnd, String) {
    let mut output = Vec::new();
    let variables = Vec::new();
    let end = run_shell(script, Path::new("/"), &variables, limit, |bytes| {
        output.extend_from_slice(bytes);
    });
    let end = tokio::time::timeout(PATIENCE, end).await.expect("it hangs").unwrap();
    (end, String::from_utf8(output).unwrap())
}

#[tokio::test]
async fn both_outputs_come_in_their_order() {
    let script = "for n in 1 2 3; do echo out $n; echo err $n >&2; done; exit 7";
    let (end, output) = run(script, PATIENCE).await;
    assert_eq!(output, "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n");
    let CommandEnd::Exited { status, left_running } = end else { panic!("{end:?}") };
    assert_eq!((status.code(), left_running), (Some(7), false));
}

#[tokio::test]
async fn nothing_can_be_typed_and_nothing_of_ours_is_passed_on() {
    let (_, output) = run("cat; pwd; echo \"[$PORT$EPOCH] $PAGER\"", PATIENCE).await;
    assert_eq!(output, "/\n[] cat\n");
}

#[tokio::test]
async fn what_is_left_running_does_not_hold_up_the_call() {
    let (end, output) = run("sleep 300 & echo $$", PATIENCE).await;
    let CommandEnd::Exited { left_running, .. } = end else { panic!("{end:?}") };
    assert!(left_running);
    let group = Pid::from_raw(output.trim().parse().unwrap()).unwrap();
    test_kill_process_group(group).expect("it was to stay");
    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn what_has_its_own_output_is_let_go_at_once() {
    let (end, output) = run("sleep 300 > /dev/null 2>&1 & echo $$", PATIENCE).await;
    assert!(matches!(end, CommandEnd::Exited { left_running: false, .. }), "{end:?}");
    let group = Pid::from_raw(output.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn an_endless_flood_is_ended_by_the_clock() {
    let (end, output) = run("yes", Duration::from_millis(200)).await;
    assert_eq!(end, CommandEnd::TimedOut);
    assert!(output.starts_with("y\ny\n"));
}

#[tokio::test]
async fn one_that_closes_its_output_is_ended_by_the_clock() {
    let script = "exec > /dev/null 2>&1; sleep 300";
    assert_eq!(run(script, Duration::from_millis(200)).await.0, CommandEnd::TimedOut);
}
