//! What leaves for the internet, on the record.
//!
//! Invariant: a call by way of the edge is on the record before it goes out, and only for the current
//! life of the container.

use protocol::egress::EgressNotes;
use protocol::{Epoch, Problem};

use super::core::{Core, books_failed};
use super::schedule::show;
use super::store::egress::{self, Called, Moment};
use crate::limits::{
    DAY_MS, EGRESS_DAYS_KEPT, EGRESS_DAYS_SHOWN, EGRESS_NOTES_BYTES_MAX, EGRESS_SHOWN_MAX,
};
use crate::platform::clock::{day, now_ms};
use crate::platform::http::{self, Request};

impl Core {
    /// Notes what leaves, or has left.
    pub(super) async fn note_egress(
        &self,
        epoch: Option<Epoch>,
        request: &mut Request,
    ) -> Result<(), Problem> {
        self.check_epoch(epoch)?;
        let notes: EgressNotes = http::read_json(request, EGRESS_NOTES_BYTES_MAX).await?;
        let now_ms = now_ms();
        let (day, kept_from) = (day(now_ms), days_before(now_ms, EGRESS_DAYS_KEPT));
        let moment = Moment { now_ms, day: &day, kept_from: &kept_from };
        egress::note(&self.sql, &notes.notes, moment).map_err(|error| books_failed(&error))
    }

    /// The answer to `/egress`.
    pub(super) fn show_egress(&self) -> Result<String, Problem> {
        let since = days_before(now_ms(), EGRESS_DAYS_SHOWN);
        let called = egress::since(&self.sql, &since, EGRESS_SHOWN_MAX);
        let called = called.map_err(|error| books_failed(&error))?;
        let zone = &self.settings.time_zone;
        let mode = format!("Commands: `{}`.", self.settings.egress.internet.as_str());
        if called.is_empty() {
            return Ok(format!("{mode} Nothing has left since {since}."));
        }
        let lines: Vec<String> = called.iter().map(|called| line(called, zone)).collect();
        Ok(format!("{mode} Since {since}, the newest first:\n\n{}", lines.join("\n")))
    }
}

fn days_before(now_ms: u64, days: u64) -> String {
    day(now_ms.saturating_sub(days * DAY_MS))
}

fn line(called: &Called, zone: &str) -> String {
    let Called { host, via, calls, bytes, status, last_at_ms } = called;
    let status = match status {
        0 => String::new(),
        status => format!(", status {status}"),
    };
    let (kib, last) = (bytes.div_ceil(1024), show(*last_at_ms, zone));
    format!("- `{host}` by {via}: {calls} calls, {kib} KiB{status}, last {last}")
}
