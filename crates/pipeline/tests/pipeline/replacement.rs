//! Claims about a view's new version beside the one that it replaces.

use perennial_control::{ControlRecord, ViewPromoted};
use perennial_features::EntityKey;
use perennial_log::Durability;
use perennial_pipeline::parity::{Terms, Verdict};
use perennial_types::{ContentHash, TimeSpan, Value};
use serde_json::Value as Json;

use crate::world::{Opening, PROJECT, World, minute};

/// The same with other rides being dear.
fn changed() -> String {
    PROJECT.replace("fare > 50", "fare > 20")
}

fn serving(world: &World) -> ContentHash {
    world.pipeline.declared().serving_views()[0].version()
}

fn declared(world: &World) -> ContentHash {
    world.pipeline.declared().goal().unwrap().compiled.views[0].version()
}

#[test]
fn the_old_version_serves_until_the_new_one_was_compared_with_it() {
    let world = World::new();
    world.play(0..200);
    let old = serving(&world);
    world.apply(&changed(), minute(2_001));
    world.pipeline.engine().wait_for_backfills();
    let new = declared(&world);
    assert!(serving(&world) == old && new != old);
    let read = |version| {
        let key = EntityKey::from_values(&[Value::String("z1".into())]);
        world.pipeline.engine().read(version, &key, minute(2_002)).unwrap().values
    };
    for _ in 0..5 {
        read(old);
    }
    // Reads of the new version are its own affair.
    read(new);
    let parity = world.pipeline.engine().parities().swap_remove(0);
    assert_eq!(parity.reads(), 5);
    let differing: Vec<&str> =
        parity.features().iter().filter(|found| found.differing > 0).map(|found| &*found.feature).collect();
    assert_eq!(differing, ["zone.dear_1d"]);
    let terms = Terms { reads: 5, at_most: TimeSpan::from_secs(600) };
    let Verdict::Serve(reason) = parity.verdict(TimeSpan::ZERO, terms) else { panic!("nothing is wrong") };

    // Neither a start anew nor a snapshot forgets that the two are compared.
    for saved in [false, true] {
        if saved {
            world.state();
        }
        let started = world.crashed(&format!("started-{saved}"), Opening::default()).unwrap();
        assert_eq!((serving(&started), declared(&started)), (old, new));
        assert_eq!(started.pipeline.engine().parities().len(), 1);
    }
    let promoted = ViewPromoted {
        at: minute(2_003),
        view: "zone".into(),
        from: old,
        to: new,
        reason,
        evidence: Json::Null,
    };
    let record = ControlRecord::ViewPromoted(promoted);
    world.block(world.pipeline.append_control(&[record], minute(2_003), Durability::Synced)).unwrap();
    assert_eq!(serving(&world), new);
    assert!(world.pipeline.engine().parities().is_empty());
    assert_eq!(world.pipeline.engine().views().len(), 1, "the old version is read by nobody");
    let started = world.crashed("promoted", Opening::default()).unwrap();
    assert_eq!(serving(&started), new);
}

#[test]
fn on_the_event_clock_a_new_version_serves_from_its_declaration_on() {
    let clock = |yaml: &str| yaml.replace("name: taxi\n", "name: taxi\nclock: event\n");
    let world = World::empty(Opening::default());
    world.apply(&clock(PROJECT), minute(-1));
    world.apply(&clock(&changed()), minute(0));
    assert_eq!(serving(&world), declared(&world));
    assert!(world.pipeline.engine().parities().is_empty());
}

#[test]
fn rows_that_only_the_new_schema_allows_are_read_by_the_new_version_at_once() {
    let world = World::new();
    world.ingest("rides", r#"{"id": "a", "at": "2024-05-01T00:00:00Z", "zone": "z1", "fare": 5}"#, minute(1));
    let old = serving(&world);
    world.apply(&PROJECT.replacen("fare: double}", "fare: double?}", 1), minute(2));
    assert!(serving(&world) == declared(&world) && serving(&world) != old);
    world.ingest("rides", r#"{"id": "b", "at": "2024-05-01T00:01:00Z", "zone": "z1"}"#, minute(3));
    world.block(world.pipeline.settled()).unwrap();
    assert_eq!(world.pipeline.engine().views().len(), 1);
    let started = world.crashed("nullable", Opening::default()).unwrap();
    assert_eq!(serving(&started), declared(&started));
}
