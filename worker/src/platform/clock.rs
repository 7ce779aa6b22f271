//! Time and chance.

use std::time::Duration;

use futures_util::future::{Either, select};
use wasm_bindgen::prelude::wasm_bindgen;
use worker::State;

#[wasm_bindgen(wasm_bindgen = ::worker::wasm_bindgen)]
extern "C" {
    #[wasm_bindgen(js_namespace = crypto, js_name = randomUUID)]
    fn random_uuid() -> String;
}

/// Milliseconds since the Unix epoch. The platform's clock stands still between I/O.
pub(crate) fn now_ms() -> u64 {
    ours_ms(worker::Date::now().as_millis())
}

/// A time that the platform tells, by our clock: the two differ where a fault was ordered.
pub(super) fn ours_ms(ms: u64) -> u64 {
    ms.saturating_add_signed(super::faults::clock_offset_ms())
}

/// The day of a time, as `2026-11-25`, in UTC.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 stay below 2^53")]
pub(crate) fn day(ms: u64) -> String {
    let date = worker::js_sys::Date::new(&wasm_bindgen::JsValue::from_f64(ms as f64));
    String::from(date.to_iso_string()).chars().take(10).collect()
}

/// A fresh random identifier (a version 4 UUID).
pub(crate) fn unique() -> String {
    random_uuid()
}

/// Sets the object's one alarm, so many milliseconds ahead, in place of the one that is set.
pub(crate) async fn ring(state: &State, ahead_ms: i64) -> Result<(), worker::Error> {
    state.storage().set_alarm(ahead_ms).await
}

/// The result of `work`, or `None` when it takes longer than `ms_max`; it is dropped then.
pub(crate) async fn within<T>(ms_max: u64, work: impl Future<Output = T>) -> Option<T> {
    let (work, late) = (std::pin::pin!(work), std::pin::pin!(pause(ms_max)));
    match select(work, late).await {
        Either::Left((result, _)) => Some(result),
        Either::Right(_) => None,
    }
}

/// Waits.
pub(crate) async fn pause(ms: u64) {
    worker::Delay::from(Duration::from_millis(ms)).await;
}
