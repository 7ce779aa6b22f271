//! The names of objects in the bucket. Pure.
//!
//! Invariant: every name lies below its agent's prefix, and no other place builds one.

use protocol::session::Sequence;
use protocol::workspace::{FileKind, FileName};
use protocol::{AgentId, SessionId};

/// Everything of an agent.
fn agent(agent: &AgentId) -> String {
    format!("agents/{agent}/")
}

/// The configuration of the workspace's repository.
pub(crate) fn repository_config(of: &AgentId) -> String {
    format!("{}workspace/config", agent(of))
}

/// The repository's files of a kind.
pub(crate) fn repository_folder(of: &AgentId, kind: FileKind) -> String {
    format!("{}workspace/{kind}/", agent(of))
}

/// A file of the repository, in the layout that restic's S3 backend uses too: packs are spread over
/// folders by the first two digits of their name.
pub(crate) fn repository_file(of: &AgentId, kind: FileKind, name: &FileName) -> String {
    let folder = repository_folder(of, kind);
    match (kind, name.as_str().get(..2)) {
        (FileKind::Data, Some(first)) => format!("{folder}{first}/{name}"),
        _ => format!("{folder}{name}"),
    }
}

/// The segments of all session logs.
pub(crate) fn sessions_folder(of: &AgentId) -> String {
    format!("{}sessions/", agent(of))
}

/// A segment of a session's log. The numbers are padded so that a listing is in order; twelve digits
/// last for a thousand records a second over thirty years.
pub(crate) fn segment(
    of: &AgentId,
    session: &SessionId,
    first: Sequence,
    last: Sequence,
) -> String {
    format!("{}{session}/{first:012}-{last:012}.jsonl", sessions_folder(of))
}

/// Which segment a name is of; `None` for a name that [`segment`] never makes.
pub(crate) fn parse_segment(of: &AgentId, key: &str) -> Option<(SessionId, Sequence, Sequence)> {
    let (session, range) = key.strip_prefix(&sessions_folder(of))?.split_once('/')?;
    let (first, last) = range.strip_suffix(".jsonl")?.split_once('-')?;
    let (session, first, last) = (session.parse().ok()?, first.parse().ok()?, last.parse().ok()?);
    (segment(of, &session, first, last) == key && 0 < first && first <= last)
        .then_some((session, first, last))
}

/// The control exports.
pub(crate) fn control_folder(of: &AgentId) -> String {
    format!("{}control/", agent(of))
}

/// The control export of a day, such as `2026-11-25`.
pub(crate) fn control(of: &AgentId, day: &str) -> String {
    format!("{}{day}.jsonl", control_folder(of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_they_are_in_buckets_for_ever() {
        let main: AgentId = "main".parse().unwrap();
        let name: FileName = "ab".repeat(32).parse().unwrap();
        let data = repository_file(&main, FileKind::Data, &name);
        assert_eq!(data, format!("agents/main/workspace/data/ab/{name}"));
        let key = repository_file(&main, FileKind::Keys, &name);
        assert_eq!(key, format!("agents/main/workspace/keys/{name}"));
        assert_eq!(repository_config(&main), "agents/main/workspace/config");
        let web: SessionId = "web".parse().unwrap();
        let key = segment(&main, &web, 1, 500);
        assert_eq!(key, "agents/main/sessions/web/000000000001-000000000500.jsonl");
        assert_eq!(control(&main, "2026-11-25"), "agents/main/control/2026-11-25.jsonl");
    }

    #[test]
    fn only_names_of_segments_are_taken_for_segments() {
        let main: AgentId = "main".parse().unwrap();
        let web: SessionId = "hook:ci".parse().unwrap();
        let key = segment(&main, &web, 7, 7);
        assert_eq!(parse_segment(&main, &key), Some((web.clone(), 7, 7)));
        for odd in [
            segment(&main, &web, 8, 7),
            segment(&main, &web, 0, 7),
            key.replace("main", "other"),
            key.replace("0007-", "7-"),
            key.replace("hook:ci/", "hook/ci/"),
            format!("{key}.bak"),
            String::new(),
        ] {
            assert_eq!(parse_segment(&main, &odd), None, "{odd}");
        }
    }
}
