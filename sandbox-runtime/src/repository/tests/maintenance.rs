//! Maintenance loses nothing that it should keep: not when the store fails, and not when something
//! is damaged already.

use protocol::workspace::{FileKind, Retention};

use super::{HOST, World, look};
use crate::repository::RepositoryError;

const RETENTION: Retention = Retention { last: 2, hourly: 1, daily: 1, weekly: 1 };

/// A world with snapshots of which some are to go, and with packs that are only used in part.
fn worn() -> World {
    let mut world = World::new();
    world.write("kept", vec![9; 200_000]);
    for n in 0..6_u8 {
        world.write(&format!("passing-{n}"), vec![n; 50_000 + usize::from(n)]);
        world.write("changing", format!("version {n}"));
        world.save();
        std::fs::remove_file(world.folder.path().join(format!("passing-{n}"))).unwrap();
    }
    world.write("changing", "the last");
    world.save();
    world
}

#[test]
fn wherever_a_maintenance_breaks_off_the_last_snapshot_stays_and_the_next_one_succeeds() {
    for changes in 0..200 {
        let mut world = worn();
        world.store.fail_change_in(Some(changes));
        let result = world.repository.maintain(HOST, &RETENTION);
        world.store.fail_change_in(None);
        let expected = look(world.folder.path());
        world.reopen();
        assert_eq!(look(world.restored().path()), expected, "broken off after {changes} changes");
        let done = world.repository.maintain(HOST, &RETENTION).unwrap();
        assert_eq!(done.kept, 2, "after {changes} changes");
        world.reopen();
        assert_eq!(look(world.restored().path()), expected, "maintained after {changes} changes");
        world.write("changing", "and on");
        world.save();
        if result.is_ok() {
            assert!(changes >= 8, "only {changes} changes in a maintenance");
            return;
        }
        assert!(matches!(result, Err(RepositoryError::Store(_))), "{result:?}");
    }
    panic!("a maintenance never ends");
}

#[test]
fn a_damaged_repository_is_not_tidied() {
    for kind in [FileKind::Data, FileKind::Index] {
        for is_cut in [false, true] {
            let mut world = worn();
            // Of the first snapshot: the last one uses it as well.
            let place = world.place_of("kept", kind);
            world.reopen();
            world.store.tamper(&place, |mut content| {
                content.truncate(content.len() / 2);
                is_cut.then_some(content)
            });
            let before = FileKind::ALL.map(|kind| world.store.places(kind));
            let refused = world.repository.maintain(HOST, &RETENTION);
            let text = format!("{kind}, cut {is_cut}: {refused:?}");
            assert!(matches!(refused, Err(RepositoryError::Damaged { .. })), "{text}");
            assert_eq!(FileKind::ALL.map(|kind| world.store.places(kind)), before, "{text}");
        }
    }
}
