//! restic's REST protocol, version 2, over the bucket:
//! <https://restic.readthedocs.io/en/stable/100_references.html#rest-backend>.
//!
//! Invariants: nothing is ever overwritten; what is written is what its name says, and R2 checks it;
//! a file is deleted only where the caller may delete.

use protocol::limits::REPOSITORY_FILE_BYTES_MAX;
use protocol::object::{Access, ObjectRoute};
use protocol::workspace::{FileAction, FileKind, FileName, LISTING_V2, ListedFile, WorkspaceRoute};
use protocol::{AgentId, Epoch, Problem, ProblemCode};

use crate::keys;
use crate::limits::{REPOSITORY_CONFIG_BYTES_MAX, REPOSITORY_FILES_MAX};
use crate::platform::bucket::{Bucket, BucketError, Put, Writing};
use crate::platform::http::{self, Body, Request, Response};
use crate::platform::{Env, object};
use crate::settings::Settings;

/// Who uses the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// The agent's container, in one of its lives.
    Container(Epoch),
    /// The owner, with stock tools.
    Owner,
}

/// What a route does to the repository. Whoever may add may also take back a lock of its own. Pure.
fn access(route: &WorkspaceRoute) -> Access {
    match route {
        WorkspaceRoute::Create
        | WorkspaceRoute::List(_)
        | WorkspaceRoute::Config(FileAction::Head | FileAction::Get)
        | WorkspaceRoute::File(FileAction::Head | FileAction::Get, ..) => Access::Read,
        WorkspaceRoute::Config(FileAction::Post)
        | WorkspaceRoute::File(FileAction::Post, ..)
        | WorkspaceRoute::File(FileAction::Delete, FileKind::Locks, _) => Access::Add,
        WorkspaceRoute::Config(FileAction::Delete)
        | WorkspaceRoute::File(FileAction::Delete, ..) => Access::Delete,
    }
}

/// Whether a route would delete what the repository cannot be opened without. Pure.
fn deletes_the_way_in(route: &WorkspaceRoute) -> bool {
    matches!(
        route,
        WorkspaceRoute::Config(FileAction::Delete)
            | WorkspaceRoute::File(FileAction::Delete, FileKind::Keys, _)
    )
}

/// Serves a route of the repository of `agent`.
pub(crate) async fn serve(
    request: &mut Request,
    env: &Env,
    agent: &AgentId,
    caller: Caller,
    route: WorkspaceRoute,
) -> Result<Response, Problem> {
    // The container's requests may be the first in an isolate.
    Settings::of(env).arm_faults();
    let bucket = Bucket::of(env)?;
    let repository = Repository { bucket, agent: agent.clone() };
    repository.admit(env, caller, &route).await?;
    match route {
        WorkspaceRoute::Create => Ok(http::empty(200)),
        WorkspaceRoute::Config(action) => {
            let key = keys::repository_config(agent);
            match action {
                FileAction::Head => repository.head(&key).await,
                FileAction::Get => repository.get(request, &key).await,
                FileAction::Post => repository.write_config(request, &key).await,
                FileAction::Delete => repository.delete(&key).await,
            }
        }
        WorkspaceRoute::List(kind) => repository.list(request, kind).await,
        WorkspaceRoute::File(action, kind, name) => {
            let key = keys::repository_file(agent, kind, &name);
            match action {
                FileAction::Head => repository.head(&key).await,
                FileAction::Get => repository.get(request, &key).await,
                FileAction::Delete => repository.delete(&key).await,
                FileAction::Post => {
                    let response = repository.write(request, &key, &name).await?;
                    if let (FileKind::Snapshots, Caller::Container(epoch)) = (kind, caller) {
                        let stored = ObjectRoute::SnapshotStored { name };
                        asked(env, agent, Some(epoch), &stored).await?;
                    }
                    Ok(response)
                }
            }
        }
    }
}

/// Asks the agent's object, on behalf of its container where there is an epoch; a problem when it
/// says no.
async fn asked(
    env: &Env,
    agent: &AgentId,
    epoch: Option<Epoch>,
    route: &ObjectRoute,
) -> Result<(), Problem> {
    super::asked(object::call(env, agent, epoch, route, Body::Empty).await?).await
}

/// One agent's repository.
#[derive(Debug)]
struct Repository {
    bucket: Bucket,
    agent: AgentId,
}

impl Repository {
    async fn admit(
        &self,
        env: &Env,
        caller: Caller,
        route: &WorkspaceRoute,
    ) -> Result<(), Problem> {
        let mut access = access(route);
        if deletes_the_way_in(route) {
            if !self.is_stray(route).await? {
                return Err(append_only());
            }
            // Whoever may make a repository may clear the ground for it.
            access = Access::Add;
        }
        match caller {
            Caller::Container(epoch) => {
                let grant = ObjectRoute::WorkspaceGrant(access);
                asked(env, &self.agent, Some(epoch), &grant).await
            }
            Caller::Owner if access == Access::Delete => Err(append_only()),
            Caller::Owner if access == Access::Add => {
                asked(env, &self.agent, None, &ObjectRoute::OwnerGrant).await
            }
            Caller::Owner => Ok(()),
        }
    }

    /// Whether a route is about a key that a broken-off creation left behind: without a
    /// configuration there is no repository yet.
    async fn is_stray(&self, route: &WorkspaceRoute) -> Result<bool, Problem> {
        if !matches!(route, WorkspaceRoute::File(_, FileKind::Keys, _)) {
            return Ok(false);
        }
        Ok(self.bucket.head(&keys::repository_config(&self.agent)).await?.is_none())
    }

    async fn head(&self, key: &str) -> Result<Response, Problem> {
        match self.bucket.head(key).await? {
            Some(size) => {
                Ok(http::headers_only(200, &[("content-length", size.to_string().as_str())]))
            }
            None => Err(missing()),
        }
    }

    async fn get(&self, request: &Request, key: &str) -> Result<Response, Problem> {
        let Some(range) = http::header(request, "range") else {
            let found = self.bucket.get(key, None).await?.ok_or_else(missing)?;
            return Ok(found.into_response(200, &CONTENT)?);
        };
        let range = ByteRange::parse(&range).ok_or_else(|| {
            Problem::new(ProblemCode::BadRequest, format!("The range {range:?} is not served."))
        })?;
        // One call where the range is sound, as it always is with a sound index.
        let found = match self.bucket.get(key, Some(range.wanted())).await {
            Ok(found) => found.ok_or_else(missing)?,
            Err(error) => return self.unsatisfiable(key, range, &error).await,
        };
        let size = found.size;
        let Some((offset, length)) = range.within(size) else {
            return Ok(http::headers_only(416, &[("content-range", &format!("bytes */{size}"))]));
        };
        let content_range = format!("bytes {offset}-{}/{size}", offset + length - 1);
        let [content_type, caching] = CONTENT;
        let headers = [content_type, caching, ("content-range", content_range.as_str())];
        Ok(found.into_response(206, &headers)?)
    }

    /// What a failed read of a range means: that there is no such range, or a failure.
    async fn unsatisfiable(
        &self,
        key: &str,
        range: ByteRange,
        error: &BucketError,
    ) -> Result<Response, Problem> {
        let size = self.bucket.head(key).await?.ok_or_else(missing)?;
        match range.within(size) {
            Some(_) => Err(error.into()),
            None => Ok(http::headers_only(416, &[("content-range", &format!("bytes */{size}"))])),
        }
    }

    async fn write(
        &self,
        request: &Request,
        key: &str,
        name: &FileName,
    ) -> Result<Response, Problem> {
        check_length(http::content_length(request))?;
        let writing = Writing { sha256: Some(digest(name)), replace: false };
        let put = match http::unread_body(request) {
            Body::Stream(body) => self.bucket.write_stream(key, body, writing).await?,
            Body::Empty | Body::Text(_) | Body::Bytes(_) => {
                self.bucket.write(key, Vec::new(), writing).await?
            }
        };
        // What is there under this name has this content: it was checked when it was written.
        match put {
            Put::Written | Put::Exists => Ok(http::empty(200)),
        }
    }

    /// The configuration has no hash for a name, so what is there is compared.
    async fn write_config(&self, request: &mut Request, key: &str) -> Result<Response, Problem> {
        let bytes_max = REPOSITORY_CONFIG_BYTES_MAX;
        let content = http::read_bounded(request, bytes_max).await?;
        if self.bucket.write(key, content.clone(), Writing::default()).await? == Put::Written {
            return Ok(http::empty(200));
        }
        if self.bucket.read(key, bytes_max as u64).await? == Some(content) {
            return Ok(http::empty(200));
        }
        Err(Problem::new(ProblemCode::Forbidden, "There is a repository already.")
            .remedy("Open it with its own key."))
    }

    async fn delete(&self, key: &str) -> Result<Response, Problem> {
        self.bucket.delete(key).await?;
        Ok(http::empty(200))
    }

    async fn list(&self, request: &Request, kind: FileKind) -> Result<Response, Problem> {
        let prefix = keys::repository_folder(&self.agent, kind);
        let mut files: Vec<ListedFile> = Vec::new();
        let mut cursor = None;
        loop {
            let (page, next) = self.bucket.list(&prefix, cursor).await?;
            files.extend(page.iter().filter_map(|listed| {
                let name = listed.key.rsplit('/').next()?.parse().ok()?;
                Some(ListedFile { name, size: listed.size })
            }));
            if files.len() > REPOSITORY_FILES_MAX {
                let message = format!("There are more than {REPOSITORY_FILES_MAX} files.");
                return Err(Problem::new(ProblemCode::TooLarge, message));
            }
            if next.is_none() {
                break;
            }
            cursor = next;
        }
        let with_sizes =
            http::header(request, "accept").is_some_and(|types| types.contains(LISTING_V2));
        let response = if with_sizes {
            http::with_header(http::json(200, &files), "content-type", LISTING_V2)
        } else {
            let names: Vec<&FileName> = files.iter().map(|file| &file.name).collect();
            http::with_header(http::json(200, &names), "content-type", LISTING_V1)
        };
        Ok(response)
    }
}

/// The media type of a listing without sizes, version 1 of the protocol.
const LISTING_V1: &str = "application/vnd.x.restic.rest.v1";

/// What is said of a file's content: encrypted bytes that nobody keeps.
const CONTENT: [(&str, &str); 2] =
    [("content-type", "application/octet-stream"), ("cache-control", "no-store")];

fn append_only() -> Problem {
    Problem::new(ProblemCode::Forbidden, "The workspace's repository is append-only.")
        .remedy("The agent removes old snapshots itself; keys and configuration stay.")
}

fn missing() -> Problem {
    Problem::new(ProblemCode::NotFound, "There is no such file in the repository.")
}

/// Refuses what is too large, or of unknown length, before it is read.
fn check_length(length: Option<u64>) -> Result<(), Problem> {
    match length {
        None => Err(Problem::new(ProblemCode::BadRequest, "The length must be declared.")),
        Some(length) if length > REPOSITORY_FILE_BYTES_MAX => {
            let message = format!("A file has at most {REPOSITORY_FILE_BYTES_MAX} bytes.");
            Err(Problem::new(ProblemCode::TooLarge, message).remedy("Use a smaller pack size."))
        }
        Some(_) => Ok(()),
    }
}

/// The hash that a name is.
fn digest(name: &FileName) -> [u8; 32] {
    let mut digest = [0; 32];
    for (byte, digits) in digest.iter_mut().zip(name.as_str().as_bytes().chunks(2)) {
        let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or_default();
        let value = digits.iter().fold(0, |sum, digit| sum * 16 + value(*digit));
        *byte = u8::try_from(value).unwrap_or_default();
    }
    digest
}

/// One range of bytes, as RFC 9110 section 14.1.2 writes it; of its forms those that clients of a
/// repository use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ByteRange {
    first: u64,
    last: Option<u64>,
}

impl ByteRange {
    fn parse(header: &str) -> Option<Self> {
        let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
        let first = first.parse().ok()?;
        let last = if last.is_empty() { None } else { Some(last.parse().ok()?) };
        last.is_none_or(|last| first <= last).then_some(Self { first, last })
    }

    /// Offset and length as they are asked of the bucket; `None` for the rest of the file, which is
    /// what a length beyond every file means too.
    fn wanted(self) -> (u64, Option<u64>) {
        let length = self.last.map(|last| last.saturating_sub(self.first).saturating_add(1));
        (self.first, length.filter(|length| *length <= REPOSITORY_FILE_BYTES_MAX))
    }

    /// Offset and length in a file of `size` bytes; `None` when it begins behind the end.
    fn within(self, size: u64) -> Option<(u64, u64)> {
        let end = self.last.map_or(size, |last| last.saturating_add(1).min(size));
        (self.first < end).then(|| (self.first, end - self.first))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_cut_to_the_file() {
        let within = |header: &str| ByteRange::parse(header).map(|range| range.within(10));
        assert_eq!(within("bytes=0-4"), Some(Some((0, 5))));
        assert_eq!(within("bytes=4-"), Some(Some((4, 6))));
        assert_eq!(within("bytes=4-99"), Some(Some((4, 6))));
        assert_eq!(within("bytes=10-"), Some(None));
        for odd in ["", "bytes=", "bytes=-5", "bytes=5-4", "bytes=a-b", "bytes=0-1,3-4", "0-1"] {
            assert_eq!(within(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_file_has_a_declared_and_bounded_length() {
        let code = |length| check_length(length).map_err(|problem| problem.code);
        assert_eq!(code(Some(0)), Ok(()));
        assert_eq!(code(Some(REPOSITORY_FILE_BYTES_MAX)), Ok(()));
        assert_eq!(code(Some(REPOSITORY_FILE_BYTES_MAX + 1)), Err(ProblemCode::TooLarge));
        assert_eq!(code(None), Err(ProblemCode::BadRequest));
    }

    #[test]
    fn a_length_beyond_every_file_is_the_rest_of_the_file() {
        let wanted = |header: &str| ByteRange::parse(header).map(ByteRange::wanted);
        assert_eq!(wanted("bytes=2-4"), Some((2, Some(3))));
        assert_eq!(wanted("bytes=2-"), Some((2, None)));
        assert_eq!(wanted(&format!("bytes=0-{}", u64::MAX)), Some((0, None)));
    }

    #[test]
    fn only_locks_may_be_deleted_by_whoever_may_add() {
        let name: FileName = "0".repeat(64).parse().unwrap();
        let delete = |kind| WorkspaceRoute::File(FileAction::Delete, kind, name.clone());
        assert_eq!(access(&delete(FileKind::Locks)), Access::Add);
        for kind in FileKind::ALL.into_iter().filter(|kind| *kind != FileKind::Locks) {
            assert_eq!(access(&delete(kind)), Access::Delete);
            assert_eq!(deletes_the_way_in(&delete(kind)), kind == FileKind::Keys);
        }
        let config = WorkspaceRoute::Config(FileAction::Delete);
        assert_eq!(access(&config), Access::Delete);
        assert!(deletes_the_way_in(&config));
    }

    proptest! {
        #[test]
        fn a_name_is_its_hash_in_hex(bytes in any::<[u8; 32]>()) {
            let digit = |value: u8| char::from_digit(value.into(), 16).unwrap();
            let hex: String =
                bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
            prop_assert_eq!(digest(&hex.parse().unwrap()), bytes);
        }

        #[test]
        fn no_header_makes_the_parser_fall(
            header in "\\PC{0,40}|bytes=[0-9]{1,20}-[0-9]{0,20}",
            size: u64,
        ) {
            if let Some(range) = ByteRange::parse(&header)
                && let Some((offset, length)) = range.within(size)
            {
                prop_assert!(length > 0 && offset + length <= size);
                prop_assert!(range.wanted().1.is_none_or(|wanted| wanted >= length));
            }
        }
    }
}
