//! The keeper over a vault in memory that can be held up and made to fail.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use futures_util::StreamExt;
use protocol::version::PROTOCOL_VERSION;
use protocol::workspace::{
    Expected, FileName, RepositoryKey, Retention, WorkspaceEvent, WorkspaceOpening,
};
use protocol::{Problem, ProblemCode};
use tempfile::TempDir;

use super::{Keeper, Opened, Opener, PromptFiles, Vault};
use crate::limits::{SAVE_INTERVAL, SAVE_RETRY_PAUSE};
use crate::shutdown::Shutdown;
use crate::workspace::Workspace;

/// What the vault does and has done.
#[derive(Default)]
struct Script {
    /// What the snapshot holds.
    files: BTreeMap<String, String>,
    /// Saves so far.
    saves: Vec<Vec<String>>,
    fail_restore: bool,
    fail_save: bool,
    /// Whether the restore of everything may go on.
    held: bool,
    folder: PathBuf,
}

#[derive(Clone, Default)]
struct Memory(Arc<(Mutex<Script>, Condvar)>);

impl Memory {
    fn change(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    fn look<T>(&self, look: impl FnOnce(&Script) -> T) -> T {
        look(&self.0.0.lock().unwrap())
    }
}

fn broken(what: &str) -> Problem {
    Problem::new(ProblemCode::UpstreamFailed, what)
}

impl Opener for Memory {
    fn open(&self, key: &RepositoryKey, expected: &Expected) -> Result<Opened, Problem> {
        let master_key =
            matches!(key, RepositoryKey::Password { .. }).then(|| "the key".to_owned());
        let snapshot = match expected {
            Expected::Snapshot { id } => Some(id.clone()),
            _ => None,
        };
        Ok(Opened { vault: Arc::new(self.clone()), master_key, snapshot })
    }
}

impl Vault for Memory {
    fn read_files(&self, _: &FileName, names: &[&str]) -> Result<Vec<(String, Vec<u8>)>, Problem> {
        Ok(self.look(|script| {
            let found = names.iter().filter_map(|name| script.files.get_key_value(*name));
            found.map(|(name, text)| (name.clone(), text.clone().into_bytes())).collect()
        }))
    }

    fn restore_file(&self, _: &FileName, path: &Path) -> Result<bool, Problem> {
        let name = path.to_str().unwrap();
        Ok(self.look(|script| {
            let text = script.files.get(name);
            text.inspect(|text| std::fs::write(script.folder.join(name), text).unwrap()).is_some()
        }))
    }

    fn restore_all(
        &self,
        _: &FileName,
        progress: &(dyn Fn(WorkspaceEvent) + Sync),
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Result<(u64, u64), Problem> {
        progress(WorkspaceEvent::Progress { files: 0, files_total: 2, bytes: 0, bytes_total: 9 });
        let (lock, condition) = &*self.0;
        let mut script = lock.lock().unwrap();
        while script.held {
            script = condition.wait(script).unwrap();
        }
        if cancelled() {
            return Err(broken("given up"));
        }
        if script.fail_restore {
            return Err(broken("a pack is missing"));
        }
        for (name, text) in &script.files {
            std::fs::write(script.folder.join(name), text).unwrap();
        }
        Ok((script.files.len() as u64, 9))
    }

    fn save(&self, tags: &[String]) -> Result<Option<FileName>, Problem> {
        let mut script = self.0.0.lock().unwrap();
        script.saves.push(tags.to_vec());
        if script.fail_save { Err(broken("no answer")) } else { Ok(Some(name('a'))) }
    }

    fn maintain(&self, _: &Retention) -> Result<WorkspaceEvent, Problem> {
        Ok(WorkspaceEvent::Maintained { kept: 1, removed: 2, freed_bytes: 3 })
    }
}

fn name(digit: char) -> FileName {
    digit.to_string().repeat(64).parse().unwrap()
}

struct World {
    memory: Memory,
    keeper: Arc<Keeper>,
    folder: TempDir,
}

fn world() -> World {
    let folder = TempDir::new().unwrap();
    let memory = Memory::default();
    memory.change(|script| {
        script.folder = folder.path().to_owned();
        for file in ["AGENTS.md", "a.txt"] {
            script.files.insert(file.to_owned(), format!("text of {file}"));
        }
    });
    let workspace = Workspace::open(folder.path()).unwrap();
    let keeper = Keeper::new(Arc::new(memory.clone()), workspace, Shutdown::new());
    World { memory, keeper, folder }
}

fn opening(expected: Expected) -> WorkspaceOpening {
    let key = RepositoryKey::Password { password: "p".into() };
    WorkspaceOpening { protocol: PROTOCOL_VERSION, key, expected }
}

fn snapshot() -> WorkspaceOpening {
    opening(Expected::Snapshot { id: name('b') })
}

async fn events(keeper: &Arc<Keeper>) -> Vec<WorkspaceEvent> {
    let lines: Vec<_> = keeper.follow().collect().await;
    let events = lines.iter().map(|line| serde_json::from_slice(line).unwrap());
    // How often progress is reported is a matter of time.
    events.filter(|event| !matches!(event, WorkspaceEvent::Progress { .. })).collect()
}

#[tokio::test]
async fn a_file_and_the_prompt_do_not_wait_for_the_rest() {
    let World { memory, keeper, folder } = world();
    memory.change(|script| script.held = true);
    keeper.open(snapshot());
    let files = keeper.prompt_files().await;
    assert_eq!(files.files, [("AGENTS.md".to_owned(), "text of AGENTS.md".to_owned())]);
    keeper.file("a.txt".into()).await.unwrap();
    assert_eq!(std::fs::read_to_string(folder.path().join("a.txt")).unwrap(), "text of a.txt");

    let whole = tokio::spawn({
        let keeper = Arc::clone(&keeper);
        async move { keeper.whole().await }
    });
    tokio::task::yield_now().await;
    assert!(!whole.is_finished());
    memory.change(|script| script.held = false);
    whole.await.unwrap().unwrap();
    std::fs::write(folder.path().join("AGENTS.md"), "changed").unwrap();
    assert_eq!(keeper.prompt_files().await.files[0].1, "changed");
}

#[tokio::test]
async fn the_object_hears_the_key_and_the_end_however_late_it_listens() {
    let World { keeper, folder: _folder, .. } = world();
    keeper.open(snapshot());
    keeper.whole().await.unwrap();
    let opened = WorkspaceEvent::Opened { master_key: Some("the key".into()) };
    let restored = WorkspaceEvent::Restored { snapshot: Some(name('b')), files: 2, bytes: 9 };
    assert_eq!(events(&keeper).await, [opened.clone(), restored.clone()]);
    keeper.open(snapshot());
    assert_eq!(events(&keeper).await, [opened, restored]);
}

#[tokio::test]
async fn after_a_failed_restore_nothing_is_written_and_nothing_is_saved() {
    let World { memory, keeper, .. } = world();
    memory.change(|script| script.fail_restore = true);
    keeper.open(snapshot());
    assert_eq!(keeper.whole().await.unwrap_err().message, "a pack is missing");
    assert!(keeper.file("a.txt".into()).await.is_err());
    assert!(keeper.save("turn".into()).await.unwrap().is_err());
    keeper.save_last().await.unwrap();
    assert!(memory.look(|script| script.saves.is_empty()));
    assert!(matches!(events(&keeper).await.last(), Some(WorkspaceEvent::Failed { .. })));
    assert_eq!(keeper.prompt_files().await, PromptFiles::unreadable());
}

#[tokio::test]
async fn a_new_workspace_is_whole_at_once() {
    let World { keeper, .. } = world();
    keeper.open(opening(Expected::New));
    keeper.whole().await.unwrap();
    assert_eq!(keeper.prompt_files().await, PromptFiles::default());
}

#[tokio::test(start_paused = true)]
async fn what_is_never_opened_is_said_and_not_waited_for_without_end() {
    let World { keeper, .. } = world();
    assert_eq!(keeper.whole().await.unwrap_err().code, ProblemCode::ContainerFailed);
}

#[tokio::test]
async fn one_save_covers_all_that_was_announced_before_it() {
    let World { memory, keeper, .. } = world();
    keeper.open(opening(Expected::New));
    keeper.changed();
    let saves = [keeper.save("one".into()), keeper.save("two".into())];
    for save in saves {
        assert_eq!(save.await.unwrap().unwrap(), Some(name('a')));
    }
    assert_eq!(memory.look(|script| script.saves.len()), 1);
    keeper.changed();
    keeper.save("three".into()).await.unwrap().unwrap();
    assert_eq!(memory.look(|script| script.saves.len()), 2);
}

/// A world in which one save has failed, and the next would not.
async fn after_a_failed_save() -> World {
    let world = world();
    world.keeper.open(opening(Expected::New));
    world.memory.change(|script| script.fail_save = true);
    world.keeper.changed();
    assert!(world.keeper.save("one".into()).await.unwrap().is_err());
    world.memory.change(|script| script.fail_save = false);
    world
}

#[tokio::test]
async fn a_save_that_failed_is_made_again() {
    let World { memory, keeper, .. } = after_a_failed_save().await;
    assert!(keeper.save("two".into()).await.unwrap().is_ok());
    assert_eq!(memory.look(|script| script.saves.len()), 2);
}

#[tokio::test(start_paused = true)]
async fn files_that_could_not_be_saved_waited_for_the_next_turn() {
    let World { memory, keeper, .. } = after_a_failed_save().await;
    tokio::time::sleep(2 * SAVE_RETRY_PAUSE).await;
    // Waits for the save that runs, and finds that it covers all.
    keeper.save("two".into()).await.unwrap().unwrap();
    assert_eq!(memory.look(|script| script.saves.clone()), [["one"], ["one"]]);
}

#[tokio::test]
async fn in_a_long_turn_saves_keep_their_distance() {
    let World { keeper, .. } = world();
    keeper.open(opening(Expected::New));
    assert!(keeper.save_if_due("nothing changed".into()).is_none());
    keeper.changed();
    assert!(keeper.save_if_due("too soon".into()).is_none());
    let long_ago = Instant::now().checked_sub(SAVE_INTERVAL).unwrap();
    *keeper.saves.dirty_since() = Some(long_ago);
    keeper.save_if_due("due".into()).unwrap().await.unwrap().unwrap();
    assert!(keeper.save_if_due("just saved".into()).is_none());
}
