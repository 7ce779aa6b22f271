//! Passes a body on, piece by piece, through one buffer.
//!
//! Invariants: there is one buffer however long the body is, and the next piece is read only when the
//! last one was taken; a body that is not closed here breaks off for whoever reads it.
//!
//! Own declarations: the SDK makes a stream of Rust's from copies of every piece, and leaves them to
//! the garbage collector, which comes late for buffers.

use wasm_bindgen::closure::Closure;
use wasm_bindgen::prelude::{JsCast, JsValue, wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use worker::js_sys::{Object, Promise, Reflect, Uint8Array};
use worker::{Response, ResponseBody};

use super::http::describe;
use crate::limits::RELAY_BUFFER_BYTES;

#[wasm_bindgen(wasm_bindgen = ::worker::wasm_bindgen, module = "/src/platform/relay.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    fn relay(
        reader: &Reader,
        writer: &Writer,
        size: u32,
        look: &Closure<dyn FnMut(Uint8Array) -> Option<Uint8Array>>,
    ) -> Result<Promise, JsValue>;
}

#[wasm_bindgen(wasm_bindgen = ::worker::wasm_bindgen)]
extern "C" {
    /// The platform's own stream: what is written is given to the reader as it is, with no queue
    /// (<https://developers.cloudflare.com/workers/runtime-apis/streams/transformstream/>).
    type IdentityTransformStream;
    #[wasm_bindgen(constructor)]
    fn new() -> IdentityTransformStream;
    #[wasm_bindgen(method, getter)]
    fn readable(this: &IdentityTransformStream) -> JsValue;
    #[wasm_bindgen(method, getter)]
    fn writable(this: &IdentityTransformStream) -> Writable;

    type Writable;
    #[wasm_bindgen(method, catch, js_name = getWriter)]
    fn get_writer(this: &Writable) -> Result<Writer, JsValue>;

    type Writer;
    #[wasm_bindgen(method, catch)]
    fn write(this: &Writer, piece: &Uint8Array) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn close(this: &Writer) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn abort(this: &Writer, why: &str) -> Result<Promise, JsValue>;

    type Readable;
    #[wasm_bindgen(method, catch, js_name = getReader)]
    fn get_reader(this: &Readable, options: &JsValue) -> Result<Reader, JsValue>;

    type Reader;
    #[wasm_bindgen(method, catch)]
    fn cancel(this: &Reader, why: &str) -> Result<Promise, JsValue>;
}

/// Why a body was not passed on to its end: its sender broke off, or its receiver is gone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the body was not passed on: {0}")]
pub(crate) struct RelayError(String);

fn failed(error: &JsValue) -> RelayError {
    RelayError(describe(error))
}

/// A body on its way.
pub(crate) struct Relay {
    reader: Reader,
    writer: Writer,
}

impl Relay {
    /// Puts a relay into a response: the response to give instead, and the relay, which is to be run.
    /// `None` for a response without a body.
    pub(crate) fn of(response: Response) -> Result<(Response, Option<Self>), RelayError> {
        let (builder, body) = response.into_parts();
        let ResponseBody::Stream(stream) = body else { return Ok((builder.body(body), None)) };
        let stream: JsValue = stream.into();
        let source: Readable = stream.unchecked_into();
        let options = Object::new();
        Reflect::set(&options, &"mode".into(), &"byob".into()).map_err(|error| failed(&error))?;
        let reader = source.get_reader(&options).map_err(|error| failed(&error))?;
        let passage = IdentityTransformStream::new();
        let writer = passage.writable().get_writer().map_err(|error| failed(&error))?;
        let response = builder.body(ResponseBody::Stream(passage.readable().unchecked_into()));
        Ok((response, Some(Self { reader, writer })))
    }

    /// Passes the body on to its end, without ending it there. `look` sees each piece and gives what
    /// is passed on in its place, or nothing to pass it on as it is.
    pub(crate) async fn run(
        &self,
        mut look: impl FnMut(&[u8]) -> Option<Vec<u8>> + 'static,
    ) -> Result<(), RelayError> {
        let mut copy = Vec::new();
        let look = Closure::new(move |piece: Uint8Array| {
            copy.resize(usize::try_from(piece.length()).unwrap_or_default(), 0);
            piece.copy_to(&mut copy);
            look(&copy).map(|instead| Uint8Array::from(instead.as_slice()))
        });
        let passed = relay(&self.reader, &self.writer, RELAY_BUFFER_BYTES, &look)
            .map_err(|error| failed(&error))?;
        JsFuture::from(passed).await.map_err(|error| failed(&error))?;
        Ok(())
    }

    /// Adds bytes to what was passed on.
    pub(crate) async fn add(&self, bytes: &[u8]) -> Result<(), RelayError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let written =
            self.writer.write(&Uint8Array::from(bytes)).map_err(|error| failed(&error))?;
        JsFuture::from(written).await.map_err(|error| failed(&error))?;
        Ok(())
    }

    /// Ends the body well.
    pub(crate) async fn close(self) -> Result<(), RelayError> {
        JsFuture::from(self.writer.close().map_err(|error| failed(&error))?)
            .await
            .map_err(|error| failed(&error))?;
        Ok(())
    }

    /// Breaks the body off on both sides. What the sides say to that does not matter any more.
    pub(crate) async fn break_off(self, why: &str) {
        for said in [self.writer.abort(why), self.reader.cancel(why)] {
            let settled = match said {
                Ok(promise) => JsFuture::from(promise).await.map(|_| ()),
                Err(error) => Err(error),
            };
            if let Err(error) = settled {
                worker::console_debug!("breaking a body off: {}", describe(&error));
            }
        }
    }
}
