//! Takes the next snapshot.

use std::path::Path;

use protocol::workspace::FileName;
use rustic_core::repofile::SnapshotFile;
use rustic_core::{BackupOptions, ParentOptions, SnapshotOptions};

use super::source::Folder;
use super::{Repository, Result, SAVED_AS, name_of};

/// What a save came to.
#[derive(Debug, Clone, Default)]
pub struct Saved {
    /// The snapshot; `None` when nothing has changed since `parent`.
    pub snapshot: Option<FileName>,
    /// Files that are new or changed.
    pub files: u64,
    /// Bytes that were added to the repository.
    pub added_bytes: u64,
    /// The first files that could not be read, with the reasons.
    pub unreadable: Vec<String>,
}

impl Repository {
    /// Saves `folder` as a snapshot of `host`, on top of `parent`.
    pub fn save(
        &self,
        folder: &Path,
        host: &str,
        parent: Option<&FileName>,
        tags: &[String],
    ) -> Result<Saved> {
        let indexed = self.indexed_ids()?;
        let failed = |what: &'static str| move |error| self.backend.blame(what, error);
        let mut options =
            SnapshotOptions::default().host(host.to_owned()).label("pagurus".to_owned());
        for tag in tags {
            options = options.add_tags(tag).map_err(failed("a tag"))?;
        }
        let snapshot: SnapshotFile = options.to_snapshot().map_err(failed("the new snapshot"))?;
        let parents = ParentOptions::default()
            .parents(parent.map(ToString::to_string).into_iter().collect::<Vec<_>>())
            .force(parent.is_none())
            .skip_if_unchanged(true)
            .ignore_ctime(true)
            .ignore_inode(true);
        let backup = BackupOptions::default()
            .as_path(Path::new("/").join(SAVED_AS))
            .no_scan(true)
            .parent_opts(parents);
        let source = Folder::new(folder);
        let saved = indexed.archive(&backup, &source, snapshot, &[folder.to_owned()]);
        // When it failed, packs are on their way still, and the next save may need to know.
        let settled = self.backend.settle();
        let saved = saved.map_err(failed("the new snapshot"))?;
        settled?;
        let summary = saved.summary.as_ref();
        let unreadable = source.unreadable().named();
        Ok(Saved {
            snapshot: if is_unsaved(&saved) { None } else { Some(name_of(&saved)?) },
            files: summary.map_or(0, |summary| summary.files_new + summary.files_changed),
            added_bytes: summary.map_or(0, |summary| summary.data_added_packed),
            unreadable,
        })
    }
}

/// Whether the library found nothing new and wrote no snapshot: then it has no name.
fn is_unsaved(snapshot: &SnapshotFile) -> bool {
    snapshot.id.is_null()
}
