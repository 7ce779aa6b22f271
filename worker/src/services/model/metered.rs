//! A provider's answer on its way to the container: counted as it passes, and booked when it ends,
//! however it ends.
//!
//! Invariants: the bytes are passed on as they come and none is kept, except that no key of ours is
//! among them; a granted call is settled once, also when the container stops listening in the middle.

use std::cell::RefCell;
use std::rc::Rc;

use dialects::{Dialect, UsageMeter};
use futures_channel::oneshot;
use futures_util::StreamExt;
use futures_util::stream::unfold;
use protocol::object::{Bill, CallSettled, ObjectRoute};
use protocol::session::Usage;
use protocol::{AgentId, Problem};

use crate::agent::ledger::to_wire;
use crate::egress::mask::{Mask, Masking};
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

    /// The same answer, counted while it passes, settled when it ends, and without `mask`'s secrets.
    pub(super) fn meter(
        self,
        mut response: Response,
        counting: Counting,
        mask: &Rc<Mask>,
        context: &Context,
    ) -> Result<Response, Problem> {
        let Some(stream) = body(&mut response)? else {
            let bill = Bill::Uncounted { usage: Usage::default(), elapsed_ms: 0 };
            context.wait_until(async move { self.settle(bill).await });
            return Ok(response);
        };
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
        let booking = Booking { meter, over, told: is_told };
        passing(response, Passing { stream, masking: Masking::new(mask), booking: Some(booking) })
    }
}

/// An answer that is not counted, without `mask`'s secrets: some providers repeat the key that they
/// refuse.
pub(super) fn masked(mut response: Response, mask: &Rc<Mask>) -> Result<Response, Problem> {
    let Some(stream) = body(&mut response)? else { return Ok(response) };
    passing(response, Passing { stream, masking: Masking::new(mask), booking: None })
}

/// An answer's body, if it has one.
fn body(response: &mut Response) -> Result<Option<ByteStream>, Problem> {
    http::response_body(response)
        .map_err(|error| http::internal("Reading a model's answer", &error))
}

fn passing(response: Response, passing: Passing) -> Result<Response, Problem> {
    let pieces = unfold(Some(passing), |passing| async { passing?.next().await });
    http::with_stream(response, pieces)
}

/// What is booked when an answer ends.
struct Booking {
    meter: Rc<RefCell<Meter>>,
    over: oneshot::Sender<()>,
    told: oneshot::Receiver<()>,
}

impl Booking {
    /// Lets the answer be booked before its end is passed on, so that the next question of the same
    /// turn is asked against the right sum.
    async fn end(self) {
        if self.over.send(()).is_err() {
            console::trouble(format_args!("nobody books a model's answer; its call lapses"));
        }
        if within(SETTLE_WAIT_MS_MAX, self.told).await.is_none() {
            console::note(format_args!("a model's answer ends before it is booked"));
        }
    }
}

/// An answer under way. Dropped before its end, it is booked as one that broke off.
struct Passing {
    stream: ByteStream,
    masking: Masking,
    booking: Option<Booking>,
}

/// A piece, and what follows it.
type Piece = (Result<Vec<u8>, Problem>, Option<Passing>);

impl Passing {
    /// The next piece; nothing when the answer is over and booked.
    async fn next(mut self) -> Option<Piece> {
        loop {
            match self.stream.next().await {
                Some(Ok(piece)) => {
                    if let Some(booking) = &self.booking {
                        booking.meter.borrow_mut().usage.feed(&piece);
                    }
                    let shown = self.masking.push(&piece);
                    if !shown.is_empty() {
                        return Some((Ok(shown), Some(self)));
                    }
                }
                Some(Err(error)) => {
                    return Some((Err(http::internal("Reading a model's answer", &error)), None));
                }
                None => {
                    let last = self.masking.finish();
                    if let Some(booking) = self.booking.take() {
                        booking.end().await;
                    }
                    return (!last.is_empty()).then_some((Ok(last), None));
                }
            }
        }
    }
}
