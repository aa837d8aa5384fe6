//! Claims about rows that come in.

use perennial_features::EntityKey;
use perennial_types::{Kind, Position, Stream, Value};
use serde_json::{Value as Json, json};

use crate::world::{World, minute};

fn ride(id: &str, at: i64, zone: &str, fare: f64) -> Json {
    json!({"id": id, "at": minute(at), "zone": zone, "fare": fare})
}

/// Every dead letter: source, reason and original.
fn letters(world: &World) -> Vec<(String, String, String)> {
    let records = world.records().into_iter().filter(|record| record.entry.stream == Stream::DeadLetter);
    let text = |json: &Json| json.as_str().unwrap().to_owned();
    records
        .map(|record| {
            let payload: Json = serde_json::from_slice(&record.entry.payload).unwrap();
            (record.entry.source.to_string(), text(&payload["reason"]), text(&payload["payload"]))
        })
        .collect()
}

#[test]
fn a_bad_row_spoils_only_itself_and_is_kept_with_its_reason() {
    let world = World::new();
    let good = [ride("a", 0, "x", 1.0), ride("b", 1, "x", 2.0)];
    let body = format!(
        "{}\n{{\"id\": 7\n{}\n{}",
        good[0],
        json!({"id": "c", "at": minute(0), "zone": "x"}),
        good[1]
    );
    let ingested = world.ingest("rides", &body, minute(2));
    assert_eq!((ingested.accepted, ingested.duplicates), (2, 0));
    let lines: Vec<usize> = ingested.refused.iter().map(|row| row.line).collect();
    assert_eq!(lines, [2, 3]);
    assert_eq!(ingested.refused[1].reason, "column \"fare\" is missing");
    let letters = letters(&world);
    assert_eq!(letters.len(), 2);
    for (letter, refused) in letters.iter().zip(&ingested.refused) {
        assert_eq!((letter.0.as_str(), &letter.1), ("rides", &refused.reason));
    }
    assert_eq!(letters[0].2, "{\"id\": 7");
    assert_eq!(ingested.position, Some(Position(3)), "one record applied the project, two are events");
}

#[test]
fn a_row_that_is_sent_twice_is_one_event() {
    let world = World::new();
    let body = ride("a", 0, "x", 1.0).to_string();
    assert_eq!(world.ingest("rides", &body, minute(1)).accepted, 1);
    let events =
        |world: &World| world.records().iter().filter(|record| record.entry.stream == Stream::Event).count();
    let again = world.ingest("rides", &format!("[{body}, {body}]"), minute(2));
    assert_eq!((again.accepted, again.duplicates, again.position), (0, 2, None));
    assert_eq!(events(&world), 1);
}

#[test]
fn imported_rows_go_in_the_order_of_their_column_and_others_are_dead_letters() {
    let world = World::new();
    let row = |id: &str, known: i64| json!({"id": id, "at": minute(0), "known": minute(known)}).to_string();
    let body = [row("a", 10), row("b", 30), row("c", 20), row("d", 30)].join("\n");
    let ingested = world.ingest("imported", &body, minute(40));
    assert_eq!((ingested.accepted, ingested.refused.len()), (3, 1));
    let reason = format!("its time of availability lies before {}, that of the last record", minute(30));
    assert_eq!((ingested.refused[0].line, &ingested.refused[0].reason), (3, &reason));
    assert_eq!(letters(&world).len(), 1);
    let available: Vec<_> = world.records().iter().map(|record| record.entry.available_at).collect();
    assert!(available.is_sorted());
}

#[test]
fn what_was_acknowledged_can_be_read() {
    let world = World::new();
    let view = world.pipeline.declared().goal().unwrap().compiled.view("zone").unwrap().version();
    let key = EntityKey::from_values(&[Value::String("x".into())]);
    let dear = |at| {
        let reading = world.pipeline.engine().read(view, &key, minute(at)).unwrap();
        let outputs = world.pipeline.engine().views()[0].outputs().clone();
        reading.values[outputs.index_of("zone.dear_1d").or(outputs.index_of("dear_1d")).unwrap()].clone()
    };
    for n in 1..=40 {
        let ingested = world.ingest("rides", &ride(&n.to_string(), n, "x", 60.0).to_string(), minute(n));
        assert_eq!(dear(n + 1), Value::Int64(n), "after position {:?}", ingested.position);
    }
    assert_eq!(world.pipeline.engine().counts(view), Some((1, 0)));
}

#[test]
fn an_unknown_source_is_named_with_the_nearest_known_one() {
    let world = World::new();
    let error = world.pipeline.ingest("ride", b"{}", minute(0)).err().unwrap();
    assert_eq!(
        (error.kind(), error.to_string()),
        (Kind::NotFound, "no source \"ride\"; did you mean \"rides\"?".into())
    );
    let error = World::empty(crate::world::Opening::default())
        .pipeline
        .ingest("rides", b"{}", minute(0))
        .err()
        .unwrap();
    assert!(
        error.kind() == Kind::NotFound && error.to_string().contains("no project is applied yet"),
        "{error}"
    );
}

#[test]
fn an_empty_body_is_no_event() {
    let world = World::new();
    let ingested = world.ingest("rides", "", minute(0));
    assert_eq!((ingested.accepted, ingested.refused.len(), ingested.position), (0, 0, None));
}
