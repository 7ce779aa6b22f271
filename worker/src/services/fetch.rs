//! `POST /fetch`: a page of the internet, for the tool `web_fetch`.
//!
//! Invariants: each redirect is judged, recorded and resolved as the first URL was; a secret goes to
//! its own hosts only, whatever redirects there; the page is bounded and so is the time.

use protocol::egress::{EgressVia, FINAL_URL_HEADER, FetchRequest};
use protocol::limits::{FETCH_BODY_BYTES_MAX, URL_BYTES_MAX};
use protocol::version::is_supported;
use protocol::{Problem, ProblemCode};
use url::Url;

use super::outbound::{Bounds, Outbound, Sending, field, pass_back};
use crate::limits::{
    FETCH_FIRST_BYTE_MS, FETCH_MS_MAX, FETCH_ORDER_BYTES_MAX, FETCH_REDIRECTS_MAX,
};
use crate::platform::Env;
use crate::platform::clock::now_ms;
use crate::platform::http::{self, Body, Request, Response};
use crate::platform::loopback::ContainerIdentity;
use crate::settings::Settings;

/// What the page is asked for with.
const FIELDS: [(&str, &str); 2] = [
    ("accept", "text/html,application/xhtml+xml,text/*;q=0.9,application/json;q=0.9,*/*;q=0.5"),
    ("user-agent", "Pagurus (personal agent; web_fetch)"),
];

/// The statuses that say that a page is elsewhere (RFC 9110 section 15.4).
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// Fetches a page.
pub(super) async fn serve(
    request: &mut Request,
    env: &Env,
    caller: &ContainerIdentity,
) -> Result<Response, Problem> {
    let order: FetchRequest = http::read_json(request, FETCH_ORDER_BYTES_MAX).await?;
    let mut url = read(&order)?;
    let settings = Settings::of(env);
    let way = Outbound { env, caller, egress: &settings.egress, via: EgressVia::Fetch };
    url = way.upgraded(url);
    let until_ms = now_ms() + FETCH_MS_MAX;
    for _ in 0..=FETCH_REDIRECTS_MAX {
        let headers = FIELDS.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let first_byte_ms = FETCH_FIRST_BYTE_MS.min(until_ms.saturating_sub(now_ms()));
        let sending =
            Sending { method: "GET", url: &url, headers, body: Body::Empty, first_byte_ms };
        let answer = way.send(sending).await?;
        let status = answer.response.status_code();
        let recorder = way.recorder(&answer.host);
        let all = answer.fields();
        if REDIRECTS.contains(&status)
            && let Some(target) = all.iter().find(|(name, _)| name == "location")
        {
            recorder.ended(0, status).await;
            url = way.upgraded(next(&url, &target.1)?);
            continue;
        }
        let fields = [
            ("content-type".to_owned(), field(&all, "content-type").to_owned()),
            (FINAL_URL_HEADER.to_owned(), answer.mask.text(url.as_str())),
        ];
        // One byte more than the bound tells the runtime that there is more.
        let bytes_max = FETCH_BODY_BYTES_MAX as u64 + 1;
        return pass_back(answer, recorder, &fields, Bounds { bytes_max, cuts: true, until_ms })
            .await;
    }
    let message = format!("Not fetched: more than {FETCH_REDIRECTS_MAX} redirects.");
    Err(Problem::new(ProblemCode::UpstreamFailed, message).remedy("Fetch where it leads."))
}

/// The URL of an order. Pure.
fn read(order: &FetchRequest) -> Result<Url, Problem> {
    if !is_supported(order.protocol) {
        let message = format!("Protocol {} is not spoken here.", order.protocol);
        return Err(Problem::new(ProblemCode::UnsupportedProtocol, message));
    }
    if order.url.len() > URL_BYTES_MAX {
        let message = format!("A URL has at most {URL_BYTES_MAX} bytes.");
        return Err(Problem::new(ProblemCode::TooLarge, message));
    }
    Url::parse(&order.url).map_err(|error| {
        Problem::new(ProblemCode::BadRequest, format!("This is no URL: {error}."))
            .remedy("Write it whole, like https://example.com/page.")
    })
}

/// Where a redirect leads. Pure.
fn next(url: &Url, target: &str) -> Result<Url, Problem> {
    if target.len() > URL_BYTES_MAX {
        let message = format!("A redirect leads to a URL of more than {URL_BYTES_MAX} bytes.");
        return Err(Problem::new(ProblemCode::UpstreamFailed, message));
    }
    url.join(target).map_err(|error| {
        let message = format!("A redirect leads to what is no URL: {error}.");
        Problem::new(ProblemCode::UpstreamFailed, message)
    })
}
