//! Which entities are looked at: some of them by hash, so that each is followed from its first event on.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// So many entities of a view are followed however small the share is.
const LEAST: usize = 100;
/// No more than these are followed.
const MOST: usize = 20_000;

/// A sample of the entities of a view by their draws, numbers that their keys give. What it takes gets less as
/// entities come, and never more: who is in it now has been in it since its first event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// The largest draw of the share.
    share: u64,
    /// The largest draw that is taken.
    limit: u64,
    /// The draws of the entities in it.
    draws: BTreeSet<u64>,
}

impl Sample {
    /// A share of the entities, from 0 to 1; all of them with 1.
    pub(crate) fn new(share: f64) -> Self {
        Self { share: largest(share), limit: u64::MAX, draws: BTreeSet::new() }
    }

    /// Whether it is of this share.
    pub(crate) fn of(&self, share: f64) -> bool {
        self.share == largest(share)
    }

    /// Whether an entity is in it.
    pub(crate) fn holds(&self, draw: u64) -> bool {
        draw <= self.limit
    }

    /// Whether an entity that has an event is in it.
    pub(crate) fn takes(&mut self, draw: u64) -> bool {
        if self.share == u64::MAX {
            return true;
        }
        if draw > self.limit || !self.draws.insert(draw) {
            return draw <= self.limit;
        }
        let beyond = |draws: &BTreeSet<u64>| {
            let last = draws.last().copied().unwrap_or_default();
            draws.len() > MOST || draws.len() > LEAST && last > self.share
        };
        while beyond(&self.draws) {
            self.draws.pop_last();
        }
        let last = self.draws.last().copied().unwrap_or_default();
        self.limit = match self.draws.len() {
            len if len < LEAST => u64::MAX,
            MOST.. => last,
            _ => last.max(self.share),
        };
        draw <= self.limit
    }
}

/// The largest draw of a share.
fn largest(share: f64) -> u64 {
    if share >= 1.0 { u64::MAX } else { (share * u64::MAX as f64) as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws as hashes are: spread over all of `u64`.
    fn draws(count: u64) -> impl Iterator<Item = u64> {
        (1..=count).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    #[test]
    fn few_entities_are_all_followed() {
        let mut sample = Sample::new(0.01);
        assert!(draws(LEAST as u64).all(|draw| sample.takes(draw)));
    }

    #[test]
    fn of_many_entities_a_share_is_followed() {
        let mut sample = Sample::new(0.01);
        for draw in draws(200_000) {
            sample.takes(draw);
        }
        let held = draws(200_000).filter(|draw| sample.holds(*draw)).count();
        assert!((1_900..=2_100).contains(&held), "{held}");
    }

    #[test]
    fn who_is_followed_was_followed_from_the_first_event_on() {
        let mut sample = Sample::new(0.5);
        let taken: Vec<bool> = draws(100_000).map(|draw| sample.takes(draw)).collect();
        let held: Vec<bool> = draws(100_000).map(|draw| sample.holds(draw)).collect();
        assert!(held.iter().zip(&taken).all(|(held, taken)| *taken || !*held));
        assert_eq!(held.iter().filter(|held| **held).count(), MOST);
        assert_eq!(sample.draws.len(), MOST);
    }
}
