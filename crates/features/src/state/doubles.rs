//! The usual lane, of doubles with nothing but sum, moments, extremes and count: what [`super::fold`] and
//! [`super::merge`] do to it, bit for bit, without asking of each part what it is.

use perennial_types::DataType;

use super::{Part, Slot};
use crate::timeline::Row;

/// Where the parts of such a lane lie in the row of a tile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doubles {
    mask: Option<usize>,
    event_word: usize,
    sum: Option<usize>,
    moments: Option<usize>,
    min: Option<usize>,
    max: Option<usize>,
    count: usize,
}

impl Doubles {
    /// The lanes of some slots that are such, and the slots of the others.
    pub(crate) fn split(slots: &[Slot]) -> (Vec<Self>, Vec<Slot>) {
        let (mut doubles, mut others) = (Vec::new(), Vec::new());
        for lane in slots.chunk_by(|a, b| a.lane == b.lane) {
            match Self::of_lane(lane) {
                Some(usual) => doubles.push(usual),
                None => others.extend_from_slice(lane),
            }
        }
        (doubles, others)
    }

    fn of_lane(slots: &[Slot]) -> Option<Self> {
        let usual = |slot: &Slot| {
            let part = matches!(slot.part, Part::Sum | Part::Moments | Part::Min | Part::Max | Part::Count);
            part && slot.data_type == DataType::Double && slot.inner.is_none()
        };
        let first = slots.first().filter(|_| slots.iter().all(usual))?;
        let word = |part| slots.iter().find(|slot| slot.part == part).map(|slot| slot.word);
        Some(Self {
            mask: first.mask,
            event_word: first.event_word,
            sum: word(Part::Sum),
            moments: word(Part::Moments),
            min: word(Part::Min),
            max: word(Part::Max),
            count: first.count,
        })
    }

    /// Fold an event into a tile.
    pub(crate) fn fold(&self, tile: &mut [u64], event: Row<'_>) {
        if !event.counts(self.mask) {
            return;
        }
        let value = f64::from_bits(event.words[self.event_word]);
        let count = tile[self.count];
        if let Some(at) = self.sum {
            tile[at] = (f64::from_bits(tile[at]) + value).to_bits();
        }
        if let Some(at) = self.moments {
            let mean = f64::from_bits(tile[at]);
            let moved = mean + (value - mean) / (count + 1) as f64;
            let squares = f64::from_bits(tile[at + 1]) + (value - mean) * (value - moved);
            tile[at] = moved.to_bits();
            tile[at + 1] = squares.to_bits();
        }
        self.keep(tile, value, value);
        tile[self.count] = count + 1;
    }

    /// Merge a tile of a later start into a tile.
    pub(crate) fn merge(&self, tile: &mut [u64], later: &[u64]) {
        let (count, more) = (tile[self.count], later[self.count]);
        if more == 0 {
            return;
        }
        if let Some(at) = self.sum {
            tile[at] = (f64::from_bits(tile[at]) + f64::from_bits(later[at])).to_bits();
        }
        if let Some(at) = self.moments {
            if count == 0 {
                (tile[at], tile[at + 1]) = (later[at], later[at + 1]);
            } else {
                let (mean, later_mean) = (f64::from_bits(tile[at]), f64::from_bits(later[at]));
                let (n, m) = (count as f64, more as f64);
                let (apart, share) = (later_mean - mean, m / (n + m));
                let squares = f64::from_bits(tile[at + 1]) + f64::from_bits(later[at + 1]);
                tile[at] = (mean + apart * share).to_bits();
                tile[at + 1] = (squares + apart * apart * (n * share)).to_bits();
            }
        }
        let extreme = |at: Option<usize>| at.map_or(0.0, |at| f64::from_bits(later[at]));
        self.keep(tile, extreme(self.min), extreme(self.max));
        tile[self.count] = count + more;
    }

    /// Keep a smallest and a largest value if they are beyond those that are kept.
    fn keep(&self, tile: &mut [u64], min: f64, max: f64) {
        let none = tile[self.count] == 0;
        if let Some(at) = self.min
            && (none || min.total_cmp(&f64::from_bits(tile[at])).is_lt())
        {
            tile[at] = min.to_bits();
        }
        if let Some(at) = self.max
            && (none || max.total_cmp(&f64::from_bits(tile[at])).is_gt())
        {
            tile[at] = max.to_bits();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::layout::{Lane, Layout, Wanted};
    use crate::timeline::Loose;
    use crate::{Op, Tail, ladder, state};

    fn layout() -> Layout {
        let lane = Lane { of: Some(0), data_type: DataType::Double, ..Lane::default() };
        let mut lanes = [lane.clone(), lane];
        let window = ladder::SHORTEST_WINDOW.into();
        let wanted = |(lane, op)| Wanted { lane, op, window, tail: Tail::Hop };
        let ops = [Op::Count, Op::Sum, Op::Stddev, Op::Min, Op::Max].map(|op| (0, op));
        let ops = ops.into_iter().chain([(1, Op::Max), (1, Op::Sum)]);
        Layout::new(&mut lanes, &ops.map(wanted).collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn lanes_of_doubles_have_the_bits_of_their_parts(
            tiles in prop::collection::vec(prop::collection::vec((0..4_u64, -1e3..1e3_f64, -2.0..2.0_f64), 0..20), 1..6),
        ) {
            let layout = layout();
            let (doubles, others) = Doubles::split(&layout.slots);
            prop_assert!(others.is_empty());
            let [mut all, mut all_parts] = [(); 2].map(|()| Loose::new(layout.tile));
            for events in tiles {
                let [mut tile, mut parts] = [(); 2].map(|()| Loose::new(layout.tile));
                for (mask, a, b) in events {
                    // The zeros have two signs.
                    let words = [mask, a.to_bits(), b.trunc().to_bits()];
                    let event = Row { words: &words, objects: &[] };
                    doubles.iter().for_each(|lane| lane.fold(tile.row_mut().words, event));
                    state::fold(&layout.slots, &mut parts.row_mut(), event, 0);
                    prop_assert_eq!(tile.row().words, parts.row().words);
                }
                doubles.iter().for_each(|lane| lane.merge(all.row_mut().words, tile.row().words));
                state::merge(&layout.slots, &mut all_parts.row_mut(), parts.row());
                prop_assert_eq!(all.row().words, all_parts.row().words);
            }
        }
    }

    #[test]
    fn other_lanes_have_no_short_cut() {
        let mut layout = layout();
        layout.slots[0].data_type = DataType::Int64;
        let (doubles, others) = Doubles::split(&layout.slots);
        assert_eq!((doubles.len(), others[0].lane), (1, layout.slots[0].lane));
        assert!(others.iter().all(|slot| slot.lane == others[0].lane));
    }
}
