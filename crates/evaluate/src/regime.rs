//! When the rewards of an arm have changed.

use std::collections::VecDeque;
use std::sync::Arc;

use perennial_stats::adwin::{Adwin, delta_for};
use perennial_types::Timestamp;
use serde::{Deserialize, Serialize};

/// So many of the newest rewards of each arm can enter the next regime.
const REMEMBERED: usize = 1_000;
/// Rewards of an arm that never changes, to one false alarm.
const ONE_FALSE_ALARM_IN: u64 = 50_000;

/// A new regime has begun.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegimeChange {
    /// The arm whose rewards changed.
    pub arm: Arc<str>,
    /// The number of the new regime; the first one is 0.
    pub regime: u32,
    /// The maturity of the first reward that belongs to it.
    pub from: Timestamp,
    /// The maturity of the reward by which it was found.
    pub found_at: Timestamp,
    /// Mean reward of the arm before.
    pub mean_before: f64,
    /// Mean reward of the arm since.
    pub mean_after: f64,
}

/// The newest rewards of an arm, and the detector that watches them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recent {
    detector: Adwin,
    rewards: VecDeque<Counted>,
}

/// A reward that has counted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counted {
    /// Its number among the rewards of all arms.
    pub(crate) number: u64,
    /// When its prediction matured.
    pub(crate) matured_at: Timestamp,
    /// The hash of the sticky unit that it comes from.
    pub(crate) unit: Option<u64>,
    /// Scaled to 0…1.
    pub(crate) scaled: f64,
}

/// The rewards of one arm have changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shift {
    /// The first reward that the detector kept.
    pub(crate) from: Counted,
    /// Mean of the scaled rewards that it dropped.
    pub(crate) before: f64,
    /// Mean of the scaled rewards that it kept.
    pub(crate) after: f64,
}

impl Default for Recent {
    fn default() -> Self {
        Self { detector: Adwin::new(delta_for(ONE_FALSE_ALARM_IN)), rewards: VecDeque::new() }
    }
}

impl Recent {
    /// Take the next reward, and say whether the rewards have changed.
    pub(crate) fn push(&mut self, reward: Counted) -> Option<Shift> {
        if self.rewards.len() == REMEMBERED {
            self.rewards.pop_front();
        }
        self.rewards.push_back(reward);
        let change = self.detector.push(reward.scaled)?;
        let kept = self.rewards.len().min(change.width as usize);
        let from = *self.rewards.get(self.rewards.len() - kept)?;
        Some(Shift { from, before: change.mean_before, after: change.mean_after })
    }

    /// Forget the rewards before this number; the detector starts again with the others.
    pub(crate) fn restart(&mut self, from: u64) {
        self.rewards.retain(|reward| reward.number >= from);
        self.detector = Self::default().detector;
        for reward in &self.rewards {
            // What shows within them has just begun the regime.
            self.detector.push(reward.scaled);
        }
    }

    /// Those that are remembered, oldest first.
    pub(crate) fn rewards(&self) -> impl Iterator<Item = &Counted> {
        self.rewards.iter()
    }
}
