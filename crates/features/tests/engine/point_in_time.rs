//! The three readings of "at that time" on a late event.

use perennial_features::point_in_time::{Mode, Query, replay};
use perennial_features::{Event, Op, Tail};
use perennial_types::{Position, Timestamp, Value};

use crate::setup::{SECOND, Sample, aggregate, key, view};

#[test]
fn a_late_event_is_occurred_before_it_is_known_and_known_before_it_is_served() {
    let view = view(vec![aggregate("c", &[Op::Count], None, &["1h"], Tail::Exact)]);
    // Happened at second 10, became known at second 100.
    let samples =
        [Sample::new(1, 5 * SECOND, 5 * SECOND, 0, None), Sample::new(2, 10 * SECOND, 100 * SECOND, 0, None)];
    let events: Vec<Event<'_>> = samples.iter().map(Sample::event).collect();
    let count = |at: i64, seen: u64, mode: Mode| {
        let query = Query { key: key(0), at: Timestamp::from_micros(at * SECOND), seen: Position(seen) };
        match replay(&view, &events, &[query], mode)[0][0] {
            Value::Int64(count) => count,
            ref other => panic!("{other}"),
        }
    };
    assert_eq!(count(50, 1, Mode::AsOccurred), 2);
    assert_eq!(count(50, 1, Mode::AsKnown), 1);
    assert_eq!(count(50, 1, Mode::AsServed), 1);
    // At its own instant it is not known yet; one microsecond later it is.
    assert_eq!(count(100, 2, Mode::AsKnown), 1);
    assert_eq!(count(101, 2, Mode::AsKnown), 2);
    // A server that had not applied it served without it.
    assert_eq!(count(101, 1, Mode::AsServed), 1);
    assert_eq!(count(101, 2, Mode::AsServed), 2);
    // It has not occurred at its own instant.
    assert_eq!(count(10, 0, Mode::AsOccurred), 1);
}

#[test]
fn queries_are_answered_in_their_own_order() {
    let view = view(vec![aggregate("c", &[Op::Count], None, &["1h"], Tail::Hop)]);
    let samples: Vec<Sample> =
        (1..10).map(|i| Sample::new(i, i as i64 * SECOND, i as i64 * SECOND, 0, None)).collect();
    // Events out of order, too.
    let events: Vec<Event<'_>> = samples.iter().rev().map(Sample::event).collect();
    let query = |at: i64| Query {
        key: key(0),
        at: Timestamp::from_micros(at * SECOND),
        seen: Position((at - 1).unsigned_abs()),
    };
    let queries = [query(7), query(2), query(5)];
    for mode in [Mode::AsServed, Mode::AsKnown, Mode::AsOccurred] {
        let counts: Vec<Value> = replay(&view, &events, &queries, mode).concat();
        assert_eq!(counts, [Value::Int64(6), Value::Int64(1), Value::Int64(4)], "{mode:?}");
    }
}
