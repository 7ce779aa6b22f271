//! Image files, for models that see: the four formats that all providers of such models take.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use protocol::session::Image;

use super::{ToolError, ToolOutcome};
use crate::limits::IMAGE_BYTES_MAX;

/// The media type that a file's first bytes tell, if it is an image.
pub(super) fn media_type(bytes: &[u8]) -> Option<&'static str> {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    if starts(b"\x89PNG\r\n\x1a\n") {
        Some("image/png")
    } else if starts(b"\xff\xd8\xff") {
        Some("image/jpeg")
    } else if starts(b"GIF87a") || starts(b"GIF89a") {
        Some("image/gif")
    } else if starts(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        Some("image/webp")
    } else {
        None
    }
}

/// Shows an image.
pub(super) fn show(media_type: &str, bytes: &[u8]) -> Result<ToolOutcome, ToolError> {
    let size = bytes.len();
    if size > IMAGE_BYTES_MAX {
        return Err(ToolError::Unfit(format!(
            "the image has {size} bytes, more than the {IMAGE_BYTES_MAX} that can be shown; make it \
             smaller with bash and read that"
        )));
    }
    let image = Image { media_type: media_type.to_owned(), base64: STANDARD.encode(bytes) };
    let outcome = ToolOutcome::ok(format!("[an image: {media_type}, {size} bytes]"));
    Ok(ToolOutcome { images: vec![image], ..outcome })
}
