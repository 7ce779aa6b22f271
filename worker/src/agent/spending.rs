//! The object's side of model calls: grants them against the caps, books what they came to, and
//! reports it.
//!
//! Invariant: between the look at what counts and the setting aside nothing else runs, so calls that
//! are asked for at once cannot pass a cap together.

use protocol::object::{Amount, Bill, CallGrant, CallRequest, CallSettled, UsageLine, UsageReport};
use protocol::session::Usage;
use protocol::{Epoch, Problem, ProblemCode};

use super::core::{Core, books_failed};
use super::ledger::{self, Reserved, Spent, to_wire};
use super::schedule::{day, days_before};
use super::store::ledger::{self as book, By, Line, NewCall, OpenCall, Settlement};
use crate::limits::{
    CALL_BODY_BYTES_MAX, MODEL_CALL_MS_MAX, USAGE_DAYS_KEPT, USAGE_DAYS_SHOWN, USAGE_LINES_MAX,
};
use crate::platform::clock::now_ms;
use crate::platform::http::{self, Request, Response};
use crate::platform::log as console;

impl Core {
    /// Grants a model call to the container of `epoch`, or says which cap stands against it.
    pub(super) async fn grant_call(
        &self,
        epoch: Option<Epoch>,
        request: &mut Request,
    ) -> Result<Response, Problem> {
        self.check_epoch(epoch)?;
        let wanted: CallRequest = http::read_json(request, CALL_BODY_BYTES_MAX).await?;
        // Reading took time: another life may have begun.
        self.check_epoch(epoch)?;
        Ok(http::json(200, &self.grant(&wanted)?))
    }

    fn grant(&self, wanted: &CallRequest) -> Result<CallGrant, Problem> {
        let failed = |error| books_failed(&error);
        let now_ms = now_ms();
        self.lapse(now_ms)?;
        let account = book::account(&self.sql, &wanted.turn).map_err(failed)?;
        let (session, channel) = account.ok_or_else(|| {
            Problem::new(
                ProblemCode::Forbidden,
                format!("No turn {} runs that a model call could belong to.", wanted.turn),
            )
        })?;
        let model = self.settings.known_model(&wanted.provider, &wanted.model);
        let most = ledger::most(&model, wanted.input_tokens, wanted.output_tokens);
        let day = day(now_ms, &self.settings.time_zone);
        let standing = book::standing(&self.sql, &wanted.turn, &day).map_err(failed)?;
        ledger::admit(&self.settings.caps, &standing, most, model.known)?;
        let call = NewCall {
            day,
            turn: wanted.turn.clone(),
            session: session.clone(),
            channel: channel.clone(),
            provider: wanted.provider.clone(),
            model: wanted.model.clone(),
            reserved: Reserved {
                input_tokens: wanted.input_tokens,
                output_tokens: wanted.output_tokens,
            },
            most,
        };
        let call = book::reserve(&self.sql, &call, now_ms).map_err(failed)?;
        Ok(CallGrant { call, session, channel })
    }

    /// Books what a call came to. The epoch does not matter: what was spent was spent.
    pub(super) async fn settle_call(&self, request: &mut Request) -> Result<Response, Problem> {
        let settled: CallSettled = http::read_json(request, CALL_BODY_BYTES_MAX).await?;
        let open = book::open_call(&self.sql, settled.call).map_err(|e| books_failed(&e))?;
        match open {
            Some(open) => self.book(&open, &settled.bill)?,
            None => console::note(format_args!("call {} was settled before", settled.call)),
        }
        Ok(http::empty(204))
    }

    /// Books calls whose end nobody told in time.
    fn lapse(&self, now_ms: u64) -> Result<(), Problem> {
        let failed = |error| books_failed(&error);
        let before_ms = now_ms.saturating_sub(MODEL_CALL_MS_MAX);
        for open in book::open_since_before(&self.sql, before_ms).map_err(failed)? {
            console::trouble(format_args!("the end of call {} was never told", open.call));
            let elapsed_ms = now_ms.saturating_sub(open.at_ms);
            self.book(&open, &Bill::Uncounted { usage: Usage::default(), elapsed_ms })?;
        }
        let oldest = days_before(now_ms, &self.settings.time_zone, USAGE_DAYS_KEPT);
        book::forget_before(&self.sql, &oldest).map_err(failed)
    }

    fn book(&self, open: &OpenCall, bill: &Bill) -> Result<(), Problem> {
        let own = format!("{}/{}", open.provider, open.model);
        let mut model = self.settings.known_model(&open.provider, &open.model);
        let mut name = own.as_str();
        // A gateway's route leads to a model whose name nobody knew before.
        if let Bill::Counted { answered_by: Some(answered_by), .. } = bill {
            name = answered_by;
            let routed = answered_by.split_once('/');
            let routed = routed.map(|(provider, model)| self.settings.known_model(provider, model));
            model = routed.filter(|model| model.known).unwrap_or(model);
        }
        let (usage, money, estimated) = ledger::settle(&model, open.reserved, bill);
        let settlement = Settlement { model: name, usage, money, estimated };
        book::settle(&self.sql, open.call, &settlement).map_err(|error| books_failed(&error))
    }

    /// What was spent and what may be.
    pub(super) fn usage(&self) -> Result<UsageReport, Problem> {
        let failed = |error| books_failed(&error);
        let (now_ms, zone) = (now_ms(), &self.settings.time_zone);
        self.lapse(now_ms)?;
        let today = day(now_ms, zone);
        let spent = |prefix: &str| book::of_days(&self.sql, prefix).map(spent).map_err(failed);
        let from = days_before(now_ms, zone, USAGE_DAYS_SHOWN - 1);
        let lines = |by| {
            let lines = book::usage(&self.sql, by, &from, USAGE_LINES_MAX).map_err(failed)?;
            Ok::<_, Problem>(lines.into_iter().map(line).collect())
        };
        let caps = &self.settings.caps;
        Ok(UsageReport {
            today: spent(&today)?,
            month: spent(today.get(..7).unwrap_or(&today))?,
            day: today,
            turn_cap: caps.turn.into(),
            day_cap: caps.day.into(),
            month_cap: caps.month.into(),
            days: USAGE_DAYS_SHOWN.unsigned_abs(),
            by_day: lines(By::Day)?,
            by_model: lines(By::Model)?,
            by_session: lines(By::Session)?,
            by_channel: lines(By::Channel)?,
        })
    }
}

fn spent(spent: Spent) -> Amount {
    Amount { nanodollars: Some(spent.money.0), tokens: Some(spent.tokens) }
}

fn line(line: Line) -> UsageLine {
    UsageLine {
        name: line.name,
        calls: line.calls,
        estimated: line.estimated,
        usage: to_wire(line.usage),
        nanodollars: line.money.0,
    }
}
