//! A provider's answer on its way to the container: counted as it passes, and booked when it ends,
//! however it ends.
//!
//! Invariants: the bytes are passed on as they come and none is kept, except that no key of ours is
//! among them; a granted call is settled once, also when the container stops listening in the middle.

use std::cell::RefCell;
use std::rc::Rc;

use dialects::{Dialect, UsageMeter};
use protocol::object::{Bill, CallSettled, ObjectRoute};
use protocol::{AgentId, Problem, ProblemCode};

use crate::agent::ledger::to_wire;
use crate::egress::mask::{Mask, Masking};
use crate::limits::{SETTLE_ATTEMPTS_MAX, SETTLE_PAUSE_MS, SETTLE_WAIT_MS_MAX};
use crate::models::Money;
use crate::platform::clock::{now_ms, pause, within};
use crate::platform::http::{Body, Response};
use crate::platform::log as console;
use crate::platform::relay::{Relay, RelayError};
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

/// The count of an answer.
#[derive(Debug)]
struct Meter {
    usage: UsageMeter,
    counting: Counting,
    began_ms: u64,
    has_ended: bool,
}

impl Meter {
    /// What is owed for what has passed.
    fn bill(&self) -> Bill {
        let metered = self.usage.metered();
        let counted = metered.usage.map(to_wire);
        match counted {
            Some(usage) if self.has_ended && metered.ended => Bill::Counted {
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
        response: Response,
        counting: Counting,
        mask: &Rc<Mask>,
        context: &Context,
    ) -> Result<Response, Problem> {
        let (response, relay) = relayed(response)?;
        let masking = Masking::new(mask);
        let usage = UsageMeter::new(counting.dialect);
        let meter = Meter { usage, counting, began_ms: now_ms(), has_ended: false };
        let meter = Rc::new(RefCell::new(meter));
        // The platform keeps this alive when the container hangs up.
        context.wait_until(async move {
            let seen = Rc::clone(&meter);
            let owed = || meter.borrow().bill();
            let Some(relay) = relay else {
                return self.settle(owed()).await;
            };
            let passed =
                pass(&relay, masking, move |piece| seen.borrow_mut().usage.feed(piece)).await;
            meter.borrow_mut().has_ended = passed.is_ok();
            // Booked before the end is passed on, so that the next question of the same turn is asked
            // against the right sum.
            let mut settling = Box::pin(self.settle(owed()));
            let booked = within(SETTLE_WAIT_MS_MAX, &mut settling).await;
            end(relay, passed).await;
            if booked.is_none() {
                settling.await;
            }
        });
        Ok(response)
    }
}

/// An answer that is not counted, without `mask`'s secrets: some providers repeat the key that they
/// refuse.
pub(super) fn masked(
    response: Response,
    mask: &Rc<Mask>,
    context: &Context,
) -> Result<Response, Problem> {
    let (response, relay) = relayed(response)?;
    let masking = Masking::new(mask);
    if let Some(relay) = relay {
        context.wait_until(async move {
            let passed = pass(&relay, masking, |_| {}).await;
            end(relay, passed).await;
        });
    }
    Ok(response)
}

fn relayed(response: Response) -> Result<(Response, Option<Relay>), Problem> {
    Relay::of(response).map_err(|why| {
        Problem::new(ProblemCode::Internal, format!("A model's answer cannot be passed on: {why}."))
    })
}

/// Passes a body on to its end, through the mask; `see` looks at every piece before.
async fn pass(
    relay: &Relay,
    masking: Masking,
    mut see: impl FnMut(&[u8]) + 'static,
) -> Result<(), RelayError> {
    let masking = Rc::new(RefCell::new(masking));
    let pieces = Rc::clone(&masking);
    let look = move |piece: &[u8]| {
        see(piece);
        let shown = pieces.borrow_mut().push(piece);
        (shown != piece).then_some(shown)
    };
    relay.run(look).await?;
    let last = masking.borrow_mut().finish();
    relay.add(&last).await
}

/// Ends a body as it went.
async fn end(relay: Relay, passed: Result<(), RelayError>) {
    let ended = match passed {
        Ok(()) => relay.close().await,
        Err(error) => {
            relay.break_off("the answer broke off").await;
            Err(error)
        }
    };
    if let Err(error) = ended {
        console::note(format_args!("a model's answer: {error}"));
    }
}
