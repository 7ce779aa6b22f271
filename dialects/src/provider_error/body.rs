//! Finds what an error body says, in the forms that providers and the proxies before them use.

use serde_json::Value;

use crate::limits::{ERROR_BODY_BYTES_MAX, ERROR_MESSAGE_BYTES_MAX};

/// What a body says.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// One line, bounded; never blank.
    pub(super) message: Option<String>,
    /// The words for machines: the error's `code` and `type`.
    pub(super) codes: Vec<String>,
    /// A status inside the error, as some gateways give.
    pub(super) status: Option<u16>,
}

/// Reads a whole body: JSON, plain text or an HTML page.
pub(super) fn read(body: &[u8]) -> Said {
    let body = body.get(..ERROR_BODY_BYTES_MAX).unwrap_or(body);
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        return from_json(&value);
    }
    let text = String::from_utf8_lossy(body);
    let message = if text.trim_start().starts_with('<') { title(&text) } else { one_line(&text) };
    Said { message, ..Said::default() }
}

/// Reads the value of an `error` member: an object, or only a sentence.
pub(super) fn from_error_member(error: &Value) -> Said {
    if let Some(sentence) = error.as_str() {
        return Said { message: one_line(sentence), ..Said::default() };
    }
    let code = error.get("code");
    let codes = [code, error.get("type"), error.get("status")];
    Said {
        message: error.get("message").and_then(Value::as_str).and_then(one_line),
        codes: codes.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect(),
        status: code.and_then(status),
    }
}

fn from_json(value: &Value) -> Said {
    let value = value.get(0).unwrap_or(value);
    if let Some(error) = value.get("error").filter(|error| !error.is_null()) {
        return from_error_member(error);
    }
    if let Some(error) = value.pointer("/errors/0") {
        return from_error_member(error);
    }
    if let Some(detail) = value.get("detail").and_then(Value::as_str) {
        return Said { message: one_line(detail), ..Said::default() };
    }
    from_error_member(value)
}

fn status(code: &Value) -> Option<u16> {
    let code = code.as_u64().or_else(|| code.as_str()?.parse().ok())?;
    u16::try_from(code).ok().filter(|status| (400..600).contains(status))
}

/// The title of an HTML page; the rest of it is for browsers.
fn title(page: &str) -> Option<String> {
    let (_, rest) = page.split_once("<title>")?;
    let (title, _) = rest.split_once("</title>")?;
    one_line(title)
}

/// White space and control characters run together, cut at the bound on a character's edge.
fn one_line(text: &str) -> Option<String> {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > ERROR_MESSAGE_BYTES_MAX {
            line.truncate(line.floor_char_boundary(ERROR_MESSAGE_BYTES_MAX));
            line.push('…');
            break;
        }
    }
    Some(line).filter(|line| !line.is_empty())
}
