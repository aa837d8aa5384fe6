//! Sources, views and events that the tests share.

use std::sync::Arc;

use perennial_features::{AggregateSpec, EntityKey, Event, NamedExpr, Op, Shard, Tail, View, ViewSpec};
use perennial_types::{Position, Schema, SourceSpec, TimeSpan, Timestamp, Value};
use proptest::prelude::*;

pub(crate) const SECOND: i64 = 1_000_000;

/// An event of the test source; times in microseconds.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) position: u64,
    pub(crate) time: i64,
    pub(crate) available_at: i64,
    pub(crate) row: Vec<Value>,
}

impl Sample {
    pub(crate) fn new(position: u64, time: i64, available_at: i64, key: i64, x: Option<f64>) -> Self {
        let x = x.map_or(Value::Null, Value::Double);
        let text = match &x {
            Value::Double(x) => Value::String(format!("{x:.0}").into()),
            _ => Value::Null,
        };
        let n = x.as_f64().map_or(Value::Null, |x| Value::Int64(x as i64));
        // A list of two doubles, or of one.
        let list = x.as_f64().map_or(Value::Null, |x| {
            let values = [Value::Double(x), Value::Double(x / 3.0)];
            Value::List(values[..1 + usize::from(x > 0.0)].into())
        });
        Self { position, time, available_at, row: vec![Value::Int64(key), x, n, text, list] }
    }

    pub(crate) fn event(&self) -> Event<'_> {
        Event {
            position: Position(self.position),
            source: "samples",
            row: &self.row,
            event_time: Timestamp::from_micros(self.time),
            available_at: Timestamp::from_micros(self.available_at),
        }
    }
}

pub(crate) fn source() -> SourceSpec {
    let columns =
        [("key", "int64"), ("x", "double?"), ("n", "int64?"), ("text", "string?"), ("list", "list<double>?")];
    SourceSpec::new("samples", Schema::parse(&columns).unwrap(), "at")
}

pub(crate) fn spans(windows: &[&str]) -> Vec<TimeSpan> {
    windows.iter().map(|window| TimeSpan::parse(window).unwrap()).collect()
}

pub(crate) fn aggregate(
    name: &str,
    ops: &[Op],
    of: Option<&str>,
    windows: &[&str],
    tail: Tail,
) -> AggregateSpec {
    AggregateSpec {
        name: name.into(),
        ops: ops.to_vec(),
        op_in_name: true,
        of: of.map(Into::into),
        with: None,
        by: None,
        edges: vec![],
        filter: None,
        windows: spans(windows).into_iter().map(Into::into).collect(),
        tail,
    }
}

pub(crate) fn spec(aggregates: Vec<AggregateSpec>) -> ViewSpec {
    ViewSpec {
        name: "v".into(),
        entity: vec!["key".into()],
        from: "samples".into(),
        columns: vec![],
        aggregates,
        derived: vec![],
    }
}

pub(crate) fn view(aggregates: Vec<AggregateSpec>) -> Arc<View> {
    View::compile(spec(aggregates), &source()).unwrap()
}

/// The ops whose bits the oracle computes, in the order of folds and merges.
pub(crate) const SIMPLE: [Op; 7] = [Op::Count, Op::Sum, Op::Avg, Op::Min, Op::Max, Op::Stddev, Op::Last];

pub(crate) const WINDOWS: [&str; 3] = ["1m", "10m", "1h"];

/// Simple ops over three windows (tiles of 1 s, 10 s and 1 min), with both tails, over a double, an integer
/// and a text, with a filter, a column and a derived feature.
pub(crate) fn wide_view() -> Arc<View> {
    let mut filtered = aggregate("big", &[Op::Count, Op::Sum], Some("x"), &["10m"], Tail::Hop);
    filtered.filter = Some("n > 50".into());
    let of_text = [Op::Count, Op::Min, Op::Max, Op::Last];
    let mut spec = spec(vec![
        aggregate("hop", &SIMPLE, Some("x"), &WINDOWS, Tail::Hop),
        aggregate("exact", &SIMPLE, Some("x"), &WINDOWS, Tail::Exact),
        aggregate("whole", &SIMPLE, Some("n"), &WINDOWS, Tail::Hop),
        aggregate("text", &of_text, Some("text"), &WINDOWS, Tail::Exact),
        aggregate("twice", &[Op::Sum], Some("squared"), &["1m"], Tail::Hop),
        filtered,
    ]);
    spec.columns = vec![NamedExpr { name: "squared".into(), expr: "x * x".into() }];
    spec.derived = vec![NamedExpr { name: "ratio".into(), expr: "hop_avg_1m / hop_avg_1h".into() }];
    View::compile(spec, &source()).unwrap()
}

pub(crate) fn key(key: i64) -> EntityKey {
    EntityKey::from_values(&[Value::Int64(key)])
}

pub(crate) fn apply_all(shard: &mut Shard, samples: &[Sample]) {
    for sample in samples {
        shard.apply(&sample.event(), |_| true);
    }
}

/// Read the features of key `of` at `at` microseconds.
pub(crate) fn read(shard: &Shard, view: &View, of: i64, at: i64) -> Vec<Value> {
    shard.read(view.version(), &key(of), Timestamp::from_micros(at)).values
}

/// Events in log order: gaps of up to half a minute with ties, mostly in time, some dated up to 5 minutes
/// ahead, some up to `latest` microseconds late, some without a value.
pub(crate) fn samples(latest: i64) -> impl Strategy<Value = Vec<Sample>> {
    let delay = prop_oneof![
        3 => Just(0),
        3 => 0..2 * SECOND,
        2 => 0..latest,
        1 => -300 * SECOND..0,
    ];
    let gap = prop_oneof![1 => Just(0), 4 => 0..2 * SECOND, 2 => 0..30 * SECOND, 1 => 0..400 * SECOND];
    let x = prop::option::weighted(0.9, -100.0..100.0_f64);
    prop::collection::vec((gap, delay, 0..3_i64, x), 1..150).prop_map(|drawn| {
        let mut now = 1_000_000 * SECOND;
        let mut samples = Vec::new();
        for (i, (gap, delay, key, x)) in drawn.into_iter().enumerate() {
            now += gap;
            samples.push(Sample::new(i as u64 + 1, now - delay, now, key, x));
        }
        samples
    })
}

/// Many events of one key in log order, with gaps of up to half a minute: mostly in time, some up to `latest`
/// microseconds late, some dated ahead.
pub(crate) fn busy(latest: i64) -> impl Strategy<Value = Vec<Sample>> {
    let delay = prop_oneof![5 => Just(0), 3 => 0..3 * SECOND, 1 => 0..latest, 1 => -20 * SECOND..0];
    let gap = prop_oneof![1 => Just(0), 3 => 0..2 * SECOND, 4 => 0..30 * SECOND];
    let x = -100.0..100.0_f64;
    prop::collection::vec((gap, delay, x), 200..500).prop_map(|drawn| {
        let mut now = 1_000_000 * SECOND;
        let mut samples = Vec::new();
        for (i, (gap, delay, x)) in drawn.into_iter().enumerate() {
            now += gap;
            samples.push(Sample::new(i as u64 + 1, now - delay, now, 0, Some(x)));
        }
        samples
    })
}
