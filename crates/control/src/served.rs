//! Losses of two versions on the requests that each of them answered.

use perennial_stats::Moments;
use perennial_stats::posterior::{Normal, probability_best};
use perennial_types::{Position, Timestamp};
use serde::{Deserialize, Serialize};

/// For endpoints whose outcomes depend on the answers: what was not answered has no outcome to compare.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Served {
    /// Open label windows in the order of maturity and position: whether the candidate answered, and its loss.
    waiting: Vec<(Timestamp, Position, bool, f64)>,
    candidate: Moments,
    reference: Moments,
}

impl Served {
    pub(crate) fn labelled(&mut self, key: (Timestamp, Position), candidate: bool, loss: f64) {
        if loss.is_finite() {
            let place = self.waiting.partition_point(|(at, position, ..)| (*at, *position) < key);
            self.waiting.insert(place, (key.0, key.1, candidate, loss));
        }
    }

    pub(crate) fn mature(&mut self, now: Timestamp) {
        (self.candidate, self.reference) = self.moments(now);
        let matured = self.waiting.partition_point(|(at, ..)| *at <= now);
        self.waiting.drain(..matured);
    }

    pub(crate) fn forget_matured(&mut self) {
        (self.candidate, self.reference) = Default::default();
    }

    /// Of the candidate and of the reference, matured at `now`.
    pub(crate) fn moments(&self, now: Timestamp) -> (Moments, Moments) {
        let (mut candidate, mut reference) = (self.candidate, self.reference);
        for (_, _, by_candidate, loss) in self.waiting.iter().take_while(|(at, ..)| *at <= now) {
            if *by_candidate { &mut candidate } else { &mut reference }.push(*loss);
        }
        (candidate, reference)
    }

    /// That the candidate's expected loss is below `(1 + margin)` times the reference's: normal posteriors of
    /// the means under a flat prior. Nothing below two rows of either.
    pub(crate) fn probability_better(candidate: &Moments, reference: &Moments, margin: f64) -> Option<f64> {
        let posterior = |moments: &Moments, factor: f64| {
            let sd = moments.standard_error()? * factor;
            Some(Normal { mean: -moments.mean * factor, sd })
        };
        let arms = [posterior(candidate, 1.0)?, posterior(reference, 1.0 + margin)?];
        probability_best(&arms).ok().and_then(|best| best.first().copied())
    }
}
