//! Passes a body on, piece by piece, through one buffer.
//!
//! Invariants: there is one buffer however long the body is, and the next piece is read only when the
//! last one was taken; a body that is not closed here breaks off for whoever reads it.
//!
//! Own declarations: the SDK makes a stream of Rust's from pieces that are copied four times and left
//! to the garbage collector, which is late for buffers; twenty long answers took hundreds of
//! megabytes.

use wasm_bindgen::prelude::{JsCast, JsValue, wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use worker::js_sys::{ArrayBuffer, Object, Promise, Reflect, Uint8Array};
use worker::{Response, ResponseBody};

use super::http::describe;
use crate::limits::RELAY_BUFFER_BYTES;

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
    fn read(this: &Reader, into: &Uint8Array) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn cancel(this: &Reader, why: &str) -> Result<Promise, JsValue>;
}

/// Why a body was not passed on to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RelayError {
    /// The sender broke off.
    #[error("the body broke off: {0}")]
    Source(String),
    /// The receiver is gone.
    #[error("nobody takes the body any more: {0}")]
    Receiver(String),
}

/// A body on its way.
pub(crate) struct Relay {
    reader: Reader,
    writer: Writer,
    /// Away while a read is under way.
    buffer: Option<ArrayBuffer>,
    /// The last piece, in the platform's memory and in ours.
    piece: Option<Uint8Array>,
    copy: Vec<u8>,
}

impl Relay {
    /// Puts a relay into a response: the response to give instead, and the relay, which is to be run.
    /// `None` for a response without a body.
    pub(crate) fn of(response: Response) -> Result<(Response, Option<Self>), String> {
        let (builder, body) = response.into_parts();
        let ResponseBody::Stream(stream) = body else { return Ok((builder.body(body), None)) };
        let failed = |error: JsValue| describe(&error);
        let stream: JsValue = stream.into();
        let source: Readable = stream.unchecked_into();
        let options = Object::new();
        Reflect::set(&options, &"mode".into(), &"byob".into()).map_err(failed)?;
        let reader = source.get_reader(&options).map_err(failed)?;
        let passage = IdentityTransformStream::new();
        let writer = passage.writable().get_writer().map_err(failed)?;
        let response = builder.body(ResponseBody::Stream(passage.readable().unchecked_into()));
        let buffer = Some(ArrayBuffer::new(RELAY_BUFFER_BYTES));
        Ok((response, Some(Self { reader, writer, buffer, piece: None, copy: Vec::new() })))
    }

    /// Reads the next piece; `None` at the end.
    pub(crate) async fn read(&mut self) -> Result<Option<&[u8]>, RelayError> {
        let failed = |error: JsValue| RelayError::Source(describe(&error));
        let buffer = self.buffer.take().unwrap_or_else(|| ArrayBuffer::new(RELAY_BUFFER_BYTES));
        let read = self.reader.read(&Uint8Array::new(&buffer)).map_err(failed)?;
        let read = JsFuture::from(read).await.map_err(failed)?;
        let done = Reflect::get(&read, &"done".into()).map_err(failed)?;
        if done.is_truthy() {
            return Ok(None);
        }
        let value = Reflect::get(&read, &"value".into()).map_err(failed)?;
        let piece: Uint8Array = value.dyn_into().map_err(failed)?;
        // The buffer was handed over and comes back under another name.
        self.buffer = Some(piece.buffer());
        self.copy.resize(usize::try_from(piece.length()).unwrap_or_default(), 0);
        piece.copy_to(&mut self.copy);
        self.piece = Some(piece);
        Ok(Some(&self.copy))
    }

    /// Passes on the piece that was read last, as it is.
    pub(crate) async fn pass(&mut self) -> Result<(), RelayError> {
        match self.piece.take() {
            Some(piece) => self.send(&piece).await,
            None => Ok(()),
        }
    }

    /// Passes on these bytes in its place.
    pub(crate) async fn pass_instead(&mut self, bytes: &[u8]) -> Result<(), RelayError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.send(&Uint8Array::from(bytes)).await
    }

    async fn send(&self, piece: &Uint8Array) -> Result<(), RelayError> {
        let failed = |error: JsValue| RelayError::Receiver(describe(&error));
        JsFuture::from(self.writer.write(piece).map_err(failed)?).await.map_err(failed)?;
        Ok(())
    }

    /// Ends the body well.
    pub(crate) async fn close(self) -> Result<(), RelayError> {
        let failed = |error: JsValue| RelayError::Receiver(describe(&error));
        JsFuture::from(self.writer.close().map_err(failed)?).await.map_err(failed)?;
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
