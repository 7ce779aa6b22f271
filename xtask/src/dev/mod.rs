//! `cargo xtask dev`: the whole stack on this machine.
//!
//! Invariants: nothing listens but on loopback; no secret is in a command line; when this returns,
//! every process that it started has ended.

mod announce;
mod converse;
mod ports;
pub(crate) mod settings;
mod stack;
mod state;
mod token;

use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::args::DevOptions;
use crate::console;
use crate::places::Places;
use crate::process::ChildEvent;
use crate::{build, setup};
pub(crate) use ports::{DEFAULT_PORT, port_is_free};
use stack::Stack;
use state::State;

/// Everything that `dev` waits for.
#[derive(Debug)]
enum Event {
    /// A process spoke or ended.
    Child(ChildEvent),
    /// The user wants to stop.
    Stop,
    /// The messages of `--say` were all answered, or one was not.
    Said(Result<()>),
}

impl From<ChildEvent> for Event {
    fn from(event: ChildEvent) -> Self {
        Self::Child(event)
    }
}

/// Runs until it is stopped, or until everything was said.
pub(crate) fn run(places: &Places, options: &DevOptions) -> Result<ExitCode> {
    let begun = Instant::now();
    if !build::is_done_already() {
        let machine = setup::ensure(places)?;
        build::all(places, &machine)?;
    }
    let build_time = begun.elapsed();
    let state = State::open(places, options)?;
    let (tell, events) = mpsc::channel();
    stop_on_signals(tell.clone())?;
    let begun = Instant::now();
    let result = Stack::start(places, options, &state, (&tell, &events)).and_then(|mut stack| {
        let ready = Ready { build_time, start_time: begun.elapsed() };
        let result = attend(options, &stack, &ready, (tell, &events));
        stack.stop();
        result
    });
    state.close(result.is_err());
    if let (true, Err(error)) = (options.json, &result) {
        announce::failure_as_json(error);
    }
    result.map(|()| ExitCode::SUCCESS)
}

/// How long it took until the first message could be sent.
#[derive(Debug, Clone, Copy)]
struct Ready {
    build_time: Duration,
    start_time: Duration,
}

/// Milliseconds with one digit behind the point, as the JSON lines show them.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

fn attend(
    options: &DevOptions,
    stack: &Stack,
    ready: &Ready,
    (tell, events): (Sender<Event>, &Receiver<Event>),
) -> Result<()> {
    if options.json {
        announce::as_json(stack, ready);
    } else if options.say.is_empty() {
        let greeting = converse::greeting(stack.port());
        if let Err(error) = &greeting {
            console::note(&format!("the agent was not asked how it is: {error:#}"));
        }
        announce::to_person(stack, greeting.ok().as_ref());
    }
    if !options.say.is_empty() {
        let messages = options.say.clone();
        let (port, json, ready) = (stack.port(), options.json, *ready);
        // Ends with its connection, at the latest when the stack does.
        thread::spawn(move || {
            let said = converse::say_all(port, &messages, json, &ready);
            // Nobody listens any more when the user has stopped everything.
            tell.send(Event::Said(said)).ok();
        });
    }
    loop {
        match events.recv().context("waiting for the stack")? {
            Event::Said(result) => return result,
            Event::Stop if options.say.is_empty() => return Ok(()),
            Event::Stop => bail!("stopped before everything was answered"),
            Event::Child(ChildEvent::Ended { name }) => return Err(stack.death_of(name)),
            Event::Child(ChildEvent::Line { .. }) => {}
        }
    }
}

fn stop_on_signals(tell: Sender<Event>) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("listening for signals")?;
    thread::spawn(move || {
        for _ in signals.forever() {
            console::note("stopping");
            if tell.send(Event::Stop).is_err() {
                return;
            }
        }
    });
    Ok(())
}
