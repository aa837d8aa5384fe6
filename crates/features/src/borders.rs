//! Borders as they were computed last.

use crate::ladder::floor;
use crate::layout::Layout;

/// The start of the open tile and the borders of all layers, of the key before. Keys that are applied one after the
/// other have about one time, so that the next one mostly has the same, and needs no division.
#[derive(Clone, Debug)]
pub(crate) struct Borders {
    base: Multiple,
    layers: Vec<Multiple>,
}

/// A multiple of a size, and the times that it is the floor of.
#[derive(Clone, Copy, Debug)]
struct Multiple {
    size: i64,
    start: i64,
}

impl Borders {
    pub(crate) fn new(layout: &Layout) -> Self {
        let layers = (0..layout.layers.len()).map(|layer| Multiple::new(layout.border_size(layer)));
        Self { base: Multiple::new(layout.base()), layers: layers.collect() }
    }

    /// As [`floor`] by the size of the smallest tiles.
    pub(crate) fn base(&mut self, time: i64) -> i64 {
        self.base.floor(time)
    }

    /// As [`Layout::border`].
    pub(crate) fn border(&mut self, layout: &Layout, layer: usize, upkeep: i64) -> i64 {
        self.layers[layer].floor(upkeep.saturating_sub(layout.layers[layer].reach))
    }
}

impl Multiple {
    fn new(size: i64) -> Self {
        Self { size, start: i64::MIN }
    }

    fn floor(&mut self, time: i64) -> i64 {
        // The first multiple there is may be cut short, or be that of the size without end.
        let cut = self.start == i64::MIN;
        if cut || time.checked_sub(self.start).is_none_or(|apart| !(0..self.size).contains(&apart)) {
            self.start = floor(time, self.size);
        }
        self.start
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ladder::ETERNITY;

    proptest! {
        #[test]
        fn a_kept_multiple_is_the_floor_of_every_time(
            size in 1..100_i64,
            times in prop::collection::vec(prop_oneof![-500..500_i64, any::<i64>()], 1..50),
        ) {
            let mut multiple = Multiple::new(size);
            for time in times {
                prop_assert_eq!(multiple.floor(time), floor(time, size));
            }
            prop_assert_eq!(Multiple::new(ETERNITY).floor(5), floor(5, ETERNITY));
        }
    }
}
