//! What sticky units have earned, each by itself.

use std::collections::BTreeMap;

use perennial_types::hash64;
use serde::{Deserialize, Serialize};

/// Units of an arm that are told apart. With so many clusters a variance is known to two percent, and more of them
/// would make it no better.
const MOST_CLUSTERS: usize = 8_192;
/// Tells the hashes of units from other hashes.
const UNIT: u64 = 0x6561_726e_6572;

/// Rewards by the unit that they come from.
///
/// Units are known by a hash. Where they are more than [`MOST_CLUSTERS`], those whose hashes begin alike are counted
/// as one: groups of independent units are as independent as the units, so what is said of groups holds, and
/// memory has a bound. Which units are grouped follows from the units alone, not from their order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Units {
    /// Bits that the hashes have lost at their ends.
    shift: u32,
    /// By hash: how many rewards, and their sum.
    totals: BTreeMap<u64, (u64, f64)>,
}

/// The hash of a unit.
pub(crate) fn hash_of(unit: &str) -> u64 {
    hash64(UNIT, &[unit])
}

impl Units {
    /// Take a reward of the unit with this hash.
    pub(crate) fn push(&mut self, unit: u64, reward: f64) {
        let (rows, sum) = self.totals.entry(unit >> self.shift).or_default();
        *rows += 1;
        *sum += reward;
        while self.totals.len() > MOST_CLUSTERS {
            self.group();
        }
    }

    /// Count those together whose hashes differ in the last bit only.
    fn group(&mut self) {
        self.shift += 1;
        for (unit, (more, sum)) in std::mem::take(&mut self.totals) {
            let total = self.totals.entry(unit >> 1).or_default();
            total.0 += more;
            total.1 += sum;
        }
    }

    /// How many rewards each unit or group of units has, and their sum, in the order of hashes.
    pub(crate) fn totals(&self) -> impl Iterator<Item = (u64, f64)> + Clone {
        self.totals.values().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(units: impl Iterator<Item = u32>) -> Units {
        let mut totals = Units::default();
        units.for_each(|unit| totals.push(hash_of(&unit.to_string()), f64::from(unit % 7)));
        totals
    }

    #[test]
    fn memory_is_bounded_and_no_reward_is_lost() {
        let units = of((0..60_000).chain(0..10_000));
        assert!((MOST_CLUSTERS / 2..=MOST_CLUSTERS).contains(&units.totals.len()));
        assert_eq!(units.totals().map(|(rows, _)| rows).sum::<u64>(), 70_000);
    }

    #[test]
    fn which_units_are_grouped_does_not_depend_on_their_order() {
        let count = MOST_CLUSTERS as u32 + 500;
        let (forwards, backwards) = (of(0..count), of((0..count).rev()));
        assert!(forwards.shift > 0);
        // The sums are of whole numbers, so their order changes no bit.
        assert_eq!(forwards, backwards);
        assert_eq!(of(0..count - 600).shift, 0);
    }
}
