//! The generic webhook channel, after the Standard Webhooks specification, version 1:
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.
//!
//! Invariants: a signature is checked over the raw bytes, in constant time, before anything is
//! parsed; a request that is too old or too new is refused; the sender's id makes a message one.
//! Pure.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use protocol::limits::MESSAGE_TEXT_BYTES_MAX;
use protocol::object::Envelope;
use protocol::{Problem, ProblemCode, SessionId};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::limits::{HOOK_CLOCK_SKEW_SECONDS_MAX, HOOK_SIGNATURES_MAX};

/// The channel's name in the books.
pub(crate) const CHANNEL: &str = "hook";

/// Header: the message's id.
pub(crate) const ID_HEADER: &str = "webhook-id";
/// Header: when it was sent, in seconds since the Unix epoch.
pub(crate) const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// Header: its signatures.
pub(crate) const SIGNATURE_HEADER: &str = "webhook-signature";

/// The key of signatures.
#[derive(Clone)]
pub(crate) struct HookSecret(Vec<u8>);

impl std::fmt::Debug for HookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl HookSecret {
    /// The key in its usual notation: base64, with or without the prefix `whsec_`; 24 to 64 bytes.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let encoded = text.strip_prefix("whsec_").unwrap_or(text);
        let key = BASE64_STANDARD.decode(encoded).map_err(|_base64| "it is not base64")?;
        if (24..=64).contains(&key.len()) {
            Ok(Self(key))
        } else {
            Err(format!("it has {} bytes, not 24 to 64", key.len()))
        }
    }

    fn mac(&self, id: &str, timestamp: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        Some(mac)
    }

    /// The signature header of a message.
    pub(crate) fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        // A key of this length is always taken.
        let signature = self.mac(id, timestamp, body).map(|mac| mac.finalize().into_bytes());
        format!("v1,{}", BASE64_STANDARD.encode(signature.unwrap_or_default()))
    }
}

/// What a request says of itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signed<'a> {
    /// The message's id.
    pub(crate) id: &'a str,
    /// When it was sent.
    pub(crate) timestamp: &'a str,
    /// Its signatures, separated by spaces.
    pub(crate) signatures: &'a str,
}

/// Refuses what the owner of the secret did not send just now.
pub(crate) fn verify(
    secret: &HookSecret,
    signed: Signed<'_>,
    body: &[u8],
    now_ms: u64,
) -> Result<(), Problem> {
    let refused = |why: &str| Problem::new(ProblemCode::Unauthorized, why.to_owned());
    let sent: u64 = signed
        .timestamp
        .parse()
        .map_err(|_number| refused("The header webhook-timestamp is no number of seconds."))?;
    if (now_ms / 1000).abs_diff(sent) > HOOK_CLOCK_SKEW_SECONDS_MAX {
        return Err(refused("The message is too old, or from the future.")
            .remedy("Check the sender's clock; sign anew when sending again."));
    }
    let candidates = signed.signatures.split(' ').take(HOOK_SIGNATURES_MAX);
    let genuine = candidates.filter_map(|candidate| candidate.strip_prefix("v1,")).any(|encoded| {
        let Ok(signature) = BASE64_STANDARD.decode(encoded) else { return false };
        let mac = secret.mac(signed.id, signed.timestamp, body);
        mac.is_some_and(|mac| mac.verify_slice(&signature).is_ok())
    });
    if genuine {
        return Ok(());
    }
    Err(refused("The signature does not fit.")
        .remedy("Sign \"id.timestamp.body\" with WEBHOOK_SECRET, as Standard Webhooks says."))
}

/// A message as JSON.
#[derive(Debug, Deserialize)]
struct Incoming {
    text: String,
    #[serde(default)]
    chat: Option<String>,
    #[serde(default)]
    sender: Option<String>,
}

/// The message in a verified request to the hook `name`.
pub(crate) fn envelope(
    name: &str,
    id: &str,
    is_json: bool,
    body: &[u8],
) -> Result<Envelope, Problem> {
    let bad = |why: String| Problem::new(ProblemCode::BadRequest, why);
    let incoming = if is_json {
        serde_json::from_slice(body)
            .map_err(|error| bad(format!("The message does not read: {error}.")))?
    } else {
        let text = std::str::from_utf8(body)
            .map_err(|error| bad(format!("The message is not text: {error}.")))?;
        Incoming { text: text.to_owned(), chat: None, sender: None }
    };
    if incoming.text.trim().is_empty() {
        return Err(bad("The message is empty.".into()));
    }
    if incoming.text.len() > MESSAGE_TEXT_BYTES_MAX {
        let message = format!("The text has more than {MESSAGE_TEXT_BYTES_MAX} bytes.");
        return Err(Problem::new(ProblemCode::TooLarge, message));
    }
    let chat = incoming.chat.unwrap_or_default();
    let session = if chat.is_empty() {
        format!("{CHANNEL}:{name}")
    } else {
        format!("{CHANNEL}:{name}:{chat}")
    };
    let session: SessionId = session
        .parse()
        .map_err(|error| bad(format!("The name of the hook or the chat is no name: {error}.")))?;
    // The id becomes part of the books; ids of senders are of this form.
    let id: protocol::CallId = id.parse().map_err(|error| bad(format!("{ID_HEADER}: {error}.")))?;
    Ok(Envelope {
        channel: CHANNEL.to_owned(),
        event: format!("{name}/{id}"),
        chat: session.to_string(),
        session,
        sender: incoming.sender.unwrap_or_default().chars().take(200).collect(),
        text: incoming.text,
    })
}

/// An answer as it goes out.
#[derive(Debug, Serialize)]
pub(crate) struct Outgoing<'a> {
    /// The idempotency key.
    pub(crate) key: &'a str,
    /// The conversation, as [`Envelope::chat`] has it.
    pub(crate) chat: &'a str,
    /// The text, Markdown.
    pub(crate) text: &'a str,
    /// Whether an earlier try may have arrived.
    pub(crate) possible_duplicate: bool,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const NOW_MS: u64 = 1_614_265_330_000;

    fn secret() -> HookSecret {
        HookSecret::parse(SECRET).unwrap()
    }

    /// The example of the specification's own test vectors.
    #[test]
    fn a_known_signature() {
        let body = br#"{"test": 2432232314}"#;
        let signature = secret().sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn only_what_was_signed_just_now_comes_in() {
        let body = b"hello";
        let good = secret().sign("m-1", "1614265330", body);
        let code = |id, timestamp, signatures: &str, body: &[u8]| {
            let signed = Signed { id, timestamp, signatures };
            verify(&secret(), signed, body, NOW_MS).map_err(|problem| problem.code)
        };
        assert_eq!(code("m-1", "1614265330", &good, body), Ok(()));
        assert_eq!(code("m-1", "1614265330", &format!("v1,AAAA v2,x {good}"), body), Ok(()));
        let refused = Err(ProblemCode::Unauthorized);
        assert_eq!(code("m-2", "1614265330", &good, body), refused);
        assert_eq!(code("m-1", "1614265331", &good, body), refused);
        assert_eq!(code("m-1", "1614265330", &good, b"hello!"), refused);
        assert_eq!(code("m-1", "1614265330", good.trim_start_matches("v1,"), body), refused);
        assert_eq!(code("m-1", "1614265330", "", body), refused);
        for stale in ["1614264000", "1614266000", "", "x"] {
            let signature = secret().sign("m-1", stale, body);
            assert_eq!(code("m-1", stale, &signature, body), refused, "{stale}");
        }
    }

    #[test]
    fn secrets_have_a_length() {
        for bad in ["", "whsec_", "whsec_AAAA", "not base64 at all!"] {
            assert!(HookSecret::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_message_is_text_or_json_and_has_a_conversation() {
        let plain = envelope("ci", "m-1", false, b"the build is red").unwrap();
        assert_eq!((plain.session.as_str(), plain.event.as_str()), ("hook:ci", "ci/m-1"));
        let json = br#"{"text":"hi","chat":"door","sender":"bell"}"#;
        let json = envelope("home", "m-2", true, json).unwrap();
        assert_eq!((json.chat.as_str(), json.sender.as_str()), ("hook:home:door", "bell"));
        let code = |name, id, is_json, body: &[u8]| {
            envelope(name, id, is_json, body).map_err(|problem| problem.code)
        };
        let bad = ProblemCode::BadRequest;
        assert_eq!(code("a b", "m", false, b"x").unwrap_err(), bad);
        assert_eq!(code("ci", "m/1", false, b"x").unwrap_err(), bad);
        assert_eq!(code("ci", "m", false, b" ").unwrap_err(), bad);
        assert_eq!(code("ci", "m", false, b"\xff").unwrap_err(), bad);
        assert_eq!(code("ci", "m", true, b"{}").unwrap_err(), bad);
        let long = vec![b'x'; MESSAGE_TEXT_BYTES_MAX + 1];
        assert_eq!(code("ci", "m", false, &long).unwrap_err(), ProblemCode::TooLarge);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fall(
            id in "\\PC{0,20}",
            timestamp in "[0-9]{0,25}|\\PC{0,5}",
            signatures in "\\PC{0,60}",
            body in proptest::collection::vec(any::<u8>(), 0..60),
            is_json: bool,
        ) {
            let signed = Signed { id: &id, timestamp: &timestamp, signatures: &signatures };
            prop_assert!(verify(&secret(), signed, &body, NOW_MS).is_err());
            drop(envelope("ci", &id, is_json, &body));
        }
    }
}
