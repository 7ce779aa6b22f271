//! The pages, built into the Worker so that they stand behind the same door as everything else.

use crate::platform::http::{Response, page};
use crate::routes::Asset;

const CHAT_PAGE: &[u8] = include_bytes!("../../web/index.html");
const CHAT_STYLE: &[u8] = include_bytes!("../../web/chat.css");
const ICON: &[u8] = include_bytes!("../../web/icon.svg");
/// Bundled by the build script from `web/chat.js` and its libraries.
const CHAT_SCRIPT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/chat.js"));

/// The chat page.
pub(crate) fn chat_page() -> Response {
    page("text/html; charset=utf-8", CHAT_PAGE)
}

/// A static part of the pages.
pub(crate) fn asset(asset: Asset) -> Response {
    match asset {
        Asset::ChatScript => page("text/javascript; charset=utf-8", CHAT_SCRIPT),
        Asset::ChatStyle => page("text/css; charset=utf-8", CHAT_STYLE),
        Asset::Icon => page("image/svg+xml", ICON),
    }
}
