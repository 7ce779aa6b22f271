//! The names of objects in the bucket. Pure.
//!
//! Invariant: every name lies below its agent's prefix, and no other place builds one.

use protocol::AgentId;
use protocol::workspace::{FileKind, FileName};

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
    }
}
