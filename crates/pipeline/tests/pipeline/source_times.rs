//! Claims about the time of sources.

use perennial_types::{TimeSpan, Timestamp};
use serde_json::json;

use crate::world::{Opening, PROJECT, World, minute};

/// Rides may come ten minutes late, and after an hour of silence nobody waits for imported rows.
fn project() -> String {
    PROJECT
        .replace("event_time: at\n---\nkind: Source", "event_time: at\nlateness: 10m\n---\nkind: Source")
        .replace("available_at: known\n", "available_at: known\nidle_after: 1h\n")
}

fn ride(world: &World, id: i64, happened: i64, at: i64) {
    let row = json!({"id": id.to_string(), "at": minute(happened), "zone": "x", "fare": 1.0});
    assert_eq!(world.ingest("rides", &row.to_string(), minute(at)).accepted, 1);
}

fn watermark(world: &World, now: i64) -> Option<Timestamp> {
    let declared = world.pipeline.declared();
    world.pipeline.source_times().watermark(&declared.goal().unwrap().project, minute(now))
}

#[test]
fn late_events_are_counted_for_their_source_and_are_merged() {
    let world = World::empty(Opening::default());
    world.apply(&project(), minute(-1));
    for (id, (happened, at)) in [(0, 1), (30, 31), (20, 32), (19, 33), (31, 34)].into_iter().enumerate() {
        ride(&world, id as i64, happened, at);
    }
    let time = world.pipeline.source_times().get("rides").unwrap();
    assert_eq!((time.events(), time.late()), (5, 1), "nineteen is more than ten minutes before thirty");
    assert_eq!(time.watermark(TimeSpan::from_secs(600)), Some(minute(21)));
    let view = world.pipeline.engine().views()[0].version();
    assert!(world.pipeline.engine().counts(view).unwrap().1 >= 1, "a view counts by its own tiles");
    assert_eq!(watermark(&world, 40), None, "nothing was imported yet");
    assert_eq!(watermark(&world, 60), Some(minute(21)), "and nobody waits for that any more");
    let crashed = world.crashed("crashed", Opening::default()).unwrap();
    assert_eq!(crashed.pipeline.source_times().get("rides"), Some(time));
    let reopened = world.reopened(Opening::default());
    assert_eq!(reopened.pipeline.source_times().get("rides"), Some(time));
    assert_eq!(watermark(&reopened, 60), Some(minute(21)));
    ride(&reopened, 9, 20, 61);
    assert_eq!(reopened.pipeline.source_times().get("rides").unwrap().late(), 2);
}

#[test]
fn what_is_dated_too_far_ahead_is_a_dead_letter_until_its_time_has_come() {
    let world = World::new();
    let row = json!({"id": "a", "at": minute(120), "zone": "x", "fare": 1.0}).to_string();
    let refused = world.ingest("rides", &row, minute(30)).refused;
    assert!(refused[0].reason.contains("more than 1h after 2024-05-01T00:30:00Z"), "{}", refused[0].reason);
    let again = world.block(world.pipeline.redrive("rides", minute(40))).unwrap();
    assert_eq!((again.accepted, again.refused.len()), (0, 1));
    let again = world.block(world.pipeline.redrive("rides", minute(60))).unwrap();
    assert_eq!((again.accepted, again.refused.len()), (1, 0));
    assert_eq!(world.pipeline.source_times().get("rides").unwrap().newest(), Some(minute(60)));
}
