//! Any bytes, in every dialect, decode without a panic and the same however they are split. The
//! recorded streams in `tests/streams` are good seeds.

#![no_main]

use dialects::{Completion, Dialect, StreamDecoder, StreamEvent};
use libfuzzer_sys::fuzz_target;

type Decoded = (Vec<StreamEvent>, Result<Completion, String>);

fn decode(dialect: Dialect, bytes: &[u8], chunk_bytes: usize) -> Decoded {
    let mut decoder = StreamDecoder::new(dialect);
    let mut events = Vec::new();
    for chunk in bytes.chunks(chunk_bytes) {
        match decoder.feed(chunk) {
            Ok(more) => events.extend(more),
            Err(error) => return (events, Err(format!("{error:?}"))),
        }
    }
    (events, decoder.finish().map_err(|error| format!("{error:?}")))
}

fuzz_target!(|bytes: &[u8]| {
    for dialect in Dialect::ALL {
        let whole = decode(dialect, bytes, bytes.len().max(1));
        for chunk_bytes in [1, 7] {
            assert_eq!(decode(dialect, bytes, chunk_bytes), whole);
        }
    }
});
