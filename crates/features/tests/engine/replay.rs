//! One history, one outcome: shards, snapshots and replay change no bit.

use perennial_features::point_in_time::{Mode, Query, replay};
use perennial_features::{Batch, Event, Op, Shard, Tail, shard_of, skew};
use perennial_types::{Position, Timestamp, Value};
use proptest::prelude::*;

use crate::setup::{SECOND, Sample, aggregate, apply_all, key, read, samples, view, wide_view};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn replay_gives_the_bits_that_were_served(samples in samples(5000 * SECOND), shards in 1..6_usize) {
        let view = wide_view();
        let mut live: Vec<Shard> = (0..shards).map(|_| Shard::new(vec![view.clone()])).collect();
        let mut queries = Vec::new();
        let mut served = Vec::new();
        for sample in &samples {
            for (i, shard) in live.iter_mut().enumerate() {
                shard.apply(&sample.event(), |key| shard_of(key, shards) == i);
            }
            for of in 0..3 {
                let at = Timestamp::from_micros(sample.available_at);
                let reading = live[shard_of(&key(of), shards)].read(view.version(), &key(of), at);
                prop_assert_eq!(reading.seen, Position(sample.position));
                queries.push(Query { key: key(of), at, seen: reading.seen });
                served.push(reading.values);
            }
        }
        let events: Vec<Event<'_>> = samples.iter().map(Sample::event).collect();
        let replayed = replay(&view, &events, &queries, Mode::AsServed);
        for (served, replayed) in served.iter().zip(&replayed) {
            prop_assert_eq!(skew::compare(&view, served, replayed), vec![]);
        }
    }

    #[test]
    fn batches_of_any_size_are_events_one_by_one(
        samples in samples(5000 * SECOND),
        shards in 1..5_usize,
        size in 1..60_usize,
    ) {
        let view = wide_view();
        let [mut single, mut batched] = [(); 2].map(|()| vec![Shard::new(vec![view.clone()]); shards]);
        let events: Vec<Event<'_>> = samples.iter().map(Sample::event).collect();
        for event in &events {
            for (i, shard) in single.iter_mut().enumerate() {
                shard.apply(event, |key| shard_of(key, shards) == i);
            }
        }
        let mut batch = Batch::default();
        // What was taken already is skipped.
        for events in events.chunks(size).chain(events.rchunks(size).take(1)) {
            batch.fill(&view, events, shards);
            for (i, shard) in batched.iter_mut().enumerate() {
                shard.apply_filled(view.version(), &batch, i);
            }
        }
        for (single, batched) in single.iter().zip(&batched) {
            prop_assert_eq!(single.save(), batched.save());
        }
    }

    #[test]
    fn saving_and_loading_in_the_middle_changes_no_bit(samples in samples(5000 * SECOND), cut in 0..150_usize) {
        let view = wide_view();
        let (before, after) = samples.split_at(cut.min(samples.len()));
        let mut straight = Shard::new(vec![view.clone()]);
        apply_all(&mut straight, &samples);
        let mut first = Shard::new(vec![view.clone()]);
        apply_all(&mut first, before);
        let mut second = Shard::load(vec![view.clone()], &first.save()).unwrap();
        prop_assert_eq!(first.save(), second.save());
        apply_all(&mut second, after);
        prop_assert_eq!(straight.save(), second.save());
        let at = samples.last().unwrap().available_at + SECOND;
        for of in 0..3 {
            prop_assert_eq!(read(&straight, &view, of, at), read(&second, &view, of, at));
        }
    }

    #[test]
    fn as_known_with_arrival_is_what_was_served_before_the_events_of_the_instant(samples in samples(5000 * SECOND)) {
        let view = wide_view();
        let events: Vec<Event<'_>> = samples.iter().map(Sample::event).collect();
        let mut queries = Vec::new();
        for sample in &samples {
            let earlier = samples.iter().filter(|other| other.available_at < sample.available_at);
            let seen = Position(earlier.map(|other| other.position).max().unwrap_or(0));
            queries.push(Query { key: key(1), at: Timestamp::from_micros(sample.available_at), seen });
        }
        let known = replay(&view, &events, &queries, Mode::AsKnown);
        prop_assert_eq!(known, replay(&view, &events, &queries, Mode::AsServed));
    }
}

#[test]
fn a_single_flipped_bit_is_found() {
    let view = view(vec![aggregate("x", &[Op::Count, Op::Avg], Some("x"), &["1m"], Tail::Hop)]);
    let served = [Value::Int64(3), Value::Double(0.1)];
    let flipped = [Value::Int64(3), Value::Double(f64::from_bits(0.1_f64.to_bits() ^ 1))];
    assert_eq!(skew::compare(&view, &served, &served), []);
    let found = skew::compare(&view, &served, &flipped);
    assert_eq!(found.len(), 1);
    assert_eq!((&*found[0].feature, found[0].bits), ("v.x_avg_1m", 1));
    assert_eq!(skew::compare(&view, &served[..1], &served).len(), 1);
}

#[test]
fn a_view_that_the_snapshot_lacks_is_backfilled_by_applying_the_log_again() {
    let old = view(vec![aggregate("x", &[Op::Sum], Some("x"), &["1m"], Tail::Hop)]);
    let new = view(vec![aggregate("x", &[Op::Sum], Some("x"), &["10m"], Tail::Hop)]);
    let samples: Vec<Sample> = (1..50)
        .map(|i| Sample::new(i, i as i64 * SECOND, i as i64 * SECOND, 0, Some(0.1 * i as f64)))
        .collect();
    let mut both = Shard::new(vec![old.clone(), new.clone()]);
    apply_all(&mut both, &samples);
    let mut alone = Shard::new(vec![old.clone()]);
    apply_all(&mut alone, &samples);
    let mut loaded = Shard::load(vec![old.clone(), new.clone()], &alone.save()).unwrap();
    assert_eq!((loaded.seen(old.version()), loaded.seen(new.version())), (Position(49), Position::START));
    apply_all(&mut loaded, &samples);
    assert_eq!(loaded.save(), both.save());
    assert!(loaded.remove_view(new.version()));
    assert_eq!(loaded.save(), alone.save());
}

#[test]
fn broken_snapshots_are_refused_with_the_reason() {
    let view = wide_view();
    let mut shard = Shard::new(vec![view.clone()]);
    apply_all(&mut shard, &[Sample::new(1, 0, 1, 0, Some(1.0))]);
    let bytes = shard.save();
    let message = |bytes: &[u8]| Shard::load(vec![view.clone()], bytes).unwrap_err().to_string();
    assert!(message(b"something else").contains("does not begin"));
    assert!(message(&bytes[..bytes.len() - 1]).contains("cannot be read"));
    assert!(message(&[&bytes[..], &[0]].concat()).contains("1 bytes follow"));
}
