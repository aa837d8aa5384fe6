//! Claims about starts: after a clean stop, a crash, a damaged snapshot, a fold that fails.

use std::fs;

use perennial_types::{Kind, Position};

use crate::world::{Opening, PROJECT, Tally, World, minute, with_a_second_view};

fn with(tally: &Tally) -> Opening {
    Opening { folds: vec![Box::new(tally.clone())], ..Opening::default() }
}

/// Positions from the first to the head, each once.
fn assert_whole(world: &World, tally: &Tally) {
    let all: Vec<u64> = (1..=world.pipeline.head().0).collect();
    assert_eq!(*tally.seen.lock(), all);
}

fn played(opening: Opening, steps: i64) -> World {
    let world = World::empty(opening);
    world.apply(PROJECT, minute(-1));
    world.play(0..steps);
    world
}

#[test]
fn a_clean_stop_and_a_crash_lead_to_the_bytes_of_an_undisturbed_run() {
    let expected = played(with(&Tally::default()), 60).state();
    for snapshot_every in [u64::MAX >> 1, 17, 50] {
        let tally = Tally::default();
        let opening = || Opening { snapshot_every: Some(snapshot_every), ..with(&tally) };
        let mut world = played(opening(), 20);
        world = world.reopened(opening());
        world.play(20..40);
        let crashed = world.crashed("crashed", opening()).unwrap();
        crashed.play(40..60);
        assert_whole(&crashed, &tally);
        assert!(crashed.state() == expected, "a snapshot every {snapshot_every} records changes the state");
    }
}

#[test]
fn a_snapshot_anywhere_and_a_replay_of_the_rest_is_a_replay_of_all() {
    let tally = Tally::default();
    let world = played(Opening { snapshot_every: Some(13), ..with(&tally) }, 30);
    let mut states = Vec::new();
    // With both kept snapshots, with the older alone, and with none.
    for dropped in 0..=2 {
        let data = world.copy(&format!("drop{dropped}"));
        for newest in crate::world::snapshots(&data).iter().rev().take(dropped) {
            fs::remove_file(newest).unwrap();
        }
        let tally = Tally::default();
        let opened = World::at(&world, data, with(&tally)).unwrap();
        assert_eq!(*tally.loaded.lock(), u32::from(dropped < 2));
        assert_whole(&opened, &tally);
        states.push(opened.state());
    }
    assert!(states.windows(2).all(|pair| pair[0] == pair[1]));
    assert!(states[0] == world.state(), "live and replayed state differ");
}

#[test]
fn a_damaged_snapshot_is_passed_over_for_an_older_one() {
    let world = played(Opening { snapshot_every: Some(13), ..with(&Tally::default()) }, 12);
    let expected = world.state();
    let data = world.copy("damaged");
    let files = crate::world::snapshots(&data);
    assert_eq!(files.len(), 2);
    let mut bytes = fs::read(&files[1]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&files[1], bytes).unwrap();
    let tally = Tally::default();
    let opened = World::at(&world, data, with(&tally)).unwrap();
    assert_eq!(*tally.loaded.lock(), 1);
    assert_whole(&opened, &tally);
    assert!(opened.state() == expected);
}

#[test]
fn a_fold_that_cannot_load_is_made_again_from_the_whole_log() {
    let world = played(with(&Tally::default()), 12);
    let expected = world.state();
    let tally = Tally { cannot_load: true, ..Tally::default() };
    let opened = world.crashed("newer", with(&tally)).unwrap();
    assert_eq!(*tally.loaded.lock(), 1);
    assert_whole(&opened, &tally);
    assert!(opened.state() == expected);
}

#[test]
fn another_number_of_shards_is_made_again_from_the_log() {
    let world = played(Opening::default(), 12);
    world.state();
    let view = world.pipeline.engine().views()[0].version();
    let opened = world.crashed("shards", Opening { shards: Some(5), ..Opening::default() }).unwrap();
    assert_eq!(opened.pipeline.engine().counts(view), world.pipeline.engine().counts(view));
}

#[test]
fn a_fold_that_fails_stops_everything_with_its_reason() {
    let tally = Tally { fails_at: Some(Position(5)), ..Tally::default() };
    let world = World::empty(with(&tally));
    world.apply(PROJECT, minute(-1));
    for n in 1..=3 {
        world.label(&format!("p{n}"), 1.0, minute(n));
    }
    let ingesting = world.pipeline.ingest("rides", b"{}", minute(5)).unwrap();
    let error = world.block(ingesting.acknowledged()).unwrap_err();
    let reason =
        "the log cannot be followed any further: record 5 cannot be understood: it is not to be counted";
    assert_eq!((error.kind(), error.to_string()), (Kind::Unavailable, reason.to_owned()));
    for error in [
        world.pipeline.ingest("rides", b"{}", minute(6)).err().unwrap(),
        world.block(world.pipeline.applied_through(Position(5))).unwrap_err(),
        world.block(world.pipeline.settled()).unwrap_err(),
        world.block(world.pipeline.close()).unwrap_err(),
    ] {
        assert_eq!(error.to_string(), reason);
    }
    assert_eq!(*tally.seen.lock(), [1, 2, 3, 4]);
    // Opening says the same, and that without losing a record.
    let error = world.crashed("again", with(&tally)).err().unwrap();
    assert_eq!(error.to_string(), "record 5 cannot be understood: it is not to be counted");
    let whole = Tally::default();
    assert_whole(&world.crashed("repaired", with(&whole)).unwrap(), &whole);
}

#[test]
fn a_view_that_is_declared_later_has_the_bits_of_one_that_was_always_there() {
    let later = World::new();
    later.play(0..50);
    later.apply(&with_a_second_view(), minute(500));
    let always = World::empty(Opening::default());
    always.apply(&with_a_second_view(), minute(-1));
    always.play(0..50);
    for world in [&later, &always] {
        world.play(51..60);
    }
    let versions =
        |world: &World| world.pipeline.engine().views().iter().map(|view| view.version()).collect::<Vec<_>>();
    assert_eq!(versions(&later), versions(&always));
    assert_eq!(versions(&later).len(), 2);
    for view in versions(&later) {
        for zone in ["z0", "z1", "z2", "nowhere"] {
            let key =
                perennial_features::EntityKey::from_values(&[perennial_types::Value::String(zone.into())]);
            let read = |world: &World| world.pipeline.engine().read(view, &key, minute(600)).unwrap().values;
            assert_eq!(read(&later), read(&always), "{zone}");
        }
        assert_eq!(later.pipeline.engine().counts(view), always.pipeline.engine().counts(view));
    }
}

#[test]
fn a_view_that_nothing_declares_any_more_is_dropped() {
    let world = World::new();
    world.apply(&with_a_second_view(), minute(0));
    assert_eq!(world.pipeline.engine().views().len(), 2);
    world.apply(PROJECT, minute(1));
    assert_eq!(world.pipeline.engine().views().len(), 1);
}
