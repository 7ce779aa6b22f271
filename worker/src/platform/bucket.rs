//! The bucket in R2.
//!
//! Invariants: nothing is overwritten unless the caller says so; where the caller knows the hash of
//! what it writes, R2 checks it; bodies that pass through are not held.

use protocol::{Problem, ProblemCode};
use wasm_bindgen::{JsCast, JsValue};
use worker::{Conditional, Data, Env, Range, ResponseBody};

use super::http::{Response, with_body};
use super::{clock, faults};

/// The binding's name in `wrangler.toml`.
const BINDING: &str = "BUCKET";

/// Why the bucket gave no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BucketError {
    /// It failed.
    #[error("R2 failed: {0}")]
    Failed(String),
    /// What was written is not what its hash says.
    #[error("the content is not what its name says")]
    Mismatch,
    /// An object is larger than it may be.
    #[error("the object {0} is larger than anything that belongs there")]
    TooLarge(String),
}

impl From<&BucketError> for Problem {
    fn from(error: &BucketError) -> Self {
        let (code, remedy) = match error {
            BucketError::Failed(_) => {
                (ProblemCode::UpstreamFailed, "Try again; if it stays so, look at R2's status.")
            }
            BucketError::Mismatch => (ProblemCode::BadRequest, "Send it again, whole."),
            BucketError::TooLarge(_) => (ProblemCode::TooLarge, ""),
        };
        Self::new(code, format!("{error}.")).remedy(remedy)
    }
}

impl From<BucketError> for Problem {
    fn from(error: BucketError) -> Self {
        Self::from(&error)
    }
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// It is there now.
    Written,
    /// Something was there already; nothing changed.
    Exists,
}

/// How something is written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Writing {
    /// The SHA-256 that R2 is to check.
    pub(crate) sha256: Option<[u8; 32]>,
    /// Whether what is there already is replaced.
    pub(crate) replace: bool,
}

/// An object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its name.
    pub(crate) key: String,
    /// Its bytes.
    pub(crate) size: u64,
    /// When it was written, by our clock.
    pub(crate) uploaded_ms: u64,
}

/// An object that was found, its body unread.
pub(crate) struct Found {
    /// Its bytes, all of them even where a part was asked for.
    pub(crate) size: u64,
    object: worker::Object,
}

/// The bucket.
#[derive(Clone)]
pub(crate) struct Bucket(std::rc::Rc<worker::Bucket>);

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bucket")
    }
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Found({} bytes)", self.size)
    }
}

fn failed(error: impl std::fmt::Display) -> BucketError {
    let why = error.to_string();
    if why.contains("checksum") { BucketError::Mismatch } else { BucketError::Failed(why) }
}

impl Bucket {
    /// The deployment's bucket.
    pub(crate) fn of(env: &Env) -> Result<Self, Problem> {
        env.bucket(BINDING).map(|bucket| Self(bucket.into())).map_err(|error| {
            let message = format!("This deployment has no bucket {BINDING}: {error}.");
            Problem::new(ProblemCode::Misconfigured, message)
                .remedy("Make one and deploy with the [[r2_buckets]] section of wrangler.toml.")
        })
    }

    /// The size of an object.
    pub(crate) async fn head(&self, key: &str) -> Result<Option<u64>, BucketError> {
        faults::before().await?;
        let found = self.0.head(key).await.map_err(failed)?;
        Ok(found.map(|object| object.size()))
    }

    /// An object, or a part of it: from an offset, so many bytes or to the end.
    pub(crate) async fn get(
        &self,
        key: &str,
        range: Option<(u64, Option<u64>)>,
    ) -> Result<Option<Found>, BucketError> {
        faults::before().await?;
        let mut get = self.0.get(key);
        if let Some((offset, length)) = range {
            get = get.range(match length {
                Some(length) => Range::OffsetWithLength { offset, length },
                None => Range::OffsetToEnd { offset },
            });
        }
        let found = get.execute().await.map_err(failed)?;
        Ok(found.map(|object| Found { size: object.size(), object }))
    }

    /// A whole object of a bounded size.
    pub(crate) async fn read(
        &self,
        key: &str,
        bytes_max: u64,
    ) -> Result<Option<Vec<u8>>, BucketError> {
        let Some(found) = self.get(key, None).await? else { return Ok(None) };
        if found.size > bytes_max {
            return Err(BucketError::TooLarge(key.to_owned()));
        }
        let Some(body) = found.object.body() else { return Ok(Some(Vec::new())) };
        body.bytes().await.map(Some).map_err(failed)
    }

    /// The beginning of an object, so many bytes at the most.
    pub(crate) async fn read_beginning(
        &self,
        key: &str,
        bytes_max: u64,
    ) -> Result<Option<Vec<u8>>, BucketError> {
        let Some(size) = self.head(key).await? else { return Ok(None) };
        if size == 0 {
            return Ok(Some(Vec::new()));
        }
        let Some(found) = self.get(key, Some((0, Some(size.min(bytes_max))))).await? else {
            return Ok(None);
        };
        let Some(body) = found.object.body() else { return Ok(Some(Vec::new())) };
        body.bytes().await.map(Some).map_err(failed)
    }

    /// Writes an object.
    pub(crate) async fn write(
        &self,
        key: &str,
        content: Vec<u8>,
        writing: Writing,
    ) -> Result<Put, BucketError> {
        self.put(key, Data::Bytes(content), writing).await
    }

    /// Writes an object from a body of known length that passes through.
    pub(crate) async fn write_stream(
        &self,
        key: &str,
        body: JsValue,
        writing: Writing,
    ) -> Result<Put, BucketError> {
        self.put(key, Data::ReadableStream(body.unchecked_into()), writing).await
    }

    async fn put(&self, key: &str, data: Data, writing: Writing) -> Result<Put, BucketError> {
        faults::before().await?;
        let mut put = self.0.put(key, data);
        if let Some(sha256) = writing.sha256 {
            put = put.sha256(sha256);
        }
        if !writing.replace {
            let none = Some("*".to_owned());
            put = put.only_if(Conditional { etag_does_not_match: none, ..Conditional::default() });
        }
        let written = put.execute().await.map_err(failed)?;
        faults::after_write()?;
        Ok(if written.is_some() { Put::Written } else { Put::Exists })
    }

    /// Removes an object; it need not be there.
    pub(crate) async fn delete(&self, key: &str) -> Result<(), BucketError> {
        faults::before().await?;
        self.0.delete(key).await.map_err(failed)
    }

    /// A page of the objects below a prefix, and where the next one begins.
    pub(crate) async fn list(
        &self,
        prefix: &str,
        cursor: Option<String>,
    ) -> Result<(Vec<Listed>, Option<String>), BucketError> {
        faults::before().await?;
        let mut list = self.0.list().prefix(prefix);
        if let Some(cursor) = cursor {
            list = list.cursor(cursor);
        }
        let page = list.execute().await.map_err(failed)?;
        let listed = |object: worker::Object| Listed {
            key: object.key(),
            size: object.size(),
            uploaded_ms: clock::ours_ms(object.uploaded().as_millis()),
        };
        let next = if page.truncated() { page.cursor() } else { None };
        Ok((page.objects().into_iter().map(listed).collect(), next))
    }

    /// All objects below a prefix, which must not be more than `objects_max`.
    pub(crate) async fn list_all(
        &self,
        prefix: &str,
        objects_max: usize,
    ) -> Result<Vec<Listed>, BucketError> {
        let mut all = Vec::new();
        let mut cursor = None;
        loop {
            let (page, next) = self.list(prefix, cursor).await?;
            all.extend(page);
            if all.len() > objects_max {
                return Err(BucketError::TooLarge(prefix.to_owned()));
            }
            if next.is_none() {
                return Ok(all);
            }
            cursor = next;
        }
    }
}

impl Found {
    /// The object as a response, its body passed through unread.
    pub(crate) fn into_response(
        self,
        status: u16,
        headers: &[(&str, &str)],
    ) -> Result<Response, BucketError> {
        let body = match self.object.body() {
            Some(body) => body.response_body().map_err(failed)?,
            None => ResponseBody::Empty,
        };
        Ok(with_body(status, headers, body))
    }
}
