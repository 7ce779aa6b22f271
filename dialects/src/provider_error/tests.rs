use super::ProviderErrorKind::{
    Authentication, ContextTooLong, InvalidRequest, NotFound, Other, Overloaded, Permission,
    QuotaExhausted, RateLimited, RequestTooLarge, Server,
};
use super::*;
use crate::limits::{ERROR_BODY_BYTES_MAX, ERROR_MESSAGE_BYTES_MAX};

fn decode(status: u16, body: &str) -> ProviderError {
    decode_error(status, |_| None, body.as_bytes())
}

#[track_caller]
fn check(status: u16, body: &str, kind: ProviderErrorKind, message: &str) {
    let error = decode(status, body);
    assert_eq!((error.kind, error.message.as_str()), (kind, message), "{status} {body}");
}

#[test]
fn anthropic_bodies() {
    let body = |kind: &str, message: &str| {
        format!(
            r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}},"request_id":"req_1"}}"#
        )
    };
    for (status, name, message, kind) in [
        (401, "authentication_error", "invalid x-api-key", Authentication),
        (403, "permission_error", "no access", Permission),
        (404, "not_found_error", "model: claude-x", NotFound),
        (413, "request_too_large", "Request exceeds the maximum size", RequestTooLarge),
        (429, "rate_limit_error", "slow down", RateLimited),
        (500, "api_error", "Internal server error", Server),
        (529, "overloaded_error", "Overloaded", Overloaded),
        (400, "invalid_request_error", "max_tokens: required", InvalidRequest),
        (
            400,
            "invalid_request_error",
            "prompt is too long: 210000 tokens > 200000 maximum",
            ContextTooLong,
        ),
        (400, "invalid_request_error", "Your credit balance is too low", QuotaExhausted),
    ] {
        check(status, &body(name, message), kind, message);
    }
}

#[test]
fn openai_bodies() {
    let body = |kind: &str, code: &str, message: &str| {
        format!(
            r#"{{"error":{{"message":"{message}","type":"{kind}","param":null,"code":{code}}}}}"#
        )
    };
    for (status, name, code, message, kind) in [
        (401, "invalid_request_error", "\"invalid_api_key\"", "Incorrect API key", Authentication),
        (404, "invalid_request_error", "\"model_not_found\"", "no such model", NotFound),
        (400, "invalid_request_error", "\"context_length_exceeded\"", "too long", ContextTooLong),
        (429, "insufficient_quota", "\"insufficient_quota\"", "quota", QuotaExhausted),
        (429, "tokens", "\"rate_limit_exceeded\"", "TPM", RateLimited),
        (400, "invalid_request_error", "null", "bad", InvalidRequest),
        (503, "server_error", "null", "busy", Overloaded),
    ] {
        check(status, &body(name, code, message), kind, message);
    }
}

#[test]
fn bodies_of_gateways() {
    check(404, r#"{"error":"model 'x' not found"}"#, NotFound, "model 'x' not found");
    check(422, r#"{"detail":"field required"}"#, InvalidRequest, "field required");
    check(
        401,
        r#"{"success":false,"errors":[{"code":10000,"message":"Authentication error"}]}"#,
        Authentication,
        "Authentication error",
    );
    check(
        400,
        r#"[{"error":{"code":400,"message":"API key not valid","status":"INVALID_ARGUMENT"}}]"#,
        InvalidRequest,
        "API key not valid",
    );
    check(
        502,
        "<!DOCTYPE html><html><head><title>502\n Bad Gateway</title></head></html>",
        Server,
        "502 Bad Gateway",
    );
    check(500, "  upstream\r\n\tconnect error \u{1b}[0m ", Server, "upstream connect error [0m");
    check(529, "", Overloaded, "HTTP status 529 without an explanation");
    check(418, "{}", Other, "HTTP status 418 without an explanation");
}

#[test]
fn messages_are_bounded_on_a_character() {
    let message = decode(500, &"é".repeat(ERROR_BODY_BYTES_MAX)).message;
    assert!(message.len() <= ERROR_MESSAGE_BYTES_MAX + "…".len() && message.ends_with("é…"));
}

#[test]
fn waits_are_read_and_bounded() {
    let wait = |name: &'static str, value: &'static str| {
        let header = move |asked: &str| (asked == name).then(|| value.to_owned());
        decode_error(429, header, b"").retry_after_ms
    };
    assert_eq!(wait("retry-after", "7"), Some(7_000));
    assert_eq!(wait("retry-after", "0.5"), Some(500));
    assert_eq!(wait("retry-after-ms", "1500"), Some(1_500));
    assert_eq!(wait("retry-after", "1e12"), Some(RETRY_AFTER_MS_MAX));
    for odd in ["-1", "NaN", "inf", "1e300", "", "Wed, 21 Oct 2026 07:28:00 GMT"] {
        assert_eq!(wait("retry-after", odd), None, "{odd}");
    }
    let both = |asked: &str| match asked {
        "retry-after" => Some("9".to_owned()),
        "retry-after-ms" => Some("20".to_owned()),
        _ => None,
    };
    assert_eq!(decode_error(429, both, b"").retry_after_ms, Some(20));
}

#[test]
fn advice_stands_above_the_kind() {
    let advised = |status, advice: &'static str| {
        let header = move |name: &str| (name == "x-should-retry").then(|| advice.to_owned());
        decode_error(status, header, b"").is_retryable()
    };
    assert!(decode(503, "").is_retryable() && decode(409, "").is_retryable());
    assert!(!decode(400, "").is_retryable() && !decode(401, "").is_retryable());
    assert!(advised(400, "true") && !advised(503, "false") && advised(503, "perhaps"));
}

#[test]
fn an_error_in_a_stream_has_no_status_unless_it_says_one() {
    let error = |text: &str| ProviderError::from_stream(&serde_json::from_str(text).unwrap());
    let overloaded = error(r#"{"type":"overloaded_error","message":"Overloaded"}"#);
    assert_eq!((overloaded.kind, overloaded.status), (Overloaded, None));
    assert_eq!(overloaded.to_string(), "overloaded: Overloaded");
    let limited = error(r#"{"code":429,"message":"Rate limit"}"#);
    assert_eq!((limited.kind, limited.status), (RateLimited, Some(429)));
    assert_eq!(error("null").message, "no explanation was given");
}
