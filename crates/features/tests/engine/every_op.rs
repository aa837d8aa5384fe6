//! Every op over every kind of window: values by definition, bits by replay.

use std::sync::Arc;

use perennial_features::point_in_time::{Mode, Query, replay};
use perennial_features::{AggregateSpec, Event, Op, Rank, Shard, Tail, View, WindowSpec, shard_of, skew};
use perennial_types::{Position, TimeSpan, Timestamp, Value};
use proptest::prelude::*;

use crate::definition::{self, Counted, EDGES, Wanted};
use crate::setup::{SECOND, Sample, aggregate, apply_all, key, read, samples, source, spec};

/// One of each kind, and two lengths of what is made of tiles.
fn windows() -> Vec<WindowSpec> {
    let span = TimeSpan::from_secs;
    vec![
        WindowSpec::Sliding(span(60)),
        WindowSpec::Sliding(span(3600)),
        WindowSpec::Tumbling(span(60)),
        WindowSpec::Tumbling(span(1200)),
        WindowSpec::Session(span(120)),
        WindowSpec::Lifetime,
        WindowSpec::Last(4),
        WindowSpec::Last(40),
    ]
}

/// Every op but those of pairs and histograms.
fn single_ops() -> Vec<Op> {
    let other = [Op::Covariance, Op::CovariancePop, Op::Correlation, Op::Histogram];
    let mut ops: Vec<Op> = Op::PLAIN.into_iter().filter(|op| !other.contains(op)).collect();
    let span = TimeSpan::from_secs(90);
    ops.extend([Op::DecayedSum(span), Op::DecayedRate(span)]);
    ops.extend([0.0, 0.5, 0.95].into_iter().filter_map(Rank::new).map(Op::Quantile));
    ops
}

fn list_ops() -> Vec<Op> {
    vec![
        Op::FirstK(3),
        Op::LastK(3),
        Op::FirstDistinct(3),
        Op::LastDistinct(3),
        Op::Top(3),
        Op::Bottom(3),
        Op::Frequent(3),
    ]
}

fn of_text() -> Vec<Op> {
    let single =
        [Op::Count, Op::Min, Op::Max, Op::First, Op::Last, Op::SinceLast, Op::Distinct, Op::ApproxDistinct];
    [single.to_vec(), list_ops()].concat()
}

/// An aggregate, and the column it is of.
fn declared(name: &str, column: usize, ops: &[Op], tail: Tail) -> (usize, AggregateSpec) {
    let names = ["key", "x", "n", "text", "list"];
    let mut spec = aggregate(name, ops, Some(names[column]), &["1m"], tail);
    spec.windows = windows();
    (column, spec)
}

fn aggregates() -> Vec<(usize, AggregateSpec)> {
    let of_pairs = [Op::Covariance, Op::CovariancePop, Op::Correlation];
    let mut pairs = declared("pairs", 1, &of_pairs, Tail::Exact);
    pairs.1.with = Some("n".into());
    let mut filtered = declared("some", 1, &single_ops(), Tail::Exact);
    filtered.1.filter = Some("x > 0".into());
    let mut histogram = declared("bins", 1, &[Op::Histogram], Tail::Exact);
    histogram.1.edges = EDGES.to_vec();
    let mut buckets = declared("buckets", 1, &single_ops(), Tail::Exact);
    buckets.1.by = Some("n % 3".into());
    let all = [single_ops(), list_ops()].concat();
    vec![
        declared("exact", 1, &all, Tail::Exact),
        declared("hop", 1, &single_ops(), Tail::Hop),
        declared("whole", 2, &all, Tail::Exact),
        declared("text", 3, &of_text(), Tail::Exact),
        declared("list", 4, &[Op::Count, Op::Avg, Op::SinceLast], Tail::Exact),
        pairs,
        filtered,
        histogram,
        buckets,
    ]
}

pub(crate) fn view() -> Arc<View> {
    let aggregates = aggregates().into_iter().map(|(_, aggregate)| aggregate).collect();
    View::compile(spec(aggregates), &source()).unwrap()
}

/// The events of a key before `at`, in order of event time, of equal times in that of coming to count.
fn before(samples: &[Sample], key: i64, at: i64) -> Vec<&Sample> {
    let mut before: Vec<&Sample> =
        samples.iter().filter(|s| s.row[0] == Value::Int64(key) && s.time < at).collect();
    before.sort_by_key(|s| (s.time, s.time.max(s.available_at), s.time >= s.available_at, s.position));
    before
}

/// Those that an aggregate counts over a window, by the definition of the window.
fn counted<'a>(
    before: &[&'a Sample],
    column: usize,
    spec: &AggregateSpec,
    window: WindowSpec,
    at: i64,
) -> Vec<&'a Sample> {
    let counts = |s: &&&Sample| {
        let filtered = spec.filter.is_none() || s.row[1].as_f64().is_some_and(|x| x > 0.0);
        filtered && !s.row[column].null()
    };
    let between = |start: i64, end: i64| {
        let inside = before.iter().filter(counts).filter(|s| s.time >= start && s.time < end);
        inside.copied().collect::<Vec<_>>()
    };
    match window {
        WindowSpec::Sliding(span) => {
            let (start, hop) = (at - span.micros(), View::hop(span).micros());
            between(if spec.tail == Tail::Hop { start.div_euclid(hop) * hop } else { start }, at)
        }
        WindowSpec::Tumbling(span) => {
            let end = at.div_euclid(span.micros()) * span.micros();
            between(end - span.micros(), end)
        }
        WindowSpec::Lifetime => between(i64::MIN, at),
        WindowSpec::Session(gap) => between(session_start(before, gap.micros(), at), at),
        WindowSpec::Last(count) => {
            let all = between(i64::MIN, at);
            all[all.len().saturating_sub(count.into())..].to_vec()
        }
    }
}

/// The start of the session that is not over at `at`; `at` where there is none.
fn session_start(before: &[&Sample], gap: i64, at: i64) -> i64 {
    let mut start = at;
    for sample in before.iter().rev() {
        if sample.time < start - gap {
            break;
        }
        start = sample.time;
    }
    start
}

fn wanted(spec: &AggregateSpec, column: usize, op: Op, events: &[&Sample], at: i64) -> Wanted {
    let counted = |s: &&Sample| Counted {
        time: s.time,
        value: s.row[column].clone(),
        with: s.row[2].as_f64().unwrap_or(0.0),
    };
    if spec.by.is_none() {
        let events: Vec<Counted> = events.iter().map(counted).collect();
        return definition::value(op, &events, at);
    }
    let bucket = |s: &Sample| match s.row[2] {
        Value::Int64(n) => (n % 3).to_string(),
        ref other => panic!("{other} has no bucket"),
    };
    let events: Vec<(String, Counted)> = events.iter().map(|s| (bucket(s), counted(s))).collect();
    definition::by_text(op, &events, at)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_value_is_what_its_definition_says(samples in samples(5000 * SECOND), ahead in 0..4000 * SECOND) {
        let view = view();
        let mut shard = Shard::new(vec![view.clone()]);
        apply_all(&mut shard, &samples);
        for at in [samples.last().unwrap().available_at, samples.last().unwrap().available_at + ahead] {
            for key in 0..3 {
                let before = before(&samples, key, at);
                let mut found = read(&shard, &view, key, at).into_iter().zip(view.outputs().columns());
                for (column, spec) in aggregates() {
                    let events: Vec<Vec<&Sample>> =
                        windows().iter().map(|window| counted(&before, column, &spec, *window, at)).collect();
                    for op in &spec.ops {
                        for events in &events {
                            let wanted = wanted(&spec, column, *op, events, at);
                            let (found, output) = found.next().unwrap();
                            prop_assert!(wanted.met_by(&found), "{}: {} for {:?}", output.name, found, wanted);
                            let fits = found.data_type().is_none_or(|found| {
                                found == output.data_type || found.nested()
                            });
                            prop_assert!(fits, "{} is {}, found {}", output.name, output.data_type, found);
                        }
                    }
                }
                prop_assert!(found.next().is_none());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

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
