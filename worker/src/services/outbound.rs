//! Calls of other hosts on behalf of a container: judged, recorded, resolved, sent, masked.
//!
//! Invariants: nothing is sent before the URL was judged, the object has it on record for the current
//! life of the container, and every address of the host was found public; no redirect is followed
//! here; an answer's text passes only through the mask of the secrets that went out with its question.

use std::cell::RefCell;
use std::rc::Rc;

use futures_util::{StreamExt, stream};
use protocol::egress::{EgressNote, EgressNotes, EgressVia};
use protocol::object::ObjectRoute;
use protocol::{Problem, ProblemCode};
use url::{Position, Url};

use super::asked;
use crate::egress::guard::{self, Destination};
use crate::egress::headers::{comes_back, goes_out, is_readable};
use crate::egress::mask::{Mask, Masking};
use crate::egress::resolve::{self, KINDS, MEDIA_TYPE, Recent, Unresolved};
use crate::limits::{OUTBOUND_IDLE_MS, RESOLVE_BYTES_MAX, RESOLVE_MS_MAX};
use crate::platform::clock::{now_ms, within};
use crate::platform::http::{self, Body, ByteStream, Response};
use crate::platform::log as console;
use crate::platform::loopback::ContainerIdentity;
use crate::platform::{Env, object};
use crate::settings::egress::{Egress, Internet};

thread_local! {
    /// Shared by all requests of this isolate.
    static RECENT: RefCell<Recent> = const { RefCell::new(Recent::new()) };
}

/// The methods that are passed on: those that the platform's SDK can name.
pub(super) const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The way out of one container.
pub(super) struct Outbound<'a> {
    pub(super) env: &'a Env,
    pub(super) caller: &'a ContainerIdentity,
    pub(super) egress: &'a Egress,
    /// By which way, for the record.
    pub(super) via: EgressVia,
}

/// What is sent.
pub(super) struct Sending<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a Url,
    /// The container's own fields.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Body,
    /// Longest wait for the first byte of the answer.
    pub(super) first_byte_ms: u64,
}

/// An answer, its body unread.
pub(super) struct Answer {
    pub(super) response: Response,
    pub(super) host: String,
    pub(super) mask: Rc<Mask>,
}

/// A URL that is not called, and why.
pub(super) fn refused(why: &dyn std::error::Error) -> Problem {
    Problem::new(ProblemCode::Forbidden, format!("Not called: {why}."))
        .remedy("Use a public host by http or https on its usual port.")
}

impl Outbound<'_> {
    /// Judges a URL by itself and by the owner's rules.
    pub(super) fn judge(&self, url: &Url) -> Result<Destination, Problem> {
        let destination = guard::check(url).map_err(|why| refused(&why))?;
        let host = destination.host();
        if self.egress.may_reach(&host) {
            return Ok(destination);
        }
        let message =
            format!("Not called: the owner's settings do not let the agent reach {host}.");
        let remedy = match self.egress.internet {
            Internet::Allowlist => "Ask the owner to add it to SANDBOX_ALLOWED_HOSTS.",
            Internet::Open | Internet::Closed => "Ask the owner to open SANDBOX_INTERNET.",
        };
        Err(Problem::new(ProblemCode::Forbidden, message).remedy(remedy))
    }

    /// Judges, records, resolves and sends. Secrets of the host go with it.
    pub(super) async fn send(&self, sending: Sending<'_>) -> Result<Answer, Problem> {
        let destination = self.judge(sending.url)?;
        let host = destination.host();
        self.recorder(&host).note(1, 0, 0).await?;
        let url = self.target(&destination, sending.url).await?;
        let is_private = sending.url.scheme() == "https";
        let secrets: Vec<_> = self.secrets(&host).filter(|_| is_private).collect();
        let hidden = secrets.iter().flat_map(|secret| {
            secret.hidden.iter().map(|hidden| (secret.name.as_str(), hidden.expose()))
        });
        let mask = Rc::new(Mask::new(hidden));
        let connection = field(&sending.headers, "connection");
        let mut headers: Vec<(&str, &str)> = sending
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| goes_out(name, connection))
            .filter(|(name, _)| secrets.iter().all(|secret| secret.header != *name))
            .collect();
        headers.extend(secrets.iter().map(|s| (s.header.as_str(), s.value.expose())));
        if !mask.is_empty() {
            headers.retain(|(name, _)| *name != "accept-encoding");
            headers.push(("accept-encoding", "identity"));
        }
        // Neither the platform nor the other side can be trusted not to repeat a field's value.
        let unreachable = |why: &str| {
            let why = mask.text(why);
            Problem::new(ProblemCode::UpstreamFailed, format!("{host} gave no answer: {why}."))
                .remedy("Try again later, or check the address.")
        };
        let request = http::outgoing(sending.method, &url, &headers, sending.body)
            .map_err(|error| unreachable(&http::why(&error)))?;
        let seconds = sending.first_byte_ms / 1000;
        let response = match within(sending.first_byte_ms, http::send(request)).await {
            Some(Ok(response)) => response,
            Some(Err(error)) => return Err(unreachable(&http::why(&error))),
            None => return Err(unreachable(&format!("it took more than {seconds} seconds"))),
        };
        let coding = http::response_header(&response, "content-encoding").unwrap_or_default();
        if !mask.is_empty() && !is_readable(&coding) {
            return Err(unreachable("its body is coded in a way that cannot be looked through"));
        }
        Ok(Answer { response, host, mask })
    }

    /// A URL by HTTPS where its host has a secret, which must not be read on its way.
    pub(super) fn upgraded(&self, mut url: Url) -> Url {
        let host = guard::check(&url).map(|destination| destination.host()).unwrap_or_default();
        let has_secret = self.secrets(&host).next().is_some();
        // From http to https there is nothing that can be refused; and below, no secret goes by http.
        if has_secret && url.set_scheme("https").is_err() {
            console::trouble(format_args!("the URL of {host} could not be upgraded"));
        }
        url
    }

    /// The secrets that go to a host by this way.
    fn secrets<'a>(
        &'a self,
        host: &'a str,
    ) -> impl Iterator<Item = &'a crate::settings::egress::HostSecret> {
        // What a command sends for itself to a host of the allowlist is passed on as it is.
        self.egress.secrets_for(host).filter(|_| self.via != EgressVia::Allowlist)
    }

    /// The URL that is really called, once every address of its host was found public.
    async fn target(&self, destination: &Destination, url: &Url) -> Result<String, Problem> {
        let Destination::Name(name) = destination else { return Ok(url.to_string()) };
        let path = &url[Position::BeforePath..Position::AfterQuery];
        if let Some((_, server)) = self.egress.dev_hosts.iter().find(|(host, _)| host == name) {
            return Ok(format!("{server}{path}"));
        }
        if !RECENT.with_borrow(|recent| recent.knows(name, now_ms())) {
            let for_ms = self.resolve(name).await?;
            RECENT.with_borrow_mut(|recent| recent.note(name, now_ms(), for_ms));
        }
        // The name that was looked up, without the dot at its end that may have been there.
        Ok(format!("{}://{name}{path}", url.scheme()))
    }

    async fn resolve(&self, name: &str) -> Result<u64, Problem> {
        let mut answers = Vec::with_capacity(KINDS.len());
        for kind in KINDS {
            answers.push(self.ask(name, kind).await);
        }
        let answers: Result<Vec<_>, _> = answers.into_iter().collect();
        answers.and_then(|answers| resolve::verdict(name, &answers)).map_err(|why| match why {
            Unresolved::Private { .. } => refused(&why),
            Unresolved::Unknown(_) => {
                Problem::new(ProblemCode::NotFound, format!("Not called: {why}."))
                    .remedy("Check how the host is written.")
            }
            Unresolved::Resolver(_) => {
                Problem::new(ProblemCode::UpstreamFailed, format!("Not called: {why}."))
                    .remedy("Try again; if it stays so, the owner can check DNS_OVER_HTTPS_URL.")
            }
        })
    }

    /// Asks the resolver one question.
    async fn ask(&self, name: &str, kind: &str) -> Result<resolve::Answer, Unresolved> {
        let wrong = |why: String| Unresolved::Resolver(why);
        let url = resolve::question(&self.egress.resolver, name, kind);
        let request = http::outgoing("GET", &url, &[("accept", MEDIA_TYPE)], Body::Empty);
        let request = request.map_err(|error| wrong(error.to_string()))?;
        let exchange = async {
            let mut response = http::send(request).await.map_err(|e| wrong(e.to_string()))?;
            match response.status_code() {
                200 => http::read_response(&mut response, RESOLVE_BYTES_MAX).await.map_err(wrong),
                status => Err(wrong(format!("status {status}"))),
            }
        };
        let late = || Err(wrong("it took too long".to_owned()));
        let body = within(RESOLVE_MS_MAX, exchange).await.unwrap_or_else(late)?;
        resolve::read(&body)
    }

    /// Writes what is known of calls of a host into the books.
    pub(super) fn recorder(&self, host: &str) -> Recorder {
        let (env, caller) = (self.env.clone(), self.caller.clone());
        Recorder { env, caller, host: host.to_owned(), via: self.via }
    }
}

/// The record of one call.
pub(super) struct Recorder {
    env: Env,
    caller: ContainerIdentity,
    host: String,
    via: EgressVia,
}

impl Recorder {
    /// Adds to the record; a problem when the container is of a former life.
    async fn note(&self, calls: u64, bytes: u64, status: u16) -> Result<(), Problem> {
        let note = EgressNote { host: self.host.clone(), via: self.via, calls, bytes, status };
        record(&self.env, &self.caller, vec![note]).await
    }

    /// Notes how a call ended. It is over: that it cannot be noted is for the log alone.
    pub(super) async fn ended(&self, bytes: u64, status: u16) {
        if let Err(problem) = self.note(0, bytes, status).await {
            console::trouble(format_args!("a call of {} is not noted: {problem}", self.host));
        }
    }
}

/// Writes notes into the books of the agent.
pub(super) async fn record(
    env: &Env,
    caller: &ContainerIdentity,
    notes: Vec<EgressNote>,
) -> Result<(), Problem> {
    let notes = serde_json::to_string(&EgressNotes { notes }).map_err(|error| {
        Problem::new(ProblemCode::Internal, format!("Notes were not written: {error}."))
    })?;
    let route = ObjectRoute::Egress;
    asked(object::call(env, &caller.agent, Some(caller.epoch), &route, Body::Text(notes)).await?)
        .await
}

impl Answer {
    /// The fields that come back, masked.
    pub(super) fn fields(&self) -> Vec<(String, String)> {
        let all = http::response_headers(&self.response);
        let connection = field(&all, "connection").to_owned();
        let with_secret = !self.mask.is_empty();
        all.into_iter()
            .filter(|(name, _)| comes_back(name, &connection, with_secret))
            .map(|(name, value)| {
                let value = if with_secret { self.mask.text(&value) } else { value };
                (name, value)
            })
            .collect()
    }
}

/// How a body is passed back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Most bytes of it.
    pub(super) bytes_max: u64,
    /// What becomes of the rest: left out, or the body breaks off as what it is, incomplete.
    pub(super) cuts: bool,
    /// When it must be over.
    pub(super) until_ms: u64,
}

/// A body on its way back.
struct Passing {
    body: ByteStream,
    masking: Masking,
    recorder: Recorder,
    host: String,
    status: u16,
    bytes: u64,
    bounds: Bounds,
}

/// Passes an answer back with these fields. Its end is noted with the bytes that came; of a body that
/// the container left, only the call is on record.
pub(super) async fn pass_back(
    mut answer: Answer,
    recorder: Recorder,
    fields: &[(String, String)],
    bounds: Bounds,
) -> Result<Response, Problem> {
    let status = answer.response.status_code();
    let body = http::response_body(&mut answer.response)
        .map_err(|error| http::internal("Reading an answer", &error))?;
    let Some(body) = body else {
        recorder.ended(0, status).await;
        return http::composed::<stream::Empty<_>>(status, fields, None);
    };
    let masking = Masking::new(&answer.mask);
    let host = answer.host;
    let passing = Passing { body, masking, recorder, host, status, bytes: 0, bounds };
    let pieces = stream::unfold(Some(passing), async |passing| passing?.next().await);
    http::composed(status, fields, Some(pieces))
}

impl Passing {
    /// The next piece, and what follows it.
    async fn next(mut self) -> Option<(Result<Vec<u8>, Problem>, Option<Self>)> {
        loop {
            let left_ms = self.bounds.until_ms.saturating_sub(now_ms()).min(OUTBOUND_IDLE_MS);
            let piece = match within(left_ms, self.body.next()).await {
                Some(Some(Ok(piece))) => piece,
                Some(None) => return self.end().await,
                Some(Some(Err(_))) => return self.break_off("broke off").await,
                None => return self.break_off("took too long").await,
            };
            self.bytes += piece.len() as u64;
            if self.bytes > self.bounds.bytes_max {
                if !self.bounds.cuts {
                    return self.break_off("is too large").await;
                }
                let keep = piece.len() as u64 - (self.bytes - self.bounds.bytes_max);
                let keep = usize::try_from(keep).unwrap_or(usize::MAX);
                let mut last = self.masking.push(piece.get(..keep).unwrap_or_default());
                last.extend(self.masking.finish());
                self.recorder.ended(self.bounds.bytes_max, self.status).await;
                return Some((Ok(last), None));
            }
            let shown = self.masking.push(&piece);
            if !shown.is_empty() {
                return Some((Ok(shown), Some(self)));
            }
        }
    }

    async fn end(mut self) -> Option<(Result<Vec<u8>, Problem>, Option<Self>)> {
        let last = self.masking.finish();
        self.recorder.ended(self.bytes, self.status).await;
        (!last.is_empty()).then_some((Ok(last), None))
    }

    async fn break_off(self, why: &str) -> Option<(Result<Vec<u8>, Problem>, Option<Self>)> {
        self.recorder.ended(self.bytes, self.status).await;
        let message = format!("The answer of {} {why}.", self.host);
        Some((Err(Problem::new(ProblemCode::UpstreamFailed, message)), None))
    }
}

/// The value of a field, "" when it is not there.
pub(super) fn field<'a>(headers: &'a [(String, String)], wanted: &str) -> &'a str {
    headers.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value)
}
