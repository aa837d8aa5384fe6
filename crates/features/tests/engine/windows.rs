//! What a read gives: bits against the oracle, the edges of windows, late and future events.

use perennial_features::{Op, Shard, Tail, View, WindowSpec};
use perennial_types::{TimeSpan, Value};
use proptest::prelude::*;

use crate::oracle::Question;
use crate::setup::{
    SECOND, SIMPLE, Sample, WINDOWS, aggregate, apply_all, busy, read, samples, source, spans, view,
    wide_view,
};

const MINUTE: i64 = 60 * SECOND;

/// The oracle's answers for the first four aggregates of [`wide_view`], with the ops they belong to.
fn expected(samples: &[Sample], key: i64, at: i64) -> Vec<(Op, Value)> {
    let windows = spans(&WINDOWS);
    let of_text = [Op::Count, Op::Min, Op::Max, Op::Last];
    let aggregates: [(usize, Tail, &[Op]); 4] = [
        (1, Tail::Hop, &SIMPLE),
        (1, Tail::Exact, &SIMPLE),
        (2, Tail::Hop, &SIMPLE),
        (3, Tail::Exact, &of_text),
    ];
    let mut expected = Vec::new();
    for (column, tail, ops) in aggregates {
        let by_window: Vec<Vec<Value>> = windows
            .iter()
            .map(|window| {
                Question { samples, key, column, window: *window, tail, windows: &windows, at }.answer(ops)
            })
            .collect();
        for (i, op) in ops.iter().enumerate() {
            expected.extend(by_window.iter().map(|values| (*op, values[i].clone())));
        }
    }
    expected
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn reads_are_the_oracles_bits(samples in samples(50 * SECOND), ahead in 0..4000 * SECOND) {
        let view = wide_view();
        let mut shard = Shard::new(vec![view.clone()]);
        for (i, sample) in samples.iter().enumerate() {
            shard.apply(&sample.event(), |_| true);
            let last = i + 1 == samples.len();
            for at in [sample.available_at, sample.available_at + ahead] {
                if i % 7 == 3 || last {
                    let key = i as i64 % 3;
                    let values = read(&shard, &view, key, at);
                    for (j, (_, value)) in expected(&samples[..=i], key, at).iter().enumerate() {
                        let name = &view.outputs().columns()[j].name;
                        prop_assert_eq!(&values[j], value, "{} after {} events at {}", name, i + 1, at);
                    }
                }
            }
        }
    }

    #[test]
    fn reads_of_a_busy_key_are_the_oracles_bits(samples in busy(50 * SECOND), ahead in 0..40 * SECOND) {
        let view = wide_view();
        let mut shard = Shard::new(vec![view.clone()]);
        for (i, sample) in samples.iter().enumerate() {
            shard.apply(&sample.event(), |_| true);
            for at in [sample.available_at, sample.available_at + ahead] {
                if i % 40 == 33 {
                    let values = read(&shard, &view, 0, at);
                    for (j, (_, value)) in expected(&samples[..=i], 0, at).iter().enumerate() {
                        let name = &view.outputs().columns()[j].name;
                        prop_assert_eq!(&values[j], value, "{} after {} events at {}", name, i + 1, at);
                    }
                }
            }
        }
    }

    #[test]
    fn a_loaded_key_merges_again_what_a_busy_one_has_merged(samples in busy(5000 * SECOND), ahead in 0..4000 * SECOND) {
        let view = wide_view();
        let mut shard = Shard::new(vec![view.clone()]);
        for (i, sample) in samples.iter().enumerate() {
            shard.apply(&sample.event(), |_| true);
            if i % 40 == 33 {
                let loaded = Shard::load(vec![view.clone()], &shard.save()).unwrap();
                for at in [sample.available_at, sample.available_at + ahead] {
                    prop_assert_eq!(read(&shard, &view, 0, at), read(&loaded, &view, 0, at));
                }
            }
        }
    }

    #[test]
    fn events_of_any_lateness_count_where_they_belong(samples in samples(5000 * SECOND)) {
        let view = wide_view();
        let mut shard = Shard::new(vec![view.clone()]);
        apply_all(&mut shard, &samples);
        let at = samples.last().unwrap().available_at;
        for key in 0..3 {
            let values = read(&shard, &view, key, at);
            for (j, (op, value)) in expected(&samples, key, at).iter().enumerate() {
                let name = &view.outputs().columns()[j].name;
                match (op, &values[j], value) {
                    // The order of additions is another after tiles were merged: equal up to rounding.
                    (Op::Sum | Op::Avg | Op::Stddev, Value::Double(found), Value::Double(wanted)) => {
                        prop_assert!((found - wanted).abs() < 1e-9, "{}: {} for {}", name, found, wanted);
                    }
                    (_, found, wanted) => prop_assert_eq!(found, wanted, "{}", name),
                }
            }
        }
    }
}

fn count_view(tail: Tail) -> std::sync::Arc<View> {
    view(vec![aggregate("c", &[Op::Count], None, &["1m"], tail)])
}

#[test]
fn hop_reaches_back_to_the_start_of_the_far_tile_and_exact_does_not() {
    let at = 100 * MINUTE + 500_000;
    let samples = [
        Sample::new(1, at - MINUTE - 500_001, at - MINUTE, 0, None),
        Sample::new(2, at - MINUTE - 500_000, at - MINUTE, 0, None),
        Sample::new(3, at - MINUTE - 1, at - MINUTE, 0, None),
        Sample::new(4, at - MINUTE, at - MINUTE, 0, None),
    ];
    assert_eq!(View::hop(TimeSpan::from_secs(60)), TimeSpan::from_secs(1));
    for (tail, count) in [(Tail::Hop, 3), (Tail::Exact, 1)] {
        let view = count_view(tail);
        let mut shard = Shard::new(vec![view.clone()]);
        apply_all(&mut shard, &samples);
        assert_eq!(read(&shard, &view, 0, at), [Value::Int64(count)], "{tail:?}");
    }
}

#[test]
fn the_far_end_of_a_hop_window_stands_still_for_a_hop_and_then_jumps_by_it() {
    let view = count_view(Tail::Hop);
    let mut shard = Shard::new(vec![view.clone()]);
    let tenth = SECOND / 10;
    let mut counts = Vec::new();
    for i in 0..1_000_i64 {
        let at = 100 * MINUTE + i * tenth;
        if i >= 700 {
            counts.push(read(&shard, &view, 0, at)[0].as_f64().unwrap() as i64);
        }
        apply_all(&mut shard, &[Sample::new(i.unsigned_abs() + 1, at, at, 0, None)]);
    }
    // A minute holds 600 such events; the window begins up to a second, a sixtieth of it, earlier.
    let teeth: Vec<i64> = (0..300).map(|i| 600 + i % 10).collect();
    assert_eq!(counts, teeth);
}

fn windowed(windows: Vec<WindowSpec>) -> std::sync::Arc<View> {
    let mut spec = aggregate("c", &[Op::Count], None, &["1m"], Tail::Hop);
    spec.windows = windows;
    view(vec![spec])
}

#[test]
fn a_tumbling_window_is_the_last_complete_one_and_takes_late_events() {
    let view = windowed(vec![WindowSpec::Tumbling(TimeSpan::from_secs(600))]);
    let mut shard = Shard::new(vec![view.clone()]);
    let at = |minute: i64| 600 * MINUTE + minute * MINUTE;
    let count = |shard: &Shard, time: i64| read(shard, &view, 0, time)[0].clone();
    apply_all(&mut shard, &[Sample::new(1, at(1), at(1), 0, None), Sample::new(2, at(9), at(9), 0, None)]);
    assert_eq!(count(&shard, at(10) - 1), Value::Int64(0));
    assert_eq!(count(&shard, at(10)), Value::Int64(2));
    apply_all(&mut shard, &[Sample::new(3, at(12), at(12), 0, None), Sample::new(4, at(5), at(13), 0, None)]);
    assert_eq!(count(&shard, at(20) - 1), Value::Int64(3));
    assert_eq!(count(&shard, at(20)), Value::Int64(1));
    assert_eq!(count(&shard, at(30)), Value::Int64(0));
    assert_eq!(shard.late_events(view.version()), 1);
}

#[test]
fn a_late_event_joins_two_sessions() {
    let view = windowed(vec![WindowSpec::Session(TimeSpan::from_secs(60))]);
    let mut shard = Shard::new(vec![view.clone()]);
    let count = |shard: &Shard, time: i64| read(shard, &view, 0, time)[0].clone();
    let at = |second: i64| 100 * MINUTE + second * SECOND;
    let first = [0, 30, 130].map(|second| Sample::new(second as u64 + 1, at(second), at(second), 0, None));
    apply_all(&mut shard, &first);
    assert_eq!(count(&shard, at(131)), Value::Int64(1));
    apply_all(&mut shard, &[Sample::new(200, at(80), at(140), 0, None)]);
    assert_eq!(count(&shard, at(141)), Value::Int64(4));
    assert_eq!(count(&shard, at(190)), Value::Int64(4));
    assert_eq!(count(&shard, at(190) + 1), Value::Int64(0), "it is over");
}

#[test]
fn no_event_is_too_late_for_a_lifetime() {
    let view = windowed(vec![WindowSpec::Lifetime]);
    let mut shard = Shard::new(vec![view.clone()]);
    let days = |days: i64| days * 24 * 60 * MINUTE;
    let samples: Vec<Sample> =
        (1..400).map(|day| Sample::new(day as u64, days(day), days(day), 0, None)).collect();
    apply_all(&mut shard, &samples);
    apply_all(&mut shard, &[Sample::new(400, -days(5), days(400), 0, None)]);
    assert_eq!(read(&shard, &view, 0, days(400) + 1), [Value::Int64(400)]);
    assert_eq!((shard.late_events(view.version()), shard.unreachable_events(view.version())), (1, 0));
    assert!(shard.save().len() < 300, "a lifetime is a few tiles: {}", shard.save().len());
}

#[test]
fn an_event_at_the_instant_of_the_read_is_excluded() {
    for tail in [Tail::Hop, Tail::Exact] {
        let view = count_view(tail);
        let mut shard = Shard::new(vec![view.clone()]);
        apply_all(
            &mut shard,
            &[Sample::new(1, MINUTE, MINUTE, 0, None), Sample::new(2, MINUTE - 1, MINUTE, 0, None)],
        );
        assert_eq!(read(&shard, &view, 0, MINUTE), [Value::Int64(1)]);
        assert_eq!(read(&shard, &view, 0, MINUTE + 1), [Value::Int64(2)]);
    }
}

#[test]
fn a_future_event_waits_until_its_time_has_passed() {
    let view = view(vec![aggregate("x", &[Op::Last], Some("x"), &["1h"], Tail::Hop)]);
    let mut shard = Shard::new(vec![view.clone()]);
    let samples = [
        Sample::new(1, 30 * MINUTE, 10 * MINUTE, 0, Some(3.0)),
        Sample::new(2, 20 * MINUTE, 20 * MINUTE, 0, Some(2.0)),
    ];
    apply_all(&mut shard, &samples);
    assert_eq!(read(&shard, &view, 0, 25 * MINUTE), [Value::Double(2.0)]);
    assert_eq!(read(&shard, &view, 0, 30 * MINUTE), [Value::Double(2.0)]);
    assert_eq!(read(&shard, &view, 0, 30 * MINUTE + 1), [Value::Double(3.0)]);
    assert_eq!(shard.late_events(view.version()), 0);
}

#[test]
fn late_events_are_counted_and_unreachable_ones_apart() {
    let view = count_view(Tail::Hop);
    let mut shard = Shard::new(vec![view.clone()]);
    let now = 100 * MINUTE;
    apply_all(
        &mut shard,
        &[
            Sample::new(1, now - 2 * SECOND, now, 0, None),
            Sample::new(2, now - 9 * SECOND, now, 0, None),
            Sample::new(3, now - 90 * SECOND, now, 0, None),
        ],
    );
    assert_eq!(shard.late_events(view.version()), 2);
    assert_eq!(shard.unreachable_events(view.version()), 1);
    assert_eq!(read(&shard, &view, 0, now), [Value::Int64(2)]);
}

#[test]
fn an_unknown_key_counts_nothing_and_knows_nothing() {
    let view = wide_view();
    let shard = Shard::new(vec![view.clone()]);
    for (value, column) in read(&shard, &view, 9, MINUTE).iter().zip(view.outputs().columns()) {
        let wanted = if column.nullable { Value::Null } else { Value::Int64(0) };
        assert_eq!(*value, wanted, "{}", column.name);
    }
}

#[test]
fn an_integer_sum_beyond_64_bits_is_null_and_comes_back_when_the_window_moves_on() {
    let view = view(vec![aggregate("n", &[Op::Sum], Some("n"), &["1m"], Tail::Exact)]);
    let mut shard = Shard::new(vec![view.clone()]);
    for (position, n) in [(1, i64::MAX), (2, 1)] {
        let mut sample = Sample::new(position, position as i64 * SECOND, position as i64 * SECOND, 0, None);
        sample.row[2] = Value::Int64(n);
        shard.apply(&sample.event(), |_| true);
    }
    assert_eq!(read(&shard, &view, 0, 3 * SECOND), [Value::Null]);
    assert_eq!(read(&shard, &view, 0, MINUTE + 2 * SECOND), [Value::Int64(1)]);
}

#[test]
fn a_filter_a_column_and_a_derived_feature_are_what_they_say() {
    let view = wide_view();
    let mut shard = Shard::new(vec![view.clone()]);
    let samples = [
        Sample::new(1, MINUTE, MINUTE, 0, Some(60.0)),
        Sample::new(2, 50 * MINUTE, 50 * MINUTE, 0, Some(20.0)),
        Sample::new(3, 50 * MINUTE, 50 * MINUTE, 0, Some(70.0)),
    ];
    apply_all(&mut shard, &samples);
    let values = read(&shard, &view, 0, 50 * MINUTE + 1);
    let value = |name: &str| values[view.outputs().index_of(name).unwrap()].clone();
    assert_eq!(value("v.big_count_10m"), Value::Int64(1));
    assert_eq!(value("v.big_sum_10m"), Value::Double(70.0));
    assert_eq!(value("v.twice_sum_1m"), Value::Double(5300.0));
    assert_eq!(value("v.ratio"), Value::Double(45.0 / 50.0));
}

#[test]
fn a_busy_key_takes_about_what_the_estimate_says() {
    let view = view(vec![aggregate("x", &[Op::Sum], Some("x"), &["1m", "1h"], Tail::Hop)]);
    let mut shard = Shard::new(vec![view.clone()]);
    let samples: Vec<Sample> = (1..8000)
        .map(|i| Sample::new(i, i as i64 * SECOND, i as i64 * SECOND, 0, Some(1e300 / i as f64)))
        .collect();
    apply_all(&mut shard, &samples);
    let saved = shard.save().len() as u64;
    let estimate = view.bytes_per_key();
    assert!(saved < estimate && estimate < 3 * saved, "{estimate} estimated, {saved} saved");
    assert_eq!(source().retention, TimeSpan::from_days(400));
}
