//! A provider's answer on its way to the container: counted as it passes, and booked when it ends,
//! however it ends.
//!
//! Invariants: the bytes are passed on as they come and none is kept; a granted call is settled
//! once, also when the container stops listening in the middle.

use std::cell::RefCell;
use std::rc::Rc;

use dialects::{Dialect, UsageMeter};
use futures_channel::oneshot;
use futures_util::StreamExt;
use futures_util::stream::unfold;
use protocol::object::{Bill, CallSettled, ObjectRoute};
use protocol::{AgentId, Problem};

use crate::agent::ledger::to_wire;
use crate::limits::{SETTLE_ATTEMPTS_MAX, SETTLE_PAUSE_MS, SETTLE_WAIT_MS_MAX};
use crate::models::Money;
use crate::platform::clock::{now_ms, pause, within};
use crate::platform::http::{self, Body, ByteStream, Response};
use crate::platform::log as console;
use crate::platform::{Context, Env, object};

/// A granted call whose end is to be told.
#[derive(Debug, Clone)]
pub(super) struct Granted {
    /// Where the ledger is.
    pub(super) env: Env,
    /// Whose it is.
    pub(super) agent: AgentId,
    /// The call's number there.
    pub(super) call: u64,
}

/// How an answer is counted.
#[derive(Debug)]
pub(super) struct Counting {
    /// What the provider writes.
    pub(super) dialect: Dialect,
    /// Whether the provider says what a call costs.
    pub(super) reports_cost: bool,
    /// The `provider/model` that a gateway's route led to.
    pub(super) answered_by: Option<String>,
}

/// The count of an answer, seen by the stream and by whoever books it.
#[derive(Debug)]
struct Meter {
    usage: UsageMeter,
    counting: Counting,
    began_ms: u64,
    ended: bool,
}

impl Meter {
    /// What is owed for what has passed.
    fn bill(&self) -> Bill {
        let metered = self.usage.metered();
        let counted = metered.usage.map(to_wire);
        match counted {
            Some(usage) if self.ended && metered.ended => Bill::Counted {
                usage,
                cost_nanodollars: metered
                    .cost_usd
                    .filter(|_| self.counting.reports_cost)
                    .and_then(Money::reported)
                    .map(|money| money.0),
                answered_by: self.counting.answered_by.clone(),
            },
            usage => Bill::Uncounted {
                usage: usage.unwrap_or_default(),
                elapsed_ms: now_ms().saturating_sub(self.began_ms),
            },
        }
    }
}

impl Granted {
    /// Tells the ledger what is owed.
    pub(super) async fn settle(&self, bill: Bill) {
        let body = match serde_json::to_string(&CallSettled { call: self.call, bill }) {
            Ok(body) => body,
            Err(error) => {
                console::trouble(format_args!("call {} could not be told: {error}", self.call));
                return;
            }
        };
        for attempt in 1..=SETTLE_ATTEMPTS_MAX {
            let route = &ObjectRoute::ModelSettle;
            let sent =
                object::call(&self.env, &self.agent, None, route, Body::Text(body.clone())).await;
            match sent {
                Ok(response) if response.status_code() == 204 => return,
                Ok(response) => console::note(format_args!(
                    "call {}: the object answers {} (try {attempt})",
                    self.call,
                    response.status_code()
                )),
                Err(problem) => {
                    console::note(format_args!("call {}: {problem} (try {attempt})", self.call));
                }
            }
            pause(SETTLE_PAUSE_MS * u64::from(attempt)).await;
        }
        console::trouble(format_args!("call {} could not be settled; it lapses", self.call));
    }

    /// The same answer, counted while it passes and settled when it ends.
    pub(super) fn meter(
        self,
        mut response: Response,
        counting: Counting,
        context: &Context,
    ) -> Result<Response, Problem> {
        let stream = response
            .stream()
            .map_err(|error| http::internal("Reading a model's answer", &error))?;
        let usage = UsageMeter::new(counting.dialect);
        let meter = Meter { usage, counting, began_ms: now_ms(), ended: false };
        let meter = Rc::new(RefCell::new(meter));
        let (over, is_over) = oneshot::channel::<()>();
        let (told, is_told) = oneshot::channel::<()>();
        let counted = Rc::clone(&meter);
        // Pending from now on, so that the platform keeps this alive when the container hangs up.
        context.wait_until(async move {
            // The sender is dropped with the stream: then the answer broke off.
            let ended = is_over.await.is_ok();
            counted.borrow_mut().ended = ended;
            let bill = counted.borrow().bill();
            self.settle(bill).await;
            if told.send(()).is_err() {
                console::note(format_args!("nobody waited for the booking of a model's answer"));
            }
        });
        let passing = Passing { stream, meter, over: Some(over), told: Some(is_told) };
        let pieces =
            unfold(passing, |mut passing| async { Some((passing.next().await?, passing)) });
        http::with_stream(response, pieces)
    }
}

/// An answer under way.
struct Passing {
    stream: ByteStream,
    meter: Rc<RefCell<Meter>>,
    over: Option<oneshot::Sender<()>>,
    told: Option<oneshot::Receiver<()>>,
}

impl Passing {
    /// The next piece; nothing when the answer is over and booked.
    async fn next(&mut self) -> Option<Result<Vec<u8>, Problem>> {
        match self.stream.next().await {
            Some(Ok(piece)) => {
                self.meter.borrow_mut().usage.feed(&piece);
                Some(Ok(piece))
            }
            Some(Err(error)) => {
                self.over = None;
                Some(Err(http::internal("Reading a model's answer", &error)))
            }
            None => {
                self.end().await;
                None
            }
        }
    }

    /// Lets the answer be booked before its end is passed on, so that the next question of the same
    /// turn is asked against the right sum.
    async fn end(&mut self) {
        if self.over.take().is_some_and(|over| over.send(()).is_err()) {
            console::trouble(format_args!("nobody books a model's answer; its call lapses"));
        }
        if let Some(told) = self.told.take()
            && within(SETTLE_WAIT_MS_MAX, told).await.is_none()
        {
            console::note(format_args!("a model's answer ends before it is booked"));
        }
    }
}
