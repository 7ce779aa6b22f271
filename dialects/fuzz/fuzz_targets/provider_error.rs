//! Any error answer is read without a panic, into one bounded printable line.

#![no_main]

use dialects::{decode_error, limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, String, Vec<u8>)| {
    let (status, header, body) = input;
    let error = decode_error(status, |_| Some(header.clone()), &body);
    assert!(error.message.len() <= limits::ERROR_MESSAGE_BYTES_MAX + "…".len());
    assert!(!error.message.is_empty() && !error.message.contains(char::is_control));
    assert!(error.retry_after_ms.unwrap_or(0) <= limits::RETRY_AFTER_MS_MAX);
});
