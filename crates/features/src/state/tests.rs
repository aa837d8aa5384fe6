//! The laws of merge.

use perennial_types::TimeSpan;
use proptest::prelude::*;

use super::*;
use crate::layout::{Lane, Layout, Wanted};
use crate::op::Takes;
use crate::{Rank, Tail, ladder};

/// A layout with every op over one lane.
fn layout(data_type: DataType) -> Layout {
    let mut lanes = [Lane { of: Some(0), with: Some(0), data_type, with_type: data_type, ..Lane::default() }];
    let span = TimeSpan::from_secs(30);
    let rank = Rank::new(0.5).unwrap();
    let ops = Op::PLAIN.into_iter().chain([Op::DecayedSum(span), Op::Quantile(rank)]);
    let ops = ops.filter(|op| op.takes() != Takes::Events && op.output_type(data_type).is_some());
    let span = ladder::SHORTEST_WINDOW;
    let wanted: Vec<Wanted> = ops.map(|op| Wanted { lane: 0, op, span, tail: Tail::Hop }).collect();
    Layout::new(&mut lanes, &wanted)
}

#[derive(Clone, Debug, PartialEq)]
struct Tile {
    words: Vec<u64>,
    objects: Vec<Option<Object>>,
}

impl Tile {
    fn empty(layout: &Layout) -> Self {
        Self { words: vec![0; layout.tile.words], objects: vec![None; layout.tile.objects] }
    }

    fn of(layout: &Layout, events: &[(i64, Value)]) -> Self {
        let mut tile = Self::empty(layout);
        for (time, value) in events {
            let mut words = vec![1];
            let mut objects = vec![];
            match value {
                Value::String(text) => objects.push(Some(Object::Text(text.clone()))),
                other => words.extend([encode(other).unwrap(), encode(other).unwrap() / 3]),
            }
            let mut row = RowMut { words: &mut tile.words, objects: &mut tile.objects };
            fold(&layout.slots, &mut row, Row { words: &words, objects: &objects }, *time);
        }
        tile
    }

    fn merged(&self, layout: &Layout, later: &Self) -> Self {
        let mut tile = self.clone();
        let mut row = RowMut { words: &mut tile.words, objects: &mut tile.objects };
        merge(&layout.slots, &mut row, Row { words: &later.words, objects: &later.objects });
        tile
    }

    fn values(&self, layout: &Layout) -> Vec<(Op, Value)> {
        let row = Row { words: &self.words, objects: &self.objects };
        layout.windows[0].values.iter().map(|(_, op, slot)| (*op, value(*op, slot, row, 1_000))).collect()
    }
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

/// Merge from the left, merge from the right, and fold all events in one tile.
fn three_ways(layout: &Layout, events: &[Vec<(i64, Value)>]) -> [Tile; 3] {
    let tiles: Vec<Tile> = events.iter().map(|events| Tile::of(layout, events)).collect();
    let left = tiles[0].merged(layout, &tiles[1]).merged(layout, &tiles[2]);
    let right = tiles[0].merged(layout, &tiles[1].merged(layout, &tiles[2]));
    [left, right, Tile::of(layout, &events.concat())]
}

/// Whether additions of doubles are rounded, in an order that merges change.
fn rounded(op: Op) -> bool {
    let exact = [Op::Min, Op::Max, Op::First, Op::Last, Op::Distinct, Op::ApproxDistinct];
    !(exact.contains(&op) || matches!(op, Op::Quantile(_)))
}

proptest! {
    #[test]
    fn doubles_merge_associatively_up_to_rounding(events in three_tiles((-1e3..1e3).prop_map(Value::Double))) {
        let layout = layout(DataType::Double);
        let [left, right, whole] = three_ways(&layout, &events);
        for other in [right, whole] {
            for ((op, a), (_, b)) in left.values(&layout).iter().zip(other.values(&layout)) {
                match (op, a, &b) {
                    (op, Value::Double(a), Value::Double(b)) if rounded(*op) => {
                        prop_assert!((a - b).abs() <= 1e-7 * (1.0 + a.abs()), "{}: {} and {}", op, a, b);
                    }
                    (_, a, b) => prop_assert_eq!(a, b, "{:?}", op),
                }
            }
        }
    }

    #[test]
    fn integers_merge_associatively_to_the_bit(events in three_tiles(any::<i64>().prop_map(Value::Int64))) {
        let layout = layout(DataType::Int64);
        let [left, right, whole] = three_ways(&layout, &events);
        for other in [right, whole] {
            for ((op, a), (_, b)) in left.values(&layout).into_iter().zip(other.values(&layout)) {
                if !rounded(op) || matches!(op, Op::Sum | Op::Avg) {
                    prop_assert_eq!(a, b, "{:?}", op);
                }
            }
        }
    }

    #[test]
    fn texts_merge_associatively(events in three_tiles("[a-c]{0,2}".prop_map(|text| Value::String(text.into())))) {
        let layout = layout(DataType::String);
        let [left, right, whole] = three_ways(&layout, &events);
        prop_assert_eq!(&left, &right);
        prop_assert_eq!(&left, &whole);
    }

    #[test]
    fn the_empty_tile_is_the_identity_to_the_bit(events in three_tiles((-1e3..1e3).prop_map(Value::Double))) {
        let layout = layout(DataType::Double);
        let (tile, empty) = (Tile::of(&layout, &events[0]), Tile::empty(&layout));
        prop_assert_eq!(&tile.merged(&layout, &empty), &tile);
        prop_assert_eq!(&empty.merged(&layout, &tile), &tile);
    }
}

#[test]
fn of_equal_times_the_last_to_arrive_is_last() {
    let layout = layout(DataType::Int64);
    let tile = Tile::of(&layout, &[(5, Value::Int64(1)), (5, Value::Int64(2)), (4, Value::Int64(3))]);
    assert!(tile.values(&layout).contains(&(Op::Last, Value::Int64(2))));
}
