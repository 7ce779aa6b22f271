//! Any bytes, in every dialect, are metered without a panic and the same however they are split. The
//! recorded streams in `tests/streams` are good seeds.

#![no_main]

use dialects::{Dialect, Metered, UsageMeter};
use libfuzzer_sys::fuzz_target;

fn meter(dialect: Dialect, bytes: &[u8], chunk_bytes: usize) -> Metered {
    let mut meter = UsageMeter::new(dialect);
    for chunk in bytes.chunks(chunk_bytes) {
        meter.feed(chunk);
    }
    meter.finish()
}

fuzz_target!(|bytes: &[u8]| {
    for dialect in Dialect::ALL {
        let whole = meter(dialect, bytes, bytes.len().max(1));
        for chunk_bytes in [1, 7] {
            assert_eq!(meter(dialect, bytes, chunk_bytes), whole);
        }
    }
});
