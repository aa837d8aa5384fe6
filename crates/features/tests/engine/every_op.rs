//! Every op over every kind of window: values by definition, bits by replay.

use std::sync::Arc;

use perennial_features::point_in_time::{Mode, Query, replay};
use perennial_features::{AggregateSpec, Event, Op, Rank, Shard, Tail, View, shard_of, skew};
use perennial_types::{Position, TimeSpan, Timestamp, Value};
use proptest::prelude::*;

use crate::definition::{self, Counted};
use crate::setup::{SECOND, Sample, aggregate, apply_all, key, read, samples, source, spans, spec};

const WINDOWS: [&str; 3] = ["1m", "10m", "1h"];

/// The ops that fit a column, of which `text` is a text.
fn ops(text: bool) -> Vec<Op> {
    let mut ops: Vec<Op> = Op::PLAIN
        .into_iter()
        .filter(|op| !matches!(op, Op::Covariance | Op::CovariancePop | Op::Correlation))
        .collect();
    let span = TimeSpan::from_secs(90);
    ops.extend([Op::DecayedSum(span), Op::DecayedRate(span)]);
    ops.extend([0.0, 0.5, 0.95].into_iter().filter_map(Rank::new).map(Op::Quantile));
    if text {
        let fits = [Op::Count, Op::Min, Op::Max, Op::First, Op::Last, Op::SinceLast];
        ops.retain(|op| fits.contains(op) || matches!(op, Op::Distinct | Op::ApproxDistinct));
    }
    ops
}

/// What is declared over one column, with the column it is of and, for pairs, the second.
fn aggregates() -> Vec<(usize, AggregateSpec)> {
    let mut pairs = aggregate(
        "pairs",
        &[Op::Covariance, Op::CovariancePop, Op::Correlation],
        Some("x"),
        &WINDOWS,
        Tail::Exact,
    );
    pairs.with = Some("n".into());
    let mut filtered = aggregate("some", &ops(false), Some("x"), &WINDOWS, Tail::Exact);
    filtered.filter = Some("x > 0".into());
    vec![
        (1, aggregate("exact", &ops(false), Some("x"), &WINDOWS, Tail::Exact)),
        (2, aggregate("whole", &ops(false), Some("n"), &WINDOWS, Tail::Exact)),
        (3, aggregate("text", &ops(true), Some("text"), &WINDOWS, Tail::Exact)),
        (1, pairs),
        (1, filtered),
        (1, aggregate("hop", &ops(false), Some("x"), &WINDOWS, Tail::Hop)),
    ]
}

fn view() -> Arc<View> {
    let aggregates = aggregates().into_iter().map(|(_, aggregate)| aggregate).collect();
    View::compile(spec(aggregates), &source()).unwrap()
}

/// The events that count for an aggregate over a window at `at`, in order of event time.
fn counted(
    samples: &[Sample],
    key: i64,
    column: usize,
    spec: &AggregateSpec,
    start: i64,
    at: i64,
) -> Vec<Counted> {
    let mut inside: Vec<&Sample> = samples
        .iter()
        .filter(|s| s.row[0] == Value::Int64(key) && !s.row[column].null())
        .filter(|s| s.time >= start && s.time < at)
        .filter(|s| spec.filter.is_none() || s.row[1].as_f64().is_some_and(|x| x > 0.0))
        .collect();
    // The order of coming to count, within that of event time.
    inside.sort_by_key(|s| (s.time, s.time.max(s.available_at), s.time >= s.available_at, s.position));
    let counted = |s: &&Sample| Counted {
        time: s.time,
        value: s.row[column].clone(),
        with: s.row[2].as_f64().unwrap_or(0.0),
    };
    inside.iter().map(counted).collect()
}

fn start(spec: &AggregateSpec, window: TimeSpan, at: i64) -> i64 {
    let start = at - window.micros();
    match spec.tail {
        Tail::Exact => start,
        Tail::Hop => start.div_euclid(View::hop(window).micros()) * View::hop(window).micros(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_value_is_what_its_definition_says(samples in samples(5000 * SECOND), ahead in 0..4000 * SECOND) {
        let view = view();
        let mut shard = Shard::new(vec![view.clone()]);
        apply_all(&mut shard, &samples);
        let at = samples.last().unwrap().available_at + ahead;
        for key in 0..3 {
            let mut found = read(&shard, &view, key, at).into_iter().zip(view.outputs().columns());
            for (column, spec) in aggregates() {
                for op in &spec.ops {
                    for window in spans(&WINDOWS) {
                        let start = start(&spec, window, at);
                        let events = counted(&samples, key, column, &spec, start, at);
                        let wanted = definition::value(*op, &events, at);
                        let (found, output) = found.next().unwrap();
                        prop_assert!(wanted.met_by(&found), "{}: {} for {:?}", output.name, found, wanted);
                    }
                }
            }
            prop_assert!(found.next().is_none());
        }
    }

    #[test]
    fn replay_gives_every_served_bit_whatever_the_shards_and_restarts(
        samples in samples(5000 * SECOND),
        shards in 1..4_usize,
        restart in 0..150_usize,
    ) {
        let view = view();
        let mut live: Vec<Shard> = (0..shards).map(|_| Shard::new(vec![view.clone()])).collect();
        let mut queries = Vec::new();
        let mut served = Vec::new();
        for (i, sample) in samples.iter().enumerate() {
            if i == restart {
                for shard in &mut live {
                    *shard = Shard::load(vec![view.clone()], &shard.save()).unwrap();
                }
            }
            for (i, shard) in live.iter_mut().enumerate() {
                shard.apply(&sample.event(), |key| shard_of(key, shards) == i);
            }
            let of = key(i as i64 % 3);
            let at = Timestamp::from_micros(sample.available_at);
            let reading = live[shard_of(&of, shards)].read(view.version(), &of, at);
            queries.push(Query { key: of, at, seen: Position(sample.position) });
            served.push(reading.values);
        }
        let events: Vec<Event<'_>> = samples.iter().map(Sample::event).collect();
        let replayed = replay(&view, &events, &queries, Mode::AsServed);
        for (served, replayed) in served.iter().zip(&replayed) {
            prop_assert_eq!(skew::compare(&view, served, replayed), vec![]);
        }
    }
}
