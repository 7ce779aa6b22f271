//! How large the parts are.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use integration_tests::paths;

use crate::report::Report;

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let wasm = read(&paths::root()?.join("build/index_bg.wasm"))?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&wasm)?;
    let zipped = encoder.finish()?;
    report.fact("Worker: wasm", "KB", kilobytes(wasm.len()), None);
    report.fact("Worker: wasm, gzip", "KB", kilobytes(zipped.len()), Some(800.0));
    let runtime = fs::metadata(paths::runtime()?)?.len();
    report.fact("runtime: binary", "KB", kilobytes(usize::try_from(runtime)?), None);
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

#[expect(clippy::cast_precision_loss, reason = "sizes of files")]
fn kilobytes(bytes: usize) -> f64 {
    (bytes as f64 / 1000.0).round()
}
