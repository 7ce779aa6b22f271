//! `web_fetch`: a page of the internet as text, fetched by the edge.

use protocol::edge::{EdgeRoute, PROBLEM_HEADER};
use protocol::egress::{FINAL_URL_HEADER, FetchRequest};
use protocol::limits::FETCH_BODY_BYTES_MAX;
use protocol::version::PROTOCOL_VERSION;
use reqwest::{Response, Url};
use serde::Deserialize;

use super::readable::text_of;
use super::{ToolError, ToolOutcome, blocking};
use crate::edge::http::read_problem;
use crate::edge::{EdgeError, Http};
use crate::limits::{TOOL_OUTPUT_BYTES_MAX, WEB_FETCH_HEAD_BYTES_MAX, WEB_FETCH_TIMEOUT};

/// What a page's text is shown under: whoever wrote it is not who gives the orders.
const OUTSIDE: &str = include_str!("../../prompts/notes/from_outside.md");

/// Room for the line below a text that says that there is more.
const NOTE_BYTES: usize = 200;

#[derive(Debug, Deserialize)]
pub(super) struct Arguments {
    url: String,
    offset: Option<usize>,
}

/// What came.
struct Page {
    url: String,
    status: u16,
    content_type: String,
    body: Vec<u8>,
    is_cut: bool,
}

pub(super) async fn run(arguments: Arguments, http: &Http) -> Result<ToolOutcome, ToolError> {
    let fetch = async {
        let order = FetchRequest { protocol: PROTOCOL_VERSION, url: arguments.url.clone() };
        let order = serde_json::to_vec(&order).map_err(EdgeError::Request)?;
        let headers = [("content-type", "application/json")];
        let response = http.send(&EdgeRoute::Fetch, &headers, order).await?;
        if response.headers().contains_key(PROBLEM_HEADER) {
            return Err(read_problem(response).await);
        }
        receive(response).await
    };
    let page = tokio::time::timeout(WEB_FETCH_TIMEOUT, fetch)
        .await
        .unwrap_or(Err(EdgeError::Timeout(WEB_FETCH_TIMEOUT)));
    let page = match page {
        Ok(page) => page,
        // The edge's own words are for the model; the wire they came by is not.
        Err(EdgeError::Refused { problem, .. }) => {
            return Ok(ToolOutcome::failed(problem.to_string()));
        }
        Err(error) => return Err(ToolError::Fetch(error)),
    };
    let offset = arguments.offset.unwrap_or(0);
    blocking(move || Ok(show(&page, offset))).await
}

async fn receive(mut response: Response) -> Result<Page, EdgeError> {
    let field = |name: &str| {
        let value = response.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let (url, content_type) = (field(FINAL_URL_HEADER), field("content-type"));
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(EdgeError::Transport)? {
        let room = FETCH_BODY_BYTES_MAX - body.len();
        body.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
        if chunk.len() > room {
            return Ok(Page { url, status, content_type, body, is_cut: true });
        }
    }
    Ok(Page { url, status, content_type, body, is_cut: false })
}

/// What the model is shown of a page, from `offset` of its text on. Pure.
fn show(page: &Page, offset: usize) -> ToolOutcome {
    let kind = if page.content_type.is_empty() { "no type" } else { &page.content_type };
    let mut output = format!("{} [status {}, {}]\n", page.url, page.status, kind);
    let Some(text) = text(page) else {
        let size = page.body.len();
        return ToolOutcome::failed(format!("{output}[not shown: {size} bytes that are no text]"));
    };
    output.extend([OUTSIDE.trim(), "\n\n"]);
    let start = text.floor_char_boundary(offset);
    let room = TOOL_OUTPUT_BYTES_MAX - output.len().min(WEB_FETCH_HEAD_BYTES_MAX) - NOTE_BYTES;
    let end = text.floor_char_boundary(start.saturating_add(room));
    output.push_str(text.get(start..end).unwrap_or_default());
    let (total, most) = (text.len(), FETCH_BODY_BYTES_MAX);
    let note = if end < total {
        format!("\n[bytes {start} to {end} of {total}; go on with offset {end}]")
    } else if page.is_cut {
        format!("\n[the page has more than {most} bytes; the rest is left out]")
    } else {
        String::new()
    };
    output.push_str(&note);
    if (200..300).contains(&page.status) {
        ToolOutcome::ok(output)
    } else {
        ToolOutcome::failed(output)
    }
}

/// A page's text; `None` for what is none.
fn text(page: &Page) -> Option<String> {
    let mut parts = page.content_type.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let charset = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("charset")
            .then(|| value.trim_matches('"').to_ascii_lowercase())
    });
    let is_html = matches!(kind.as_str(), "text/html" | "application/xhtml+xml");
    let is_text = is_html
        || kind.starts_with("text/")
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
        || matches!(
            kind.as_str(),
            "application/json" | "application/xml" | "application/javascript" | "application/yaml"
                | "application/x-ndjson" | "application/toml" | "application/sql"
        )
        // Nobody said what it is: text if it reads as text.
        || (matches!(kind.as_str(), "" | "application/octet-stream")
            && !page.body.contains(&0)
            && std::str::from_utf8(&page.body).is_ok());
    if !is_text {
        return None;
    }
    let text = match charset.as_deref() {
        Some("iso-8859-1" | "latin1" | "windows-1252" | "us-ascii") => {
            page.body.iter().map(|byte| char::from(*byte)).collect()
        }
        _ => String::from_utf8_lossy(&page.body).into_owned(),
    };
    Some(if is_html { text_of(&text, Url::parse(&page.url).ok().as_ref()) } else { text })
}

#[cfg(test)]
mod tests {
    use protocol::session::ToolStatus;

    use super::*;

    fn page(content_type: &str, body: &[u8]) -> Page {
        let url = "https://example.com/a".to_owned();
        Page {
            url,
            status: 200,
            content_type: content_type.to_owned(),
            body: body.to_vec(),
            is_cut: false,
        }
    }

    #[test]
    fn where_it_came_from_stands_first_and_that_it_is_from_outside() {
        let shown = show(&page("text/html; charset=utf-8", b"<h1>Hi</h1><p>there"), 0);
        let mut lines = shown.output.lines();
        assert_eq!(
            lines.next().unwrap(),
            "https://example.com/a [status 200, text/html; charset=utf-8]"
        );
        assert_eq!(lines.next().unwrap(), OUTSIDE.trim());
        assert!(shown.output.ends_with("\n\n# Hi\n\nthere"), "{}", shown.output);
        assert_eq!(shown.status, ToolStatus::Ok);
        assert_eq!(
            show(&Page { status: 404, ..page("text/plain", b"no") }, 0).status,
            ToolStatus::Failed
        );
    }

    #[test]
    fn what_is_no_text_is_told_by_its_type_and_size() {
        let shown = show(&page("image/png", &[0x89, b'P', 0, 1]), 0);
        assert!(
            shown.output.ends_with("[not shown: 4 bytes that are no text]"),
            "{}",
            shown.output
        );
        assert_eq!(shown.status, ToolStatus::Failed);
        assert_eq!(text(&page("", b"plain")).as_deref(), Some("plain"));
        assert_eq!(text(&page("", b"a\0b")), None);
        assert_eq!(text(&page("application/json", b"{}")).as_deref(), Some("{}"));
        assert_eq!(text(&page("text/plain; charset=ISO-8859-1", &[0xe4])).as_deref(), Some("ä"));
    }

    #[test]
    fn a_long_page_is_read_on_from_where_it_was_cut() {
        let lines: Vec<String> = (0..20_000).map(|n| format!("{n:05} ä\n")).collect();
        let whole = lines.concat();
        let page = page("text/plain", whole.as_bytes());
        let (mut read, mut offset) = (String::new(), 0);
        loop {
            let shown = show(&page, offset).output;
            assert!(shown.len() <= TOOL_OUTPUT_BYTES_MAX, "{}", shown.len());
            let (_, body) = shown.split_once(&format!("{}\n\n", OUTSIDE.trim())).unwrap();
            let Some((part, note)) = body.rsplit_once("\n[bytes ") else {
                read.push_str(body);
                break;
            };
            read.push_str(part);
            offset = note.rsplit_once("offset ").unwrap().1.trim_end_matches(']').parse().unwrap();
        }
        assert_eq!(read, whole);
    }
}
