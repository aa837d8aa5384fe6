//! The laws of merge.

use perennial_types::TimeSpan;
use proptest::prelude::*;

use super::*;
use crate::layout::{Lane, Layout, Wanted};
use crate::op::Takes;
use crate::timeline::Shape;
use crate::{Rank, Tail, ladder};

/// Every op that fits a type: in a lane of values, in one with a histogram, and in one with buckets.
struct Ops {
    lanes: Vec<Lane>,
    layout: Layout,
}

impl Ops {
    fn of(data_type: DataType) -> Self {
        let plain = Lane { of: Some(0), with: Some(0), data_type, with_type: data_type, ..Lane::default() };
        let histogram =
            Lane { of: Some(0), edges: Some([-10.0, 0.0, 500.0].into()), data_type, ..Lane::default() };
        let buckets = Lane { of: Some(0), by: Some(1), data_type, ..Lane::default() };
        let mut lanes = vec![plain, histogram, buckets];
        let span = TimeSpan::from_secs(30);
        let rank = Rank::new(0.5).unwrap();
        let single = Op::PLAIN.into_iter().chain([Op::DecayedSum(span), Op::Quantile(rank)]);
        let lists = [Op::FirstK(3), Op::LastK(3), Op::FirstDistinct(3), Op::LastDistinct(3)];
        let sorted = [Op::Top(3), Op::Bottom(3), Op::Frequent(3)];
        let fits = |op: &Op| op.takes() != Takes::Events && op.output_type(data_type).is_some();
        let mut wanted = Vec::new();
        for op in single.chain(lists).chain(sorted).filter(fits) {
            let lane = usize::from(op == Op::Histogram);
            wanted.push((lane, op));
            if lane == 0 && op.takes() != Takes::Pairs {
                wanted.push((2, op));
            }
        }
        let window = ladder::SHORTEST_WINDOW.into();
        let wanted: Vec<Wanted> =
            wanted.into_iter().map(|(lane, op)| Wanted { lane, op, window, tail: Tail::Hop }).collect();
        let layout = Layout::new(&mut lanes, &wanted);
        Self { lanes, layout }
    }

    /// The row of an event, which every lane counts; its bucket is the last digit of its time.
    fn event(&self, time: i64, value: &Value) -> (Vec<u64>, Vec<Option<Object>>) {
        let mut words = vec![0; self.layout.event.words];
        let mut objects = vec![None; self.layout.event.objects];
        words[0] = 0b111;
        for lane in &self.lanes {
            match value {
                Value::String(text) => objects[lane.event_object] = Some(Object::Text(text.clone())),
                value => words[lane.event_word] = encode(value).unwrap(),
            }
            if lane.with.is_some() {
                words[lane.event_with] = encode(value).unwrap() / 3;
            }
            if let Some(edges) = &lane.edges {
                let value = value.as_f64().unwrap_or_default();
                words[lane.event_with] = edges.partition_point(|edge| *edge <= value) as u64;
            }
            if lane.by.is_some() {
                objects[lane.event_by] = Some(Object::Text((time % 10).to_string().into()));
            }
        }
        (words, objects)
    }

    fn empty(&self) -> Tile {
        let Shape { words, objects } = self.layout.tile;
        Tile { words: vec![0; words], objects: vec![None; objects] }
    }

    fn tile(&self, events: &[(i64, Value)]) -> Tile {
        let mut tile = self.empty();
        for (time, value) in events {
            let (words, objects) = self.event(*time, value);
            let mut row = RowMut { words: &mut tile.words, objects: &mut tile.objects };
            fold(&self.layout.slots, &mut row, Row { words: &words, objects: &objects }, *time);
        }
        tile
    }

    fn merged(&self, tile: &Tile, later: &Tile) -> Tile {
        let mut tile = tile.clone();
        let mut row = RowMut { words: &mut tile.words, objects: &mut tile.objects };
        merge(&self.layout.slots, &mut row, Row { words: &later.words, objects: &later.objects });
        tile
    }

    fn values(&self, tile: &Tile) -> Vec<(Op, Value)> {
        let row = Row { words: &tile.words, objects: &tile.objects };
        let values = self.layout.windows[0].values.iter();
        values.map(|(_, op, slot)| (*op, value(*op, slot, row, 1_000))).collect()
    }

    /// Merged from the left, merged from the right, and all events folded in one tile.
    fn three_ways(&self, events: &[Vec<(i64, Value)>]) -> [Vec<(Op, Value)>; 3] {
        let tiles: Vec<Tile> = events.iter().map(|events| self.tile(events)).collect();
        let left = self.merged(&self.merged(&tiles[0], &tiles[1]), &tiles[2]);
        let right = self.merged(&tiles[0], &self.merged(&tiles[1], &tiles[2]));
        [left, right, self.tile(&events.concat())].map(|tile| self.values(&tile))
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Tile {
    words: Vec<u64>,
    objects: Vec<Option<Object>>,
}

/// Three tiles of events, the times of each after those of the one before.
fn three_tiles(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Vec<Vec<(i64, Value)>>> {
    let tile = prop::collection::vec((0..100_i64, value), 0..20);
    prop::collection::vec(tile, 3).prop_map(|mut tiles| {
        for (i, tile) in tiles.iter_mut().enumerate() {
            tile.iter_mut().for_each(|(time, _)| *time += 100 * i as i64);
        }
        tiles
    })
}

/// Whether additions of doubles are rounded, in an order that merges change.
fn rounded(op: Op, data_type: DataType) -> bool {
    match op {
        Op::Sum | Op::Avg => data_type == DataType::Double,
        Op::Stddev | Op::StddevPop | Op::Variance | Op::VariancePop | Op::Skew | Op::Kurtosis => true,
        Op::Covariance | Op::CovariancePop | Op::Correlation => true,
        Op::DecayedSum(_) | Op::DecayedRate(_) => true,
        _ => false,
    }
}

fn near(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Double(a), Value::Double(b)) => (a - b).abs() <= 1e-7 * (1.0 + a.abs()),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|((k, a), (l, b))| k == l && near(a, b))
        }
        (a, b) => a == b,
    }
}

proptest! {
    #[test]
    fn doubles_merge_associatively_up_to_rounding(events in three_tiles((-1e3..1e3).prop_map(Value::Double))) {
        let ops = Ops::of(DataType::Double);
        let [left, right, whole] = ops.three_ways(&events);
        for other in [right, whole] {
            for ((op, a), (_, b)) in left.iter().zip(other) {
                let same = if rounded(*op, DataType::Double) { near(a, &b) } else { *a == b };
                prop_assert!(same, "{}: {} and {}", op, a, b);
            }
        }
    }

    #[test]
    fn integers_merge_associatively_to_the_bit(events in three_tiles(any::<i64>().prop_map(Value::Int64))) {
        let ops = Ops::of(DataType::Int64);
        let [left, right, whole] = ops.three_ways(&events);
        for other in [right, whole] {
            for ((op, a), (_, b)) in left.iter().zip(other) {
                prop_assert!(rounded(*op, DataType::Int64) || *a == b, "{}: {} and {}", op, a, b);
            }
        }
    }

    #[test]
    fn texts_merge_associatively(events in three_tiles("[a-c]{0,2}".prop_map(|text| Value::String(text.into())))) {
        let ops = Ops::of(DataType::String);
        let [left, right, whole] = ops.three_ways(&events);
        prop_assert_eq!(&left, &right);
        prop_assert_eq!(&left, &whole);
    }

    #[test]
    fn the_empty_tile_is_the_identity_to_the_bit(events in three_tiles((-1e3..1e3).prop_map(Value::Double))) {
        let ops = Ops::of(DataType::Double);
        let (tile, empty) = (ops.tile(&events[0]), ops.empty());
        prop_assert_eq!(&ops.merged(&tile, &empty), &tile);
        prop_assert_eq!(&ops.merged(&empty, &tile), &tile);
    }

    #[test]
    fn a_saved_tile_is_the_same_to_the_bit(events in three_tiles((-1e3..1e3).prop_map(Value::Double))) {
        let tile = Ops::of(DataType::Double).tile(&events.concat());
        let saved = postcard::to_allocvec(&tile.objects).unwrap();
        prop_assert_eq!(postcard::from_bytes::<Vec<Option<Object>>>(&saved).unwrap(), tile.objects);
    }
}

#[test]
fn of_equal_times_the_last_to_arrive_is_last_and_the_first_is_first() {
    let ops = Ops::of(DataType::Int64);
    let tile =
        ops.tile(&[(5, Value::Int64(1)), (5, Value::Int64(2)), (5, Value::Int64(3)), (4, Value::Int64(4))]);
    let values = ops.values(&tile);
    let list = |values: &[i64]| Value::List(values.iter().map(|value| Value::Int64(*value)).collect());
    assert!(values.contains(&(Op::Last, Value::Int64(3))));
    assert!(values.contains(&(Op::First, Value::Int64(4))));
    assert!(values.contains(&(Op::FirstK(3), list(&[4, 1, 2]))));
    assert!(values.contains(&(Op::LastK(3), list(&[1, 2, 3]))));
}

#[test]
fn of_too_many_buckets_the_same_hundred_are_kept_however_tiles_are_merged() {
    let ops = Ops::of(DataType::Int64);
    let tile = |range: std::ops::Range<i64>| {
        let mut tile = ops.empty();
        for i in range {
            let (words, mut objects) = ops.event(i, &Value::Int64(i));
            objects[ops.lanes[2].event_by] = Some(Object::Text(format!("bucket {}", i % 300).into()));
            let mut row = RowMut { words: &mut tile.words, objects: &mut tile.objects };
            fold(&ops.layout.slots, &mut row, Row { words: &words, objects: &objects }, i);
        }
        tile
    };
    let sums = |tile: &Tile| {
        let mut maps = ops.values(tile).into_iter().filter(|(op, _)| *op == Op::Sum);
        match maps.nth(1) {
            Some((_, Value::Map(sums))) => sums,
            other => panic!("no map of sums: {other:?}"),
        }
    };
    let merged = sums(&ops.merged(&tile(0..400), &tile(400..900)));
    assert!(merged == sums(&tile(0..900)));
    assert_eq!(merged.len(), 100);
    for (text, sum) in merged.iter() {
        let i: i64 = text.strip_prefix("bucket ").unwrap().parse().unwrap();
        assert_eq!(*sum, Value::Int64(i + (i + 300) + (i + 600)), "{text}");
    }
}
