//! Faults on order, for the fault harness: R2 that fails, is slow or loses answers, and a clock
//! that jumps.
//!
//! Invariant: nothing here has an effect unless `FAULTS=true`, which counts only with `DEV_MODE`.

use std::cell::RefCell;

use protocol::{Problem, ProblemCode};
use serde::Deserialize;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use worker::State;
use worker::js_sys::{Function, Reflect};

use super::bucket::BucketError;
use super::clock;

/// What is to go wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Faults {
    /// Of R2.
    pub(crate) r2: R2Faults,
    /// How far the clock is from the true time.
    pub(crate) clock_offset_ms: i64,
    /// How often the object's alarm is to ring at once.
    pub(crate) ring: u32,
    /// Whether the platform is to reset the object, in the isolate in which it is.
    pub(crate) reset: bool,
}

/// What is to go wrong with R2.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct R2Faults {
    /// Of a thousand calls, so many fail before they do anything.
    pub(crate) fail_per_mille: u32,
    /// Of a thousand writes, so many are done and answered with a failure.
    pub(crate) lose_answer_per_mille: u32,
    /// Every call takes so much longer.
    pub(crate) delay_ms: u64,
    /// Where chance begins.
    pub(crate) seed: u64,
}

thread_local! {
    static FAULTS: RefCell<Option<(Faults, u64)>> = const { RefCell::new(None) };
}

/// An order as it is written.
pub(crate) fn parse(text: &str) -> Result<Faults, Problem> {
    serde_json::from_str(text).map_err(|error| {
        Problem::new(ProblemCode::BadRequest, format!("The order is not understood: {error}."))
    })
}

/// Orders faults; the former order is void.
pub(crate) fn order(faults: Faults) {
    // An odd state never becomes zero, where the generator would stay.
    FAULTS.with_borrow_mut(|state| *state = Some((faults, faults.r2.seed << 1 | 1)));
}

/// Orders faults unless some are ordered already.
pub(crate) fn order_first(faults: Faults) {
    if FAULTS.with_borrow(Option::is_none) {
        order(faults);
    }
}

/// How far the clock is from the true time.
pub(crate) fn clock_offset_ms() -> i64 {
    FAULTS.with_borrow(|state| state.map_or(0, |(faults, _)| faults.clock_offset_ms))
}

#[wasm_bindgen(wasm_bindgen = ::worker::wasm_bindgen)]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(work: &JsValue, ms: u32);
}

/// Has the platform reset the object as soon as this event is over. Not by a call from here: that
/// never comes back, and whatever Rust holds at the time is held for ever.
pub(crate) fn reset_soon(state: &State) -> Result<(), Problem> {
    let object: &JsValue = state.as_raw().as_ref();
    let abort = Reflect::get(object, &"abort".into()).map(JsValue::into);
    let abort: Function = abort
        .map_err(|_error| Problem::new(ProblemCode::Internal, "This platform resets no object."))?;
    set_timeout(&abort.bind1(object, &"this reset was ordered".into()), 0);
    Ok(())
}

/// Before a call of R2.
pub(super) async fn before() -> Result<(), BucketError> {
    let (delay_ms, fails) = FAULTS.with_borrow_mut(|state| match state {
        None => (0, false),
        Some((faults, chance)) => (faults.r2.delay_ms, hits(chance, faults.r2.fail_per_mille)),
    });
    if delay_ms > 0 {
        clock::pause(delay_ms).await;
    }
    if fails { Err(ordered()) } else { Ok(()) }
}

/// After a write to R2.
pub(super) fn after_write() -> Result<(), BucketError> {
    let fails = FAULTS.with_borrow_mut(|state| match state {
        None => false,
        Some((faults, chance)) => hits(chance, faults.r2.lose_answer_per_mille),
    });
    if fails { Err(ordered()) } else { Ok(()) }
}

fn ordered() -> BucketError {
    BucketError::Failed("this failure was ordered".into())
}

/// Whether chance hits, `per_mille` of the time. Xorshift: <https://doi.org/10.18637/jss.v008.i14>.
fn hits(chance: &mut u64, per_mille: u32) -> bool {
    *chance ^= *chance << 13;
    *chance ^= *chance >> 7;
    *chance ^= *chance << 17;
    *chance % 1000 < u64::from(per_mille)
}
