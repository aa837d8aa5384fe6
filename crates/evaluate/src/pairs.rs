//! Two versions that scored the same requests.

use perennial_stats::PairedMoments;
use perennial_stats::paired::{self, NotWorse, PairedError};
use perennial_types::{Position, Timestamp};
use serde::{Deserialize, Serialize};

use crate::waiting::Waiting;

/// Pairs below which nobody says which of two versions is better.
pub const LEAST_PAIRS: u64 = 24;

/// The losses of two versions on the same labelled requests, counted from when each request matures.
///
/// Memory is that of the requests whose label window is open; closed ones are folded into their moments in the
/// order of maturity and position. A label that comes after its window closed is folded when it comes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pairs {
    waiting: Waiting<(f64, f64)>,
    closed: PairedMoments,
    unusable: u64,
}

/// What matured pairs say of a candidate and the version it is held against.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedEvidence {
    /// How many pairs have matured.
    pub rows: u64,
    /// How many pairs were left out because a loss was not finite.
    pub unusable: u64,
    /// Mean loss of the candidate; nothing without pairs.
    pub mean_candidate: Option<f64>,
    /// Mean loss of the reference; nothing without pairs.
    pub mean_reference: Option<f64>,
    /// `mean_candidate / mean_reference − 1`, so that more is worse; nothing if the reference has no loss.
    pub relative_change: Option<f64>,
    /// The probability that the candidate's expected loss is the lower one: the normal posterior of the mean
    /// difference under a flat prior. Nothing below [`LEAST_PAIRS`] pairs.
    pub probability_better: Option<f64>,
    moments: PairedMoments,
}

impl Pairs {
    /// Take the losses of both versions on the labelled request at `position`, which matures at `matured_at`.
    /// A pair with a loss that is not finite is left out and counted.
    pub fn labelled(&mut self, matured_at: Timestamp, position: Position, candidate: f64, reference: f64) {
        if candidate.is_finite() && reference.is_finite() {
            self.waiting.insert(matured_at, position, (candidate, reference));
        } else {
            self.unusable += 1;
        }
    }

    /// Fold what has matured at `now`. It changes no evidence, only the memory that is needed.
    pub fn mature(&mut self, now: Timestamp) {
        while let Some((_, (candidate, reference))) = self.waiting.next_matured(now) {
            self.closed.push(candidate, reference);
        }
    }

    /// From now on count only pairs that were not folded yet: of a comparison that begins with them.
    pub fn forget_matured(&mut self) {
        self.closed = PairedMoments::default();
        self.unusable = 0;
    }

    /// What the pairs that have matured at `now` say.
    pub fn evidence(&self, now: Timestamp) -> PairedEvidence {
        let mut moments = self.closed;
        for (candidate, reference) in self.waiting.matured(now) {
            moments.push(*candidate, *reference);
        }
        let known = |figure: f64| (moments.n > 0).then_some(figure);
        let mut better = moments.difference(1.0);
        better.mean = -better.mean;
        PairedEvidence {
            rows: moments.n,
            unusable: self.unusable,
            mean_candidate: known(moments.mean_a),
            mean_reference: known(moments.mean_b),
            relative_change: known(moments.mean_a / moments.mean_b - 1.0).filter(|change| change.is_finite()),
            probability_better: (moments.n >= LEAST_PAIRS)
                .then(|| paired::probability_positive(&better))
                .flatten(),
            moments,
        }
    }

    /// How many pairs wait for their maturity.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

impl PairedEvidence {
    /// Whether the pairs prove the candidate worse than the reference by more than the margin of `test`.
    ///
    /// # Errors
    /// When margin or confidence are out of range.
    pub fn not_worse(&self, test: NotWorse) -> Result<paired::Evidence, PairedError> {
        paired::not_worse_from(&self.moments, test)
    }
}

#[cfg(test)]
mod tests {
    use perennial_types::TimeSpan;
    use proptest::prelude::*;

    use super::*;

    fn minute(minutes: i64) -> Timestamp {
        Timestamp::from_micros(0) + TimeSpan::from_secs(60 * minutes)
    }

    #[test]
    fn pairs_count_from_their_maturity() {
        let mut pairs = Pairs::default();
        pairs.labelled(minute(10), Position(1), 1.0, 2.0);
        pairs.labelled(minute(20), Position(2), 5.0, 2.0);
        assert_eq!(pairs.evidence(minute(9)).rows, 0);
        assert_eq!(pairs.evidence(minute(9)).relative_change, None);
        let first = pairs.evidence(minute(10));
        assert_eq!((first.rows, first.relative_change, first.probability_better), (1, Some(-0.5), None));
        let both = pairs.evidence(minute(20));
        assert_eq!((both.mean_candidate, both.mean_reference), (Some(3.0), Some(2.0)));
        assert_eq!(both.relative_change, Some(0.5));
    }

    #[test]
    fn a_loss_that_is_not_finite_is_counted_and_left_out() {
        let mut pairs = Pairs::default();
        pairs.labelled(minute(0), Position(1), f64::INFINITY, 2.0);
        pairs.labelled(minute(0), Position(2), 1.0, 1.0);
        let evidence = pairs.evidence(minute(0));
        assert_eq!((evidence.rows, evidence.unusable), (1, 1));
    }

    #[test]
    fn a_reference_without_loss_has_no_relative_change() {
        let mut pairs = Pairs::default();
        pairs.labelled(minute(0), Position(1), 1.0, 0.0);
        assert_eq!(pairs.evidence(minute(0)).relative_change, None);
    }

    #[test]
    fn which_is_better_is_said_from_24_pairs_on() {
        let mut pairs = Pairs::default();
        for i in 0..LEAST_PAIRS {
            assert_eq!(pairs.evidence(minute(1_000)).probability_better, None);
            // The candidate is better by 0.5 on average, with a standard deviation of about 1.
            pairs.labelled(minute(i as i64), Position(i), (i % 3) as f64, 1.5);
        }
        let evidence = pairs.evidence(minute(1_000));
        // Differences 1.5, 0.5, −0.5, eight times each: the mean is 0.5, its standard error √(16/23/24).
        let expected = 0.998_342; // scipy 1.17.1: norm.cdf(0.5 / sqrt(16 / 23 / 24))
        assert!((evidence.probability_better.unwrap() - expected).abs() < 1e-5, "{evidence:?}");
        let test = NotWorse { margin: 0.0, confidence: 0.9 };
        assert!(!evidence.not_worse(test).unwrap().proven_worse);
    }

    proptest! {
        #[test]
        fn neither_the_order_of_labels_nor_the_time_of_folding_changes_a_bit(
            rows in prop::collection::vec((0..50_i64, 0.0..10.0_f64, 0.0..10.0_f64), 0..40),
            looks in prop::collection::vec(0..60_i64, 0..5),
        ) {
            let mut plain = Pairs::default();
            for (i, (at, a, b)) in rows.iter().enumerate() {
                plain.labelled(minute(*at), Position(i as u64), *a, *b);
            }
            let mut folded = Pairs::default();
            for (i, (at, a, b)) in rows.iter().enumerate().rev() {
                folded.labelled(minute(*at), Position(i as u64), *a, *b);
            }
            let mut looks = looks;
            looks.sort_unstable();
            for look in looks {
                folded.mature(minute(look));
                prop_assert_eq!(folded.evidence(minute(look)), plain.evidence(minute(look)));
            }
            let (bytes, end) = (postcard::to_stdvec(&folded).unwrap(), minute(60));
            let mut read: Pairs = postcard::from_bytes(&bytes).unwrap();
            read.mature(end);
            prop_assert_eq!(read.waiting(), 0);
            prop_assert_eq!(read.evidence(end), plain.evidence(end));
        }
    }
}
