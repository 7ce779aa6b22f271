//! The end of a log file.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::limits::{LOG_TAIL_BYTES_MAX, LOG_TAIL_LINES_MAX};

/// The last lines of a log.
pub(crate) fn tail_of(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let length = file.metadata().context("measuring the log")?.len();
    let start = length.saturating_sub(LOG_TAIL_BYTES_MAX);
    file.seek(SeekFrom::Start(start)).context("seeking in the log")?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL_BYTES_MAX).read_to_end(&mut bytes).context("reading the log")?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(LOG_TAIL_LINES_MAX);
    Ok(lines.get(first..).unwrap_or_default().join("\n"))
}
