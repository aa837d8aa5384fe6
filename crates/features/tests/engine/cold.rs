//! Keys that leave memory and come back change no bit, and what is held is what there is.

use std::collections::BTreeMap;

use perennial_features::{Batch, EntityKey, Event, KeyState, Leaving, ReadRoom, Reading, Shard, View};
use perennial_types::Timestamp;
use proptest::prelude::*;

use crate::every_op;
use crate::setup::{SECOND, Sample, key, samples, wide_view};

/// Where the keys go.
#[derive(Default)]
struct Elsewhere(BTreeMap<EntityKey, Vec<u8>>);

impl Elsewhere {
    fn keep(&mut self, key: &EntityKey, leaving: Leaving<'_>) {
        match leaving {
            Leaving::State { bytes, known, expires } => {
                assert!(expires > 0);
                assert_eq!(self.0.insert(key.clone(), bytes.to_vec()).is_some(), known);
            }
            Leaving::Unchanged => assert!(self.0.contains_key(key)),
            Leaving::Expired { known } => assert_eq!(self.0.remove(key).is_some(), known),
        }
    }

    fn apply(&self, shard: &mut Shard, view: &View, events: &[Event<'_>]) {
        let mut batch = Batch::default();
        batch.fill(view, events, 1);
        let mut fetch =
            |key: &EntityKey| self.0.get(key).map(|bytes| KeyState::decode(view, key, bytes).unwrap());
        shard.apply_fetching(view.version(), &batch, 0, &mut fetch);
    }

    fn read(&self, shard: &Shard, view: &View, key: &EntityKey, at: Timestamp) -> Reading {
        let mut reading = shard.read(view.version(), key, at);
        if reading.absent()
            && let Some(bytes) = self.0.get(key)
        {
            let (state, seen) = (KeyState::decode(view, key, bytes).unwrap(), reading.seen);
            state.read_into(view, at, seen, &mut ReadRoom::default(), &mut reading);
        }
        reading
    }
}

#[derive(Clone, Copy, Debug)]
enum Move {
    /// Free so many bytes.
    Cold(u64),
    Changed,
}

fn moves() -> impl Strategy<Value = Vec<(usize, Move)>> {
    let one = prop_oneof![2 => (1..3_000_u64).prop_map(Move::Cold), 1 => Just(Move::Changed)];
    prop::collection::vec((1..12_usize, one), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn keys_that_leave_and_come_back_change_no_bit(
        samples in samples(5000 * SECOND),
        moves in moves(),
        every in any::<bool>(),
    ) {
        let view = if every { every_op::view() } else { wide_view() };
        let (mut whole, mut part) = [(); 2].map(|()| Shard::new(vec![view.clone()])).into();
        let mut elsewhere = Elsewhere::default();
        let mut rest = samples.as_slice();
        for (events, moved) in moves {
            let (now, after) = rest.split_at(events.min(rest.len()));
            rest = after;
            let events: Vec<Event<'_>> = now.iter().map(Sample::event).collect();
            whole.apply_batch(&events, |_| true);
            elsewhere.apply(&mut part, &view, &events);
            match moved {
                Move::Cold(bytes) => {
                    // The first look passes over those that were used.
                    for _ in 0..2 {
                        part.take_cold(view.version(), bytes, |key, leaving| elsewhere.keep(key, leaving));
                    }
                }
                Move::Changed => {
                    let mut from = Some(0);
                    while let Some(next) = from {
                        from = part.take_changed(view.version(), next, 2, |key, leaving| {
                            elsewhere.keep(key, leaving);
                        });
                    }
                }
            }
            if let Some(last) = now.last() {
                let at = Timestamp::from_micros(last.available_at);
                for of in 0..4 {
                    let (expected, found) = (
                        whole.read(view.version(), &key(of), at),
                        elsewhere.read(&part, &view, &key(of), at),
                    );
                    prop_assert_eq!(format!("{:?}", expected.values), format!("{:?}", found.values));
                    prop_assert_eq!(expected.seen, found.seen);
                }
            }
        }
        let (whole, part) = (whole.counters(view.version()), part.counters(view.version()));
        prop_assert_eq!(whole, part);
    }

    #[test]
    fn nothing_is_held_once_all_keys_have_left(samples in samples(100 * SECOND)) {
        let view = wide_view();
        let mut shard = Shard::new(vec![view.clone()]);
        let events: Vec<Event<'_>> = samples.iter().map(Sample::event).collect();
        shard.apply_batch(&events, |_| true);
        let held = shard.holding(view.version());
        prop_assert!(held.bytes as usize > held.keys * 200);
        let mut left = 0;
        for _ in 0..2 {
            shard.take_cold(view.version(), u64::MAX, |_, _| left += 1);
        }
        prop_assert_eq!(left, held.keys);
        prop_assert_eq!(shard.holding(view.version()), perennial_features::Holding::default());
    }
}

#[test]
fn the_key_that_was_used_last_stays() {
    let view = wide_view();
    let mut shard = Shard::new(vec![view.clone()]);
    let at = |i: i64| 1_000_000 * SECOND + i;
    let sample = |i: i64, key| Sample::new(i as u64, at(i), at(i), key, Some(1.0));
    for key in 0..50 {
        shard.apply(&sample(key + 1, key).event(), |_| true);
    }
    // All were used: the first look passes over them.
    let free = |shard: &mut Shard, bytes| {
        let mut left = Vec::new();
        shard.take_cold(view.version(), bytes, |key, _| left.push(key.clone()));
        left
    };
    let first = free(&mut shard, 1);
    assert_eq!(first.len(), 1);
    shard.read(view.version(), &key(7), Timestamp::from_micros(at(100)));
    shard.apply(&sample(101, 9).event(), |_| true);
    let half = shard.holding(view.version()).bytes / 2;
    let left = free(&mut shard, half);
    assert!(left.len() >= 20 && !left.contains(&key(7)) && !left.contains(&key(9)), "{left:?}");
}

#[test]
fn a_key_whose_events_no_window_reaches_is_forgotten() {
    let view = wide_view();
    let mut shard = Shard::new(vec![view.clone()]);
    let at = |hour: i64| (1_000_000 + 3_600 * hour) * SECOND;
    let sample = |i: u64, hour, key| Sample::new(i, at(hour), at(hour), key, Some(1.0));
    shard.apply(&sample(1, 0, 1).event(), |_| true);
    let mut gone = Vec::new();
    let mut sweep = |shard: &mut Shard| {
        shard.take_changed(view.version(), 0, 100, |key, leaving| {
            if matches!(leaving, Leaving::Expired { .. }) {
                gone.push(key.clone());
            }
        });
        gone.len()
    };
    // The longest window is of an hour.
    shard.apply(&sample(2, 1, 2).event(), |_| true);
    assert_eq!(sweep(&mut shard), 0);
    shard.apply(&sample(3, 5, 2).event(), |_| true);
    assert_eq!(sweep(&mut shard), 1);
    assert_eq!((shard.keys(view.version()), gone), (1, vec![key(1)]));
}

#[test]
fn bytes_that_are_no_state_of_the_view_are_refused_with_the_key_and_the_view() {
    let view = wide_view();
    let mut shard = Shard::new(vec![view.clone()]);
    let time = 1_000_000 * SECOND;
    shard.apply(&Sample::new(1, time, time, 5, Some(1.0)).event(), |_| true);
    let mut bytes = Vec::new();
    shard.take_changed(view.version(), 0, 10, |_, leaving| {
        if let Leaving::State { bytes: state, .. } = leaving {
            bytes = state.to_vec();
        }
    });
    assert!(KeyState::decode(&view, &key(5), &bytes).is_ok());
    for cut in 0..bytes.len() {
        let error = KeyState::decode(&view, &key(5), &bytes[..cut]).unwrap_err();
        assert!(error.to_string().contains("the state of key=5 in view \"v\""), "{error}");
    }
}
