//! Two models scored on the same rows.

use perennial_types::Kind;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use crate::moments::Moments;
use crate::paired_moments::PairedMoments;

/// What must be proven before a candidate is refused.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotWorse {
    /// How much worse is still allowed, relative to the current loss: 0.05 allows five percent. Not negative.
    pub margin: f64,
    /// One-sided confidence of the proof, between 0 and 1.
    pub confidence: f64,
}

/// What the pairs say about `candidate_i − (1 + margin) · current_i`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// How many pairs.
    pub rows: u64,
    /// Mean loss of the candidate; nothing without pairs.
    pub mean_candidate: Option<f64>,
    /// Mean loss of the current version; nothing without pairs.
    pub mean_current: Option<f64>,
    /// Mean of the differences; nothing without pairs.
    pub mean_difference: Option<f64>,
    /// Standard error of the mean difference; nothing below two pairs, zero if all differences are equal.
    pub standard_error: Option<f64>,
    /// Lower one-sided bound of the mean difference; nothing below two pairs, the mean itself if all
    /// differences are equal.
    pub bound: Option<f64>,
    /// Whether the bound lies above zero. Below two pairs nothing is proven.
    pub proven_worse: bool,
}

/// Input that no test can be made of.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum PairedError {
    /// The losses are not in pairs.
    #[error("{candidate} losses of the candidate are paired with {current} of the current version")]
    NotPaired {
        /// Losses of the candidate.
        candidate: usize,
        /// Losses of the current version.
        current: usize,
    },
    /// A loss, or the difference of two, is not finite.
    #[error(
        "the losses of row {row} are {candidate} (candidate) and {current} (current version); every loss and their difference must be finite"
    )]
    NotFinite {
        /// The row, counted from 0.
        row: usize,
        /// Its loss under the candidate.
        candidate: f64,
        /// Its loss under the current version.
        current: f64,
    },
    /// A figure of the moments is not finite.
    #[error(
        "of {rows} pairs of losses the means are {candidate} (candidate) and {current} (current version); every loss must be finite before it is added"
    )]
    NotFiniteMoments {
        /// How many pairs.
        rows: u64,
        /// Mean loss of the candidate.
        candidate: f64,
        /// Mean loss of the current version.
        current: f64,
    },
    /// The confidence is not between 0 and 1.
    #[error("confidence {0} is not between 0 and 1")]
    Confidence(f64),
    /// The margin is negative or not finite.
    #[error("margin {0} is not a number from 0 up")]
    Margin(f64),
}

impl PairedError {
    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NotPaired { .. }
            | Self::NotFinite { .. }
            | Self::NotFiniteMoments { .. }
            | Self::Confidence(_)
            | Self::Margin(_) => Kind::Invalid,
        }
    }
}

/// Whether losses on the same rows prove the candidate worse than the current version by more than the margin.
///
/// With `d_i = candidate_i − (1 + margin) · current_i`, it is proven if the lower one-sided Student-t bound
/// `mean(d) − t(confidence, n − 1) · sd(d) / √n` lies above zero. If the candidate's expected loss is
/// exactly at the margin, that happens with probability `1 − confidence` (exactly for normal differences,
/// Student 1908; nearly for others, by the central limit theorem). Sums go in the order of the rows.
///
/// # Errors
/// When the slices differ in length, a loss is not finite, or margin or confidence are out of range.
pub fn not_worse(candidate: &[f64], current: &[f64], test: NotWorse) -> Result<Evidence, PairedError> {
    test.check()?;
    let differences = differences(candidate, current, test.margin)?;
    let mean_difference = mean(&differences);
    let standard_error = mean_difference.and_then(|mean| standard_error(&differences, mean));
    let bound = bound(mean_difference, standard_error, differences.len() as u64, test.confidence);
    Ok(Evidence {
        rows: differences.len() as u64,
        mean_candidate: mean(candidate),
        mean_current: mean(current),
        mean_difference,
        standard_error,
        bound,
        proven_worse: bound.is_some_and(|bound| bound > 0.0),
    })
}

/// What [`not_worse`] says, up to rounding, where only the moments of the pairs (candidate, current) were kept.
///
/// # Errors
/// When a figure of the moments is not finite, or margin or confidence are out of range.
pub fn not_worse_from(pairs: &PairedMoments, test: NotWorse) -> Result<Evidence, PairedError> {
    test.check()?;
    if !pairs.finite() {
        let (rows, candidate, current) = (pairs.n, pairs.mean_a, pairs.mean_b);
        return Err(PairedError::NotFiniteMoments { rows, candidate, current });
    }
    let difference = pairs.difference(1.0 + test.margin);
    let known = |figure: f64| (pairs.n > 0).then_some(figure);
    let standard_error = difference.standard_error();
    let bound = bound(known(difference.mean), standard_error, pairs.n, test.confidence);
    Ok(Evidence {
        rows: pairs.n,
        mean_candidate: known(pairs.mean_a),
        mean_current: known(pairs.mean_b),
        mean_difference: known(difference.mean),
        standard_error,
        bound,
        proven_worse: bound.is_some_and(|bound| bound > 0.0),
    })
}

/// The probability that the mean behind these differences is positive: `Φ(mean / standard error)`, the normal
/// posterior under a flat prior. Give `reward of the candidate − reward of the current version`, and it is the
/// probability that the candidate is better. Nothing below two rows, or when a figure is not finite; 0, 1/2
/// or 1 if all differences are equal.
pub fn probability_positive(differences: &Moments) -> Option<f64> {
    let error = differences.standard_error()?;
    if !(error.is_finite() && differences.mean.is_finite()) {
        return None;
    }
    if error > 0.0 {
        return Some(Normal::standard().cdf(differences.mean / error));
    }
    Some(if differences.mean == 0.0 { 0.5 } else { f64::from(differences.mean > 0.0) })
}

impl NotWorse {
    fn check(self) -> Result<(), PairedError> {
        if !(self.confidence > 0.0 && self.confidence < 1.0) {
            return Err(PairedError::Confidence(self.confidence));
        }
        if !(self.margin >= 0.0 && self.margin.is_finite()) {
            return Err(PairedError::Margin(self.margin));
        }
        Ok(())
    }
}

fn bound(mean: Option<f64>, standard_error: Option<f64>, rows: u64, confidence: f64) -> Option<f64> {
    match (mean, standard_error) {
        (Some(mean), Some(0.0)) => Some(mean),
        (Some(mean), Some(error)) => Some(mean - student_t(confidence, rows - 1) * error),
        (Some(_) | None, None) | (None, Some(_)) => None,
    }
}

fn differences(candidate: &[f64], current: &[f64], margin: f64) -> Result<Vec<f64>, PairedError> {
    if candidate.len() != current.len() {
        return Err(PairedError::NotPaired { candidate: candidate.len(), current: current.len() });
    }
    let mut differences = Vec::with_capacity(candidate.len());
    for (row, (&candidate, &current)) in candidate.iter().zip(current).enumerate() {
        let difference = candidate - (1.0 + margin) * current;
        if !difference.is_finite() {
            return Err(PairedError::NotFinite { row, candidate, current });
        }
        differences.push(difference);
    }
    Ok(differences)
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Of the mean, from the sum of squares around it; nothing below two values.
fn standard_error(values: &[f64], mean: f64) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    // Equal values must give exactly zero, although their rounded mean may differ from them.
    if values.iter().all(|value| *value == values[0]) {
        return Some(0.0);
    }
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let count = values.len() as f64;
    Some((squares / (count - 1.0) / count).sqrt())
}

/// The quantile of Student's t distribution. `probability` is between 0 and 1, `freedom` at least 1.
fn student_t(probability: f64, freedom: u64) -> f64 {
    match StudentsT::new(0.0, 1.0, freedom as f64) {
        Ok(distribution) => distribution.inverse_cdf(probability),
        // Only a freedom below one is refused; a bound that proves nothing is the safe answer to it.
        Err(_) => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use perennial_types::unit_draw;
    use proptest::prelude::*;

    use super::*;

    const AT_90: NotWorse = NotWorse { margin: 0.05, confidence: 0.9 };

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * b.abs().max(1e-12)
    }

    #[test]
    fn bounds_agree_with_scipy() {
        // scipy 1.17.1: ttest_1samp(d, 0, alternative='greater').confidence_interval(confidence).low
        let candidate = [3.1, 2.4, 5.0, 4.2, 3.3, 6.1];
        let current = [2.0, 2.1, 3.9, 3.0, 3.2, 4.4];
        let two = not_worse(&[1.2, 0.7], &[1.0, 0.9], AT_90).unwrap();
        let proven = not_worse(&candidate, &current, AT_90).unwrap();
        let doubted = not_worse(&candidate, &current, NotWorse { margin: 0.2, confidence: 0.99 }).unwrap();
        let golden = [
            (two, -0.047_500_000_000_000_1, 0.1975, -0.655_342_498_592_112_9),
            (proven, 0.761_666_666_666_666_4, 0.236_130_848_848_213_34, 0.413_164_913_416_203_7),
            (doubted, 0.296_666_666_666_666_7, 0.216_235_468_362_102_4, -0.430_950_547_652_724_17),
        ];
        for (evidence, mean, error, bound) in golden {
            assert!(near(evidence.mean_difference.unwrap(), mean), "{evidence:?}");
            assert!(near(evidence.standard_error.unwrap(), error), "{evidence:?}");
            assert!(near(evidence.bound.unwrap(), bound), "{evidence:?}");
        }
        assert_eq!([two, proven, doubted].map(|evidence| evidence.proven_worse), [false, true, false]);
    }

    #[test]
    fn quantiles_agree_with_scipy() {
        // scipy 1.17.1: t.ppf(probability, freedom)
        let golden = [
            (0.9, 1, 3.077_683_537_175_254_4),
            (0.9, 47, 1.299_824_947_311_663_2),
            (0.95, 3, 2.353_363_434_801_823_3),
            (0.99, 9_999, 2.326_720_875_975_390_3),
            (0.3, 10, -0.541_528_038_755_015_4),
            (0.5, 7, 0.0),
            (0.9999, 2, 70.700_071_074_968_18),
        ];
        for (probability, freedom, quantile) in golden {
            let ours = student_t(probability, freedom);
            assert!(near(ours, quantile), "t({probability}, {freedom}) = {ours}, not {quantile}");
        }
    }

    #[test]
    fn fewer_than_two_pairs_prove_nothing() {
        let none = not_worse(&[], &[], AT_90).unwrap();
        assert_eq!((none.rows, none.mean_difference, none.bound, none.proven_worse), (0, None, None, false));
        let one = not_worse(&[100.0], &[1.0], AT_90).unwrap();
        assert_eq!(one.mean_difference, Some(98.95));
        assert_eq!((one.standard_error, one.bound, one.proven_worse), (None, None, false));
    }

    #[test]
    fn equal_differences_are_their_own_bound() {
        let worse = not_worse(&[0.3; 3], &[0.1; 3], NotWorse { margin: 0.0, confidence: 0.9 }).unwrap();
        assert_eq!(worse.standard_error, Some(0.0));
        assert_eq!(worse.bound, worse.mean_difference);
        assert!(worse.proven_worse);
        assert!(
            !not_worse(&[0.5; 9], &[0.5; 9], NotWorse { margin: 0.0, confidence: 0.9 }).unwrap().proven_worse
        );
    }

    #[test]
    fn input_without_a_test_is_refused_by_row_and_value() {
        assert_eq!(
            not_worse(&[1.0], &[], AT_90).unwrap_err(),
            PairedError::NotPaired { candidate: 1, current: 0 }
        );
        let message = not_worse(&[1.0, f64::NAN], &[1.0, 2.0], AT_90).unwrap_err().to_string();
        assert!(message.starts_with("the losses of row 1 are NaN"), "{message}");
        for confidence in [0.0, 1.0, f64::NAN] {
            assert!(not_worse(&[], &[], NotWorse { margin: 0.0, confidence }).is_err());
        }
        assert_eq!(
            not_worse(&[], &[], NotWorse { margin: -0.1, confidence: 0.9 }).unwrap_err().kind(),
            Kind::Invalid
        );
    }

    /// A standard normal draw by Box and Muller, from two uniform draws that hash the names.
    fn normal(experiment: u32, row: u32) -> f64 {
        let (experiment, row) = (experiment.to_string(), row.to_string());
        let radius = (-2.0 * (1.0 - unit_draw(11, &[&experiment, &row])).ln()).sqrt();
        radius * (std::f64::consts::TAU * unit_draw(12, &[&experiment, &row])).cos()
    }

    #[test]
    fn a_candidate_at_the_margin_is_refused_in_one_of_ten() {
        let experiments = 4_000;
        let refused = (0..experiments)
            .filter(|experiment| {
                let current: Vec<f64> = (0..24).map(|row| 10.0 + normal(*experiment, row)).collect();
                let candidate: Vec<f64> =
                    (0..24).map(|row| 1.05 * (10.0 + normal(*experiment, 100 + row))).collect();
                not_worse(&candidate, &current, AT_90).unwrap().proven_worse
            })
            .count();
        // Binomial(4000, 0.1): four standard deviations are 76.
        assert!(refused.abs_diff(400) < 76, "{refused} of {experiments} refused at confidence 0.9");
    }

    fn moments(candidate: &[f64], current: &[f64]) -> PairedMoments {
        let mut moments = PairedMoments::default();
        for (candidate, current) in candidate.iter().zip(current) {
            moments.push(*candidate, *current);
        }
        moments
    }

    #[test]
    fn moments_that_are_not_finite_are_refused() {
        let broken = moments(&[1.0, f64::NAN], &[1.0, 2.0]);
        let message = not_worse_from(&broken, AT_90).unwrap_err().to_string();
        assert!(message.starts_with("of 2 pairs of losses the means are NaN"), "{message}");
        assert!(
            not_worse_from(&PairedMoments::default(), NotWorse { margin: -1.0, confidence: 0.9 }).is_err()
        );
    }

    #[test]
    fn the_probability_of_a_positive_mean_is_that_of_its_errors() {
        let at = |mean, m2| probability_positive(&Moments { n: 5, mean, m2 });
        // A variance of 5 and five rows: the standard error is 1. scipy 1.17.1: norm.cdf(1.5).
        assert!(near(at(1.5, 20.0).unwrap(), 0.933_192_798_731_141_9));
        assert_eq!((at(0.0, 20.0), at(0.0, 0.0), at(-2.0, 0.0)), (Some(0.5), Some(0.5), Some(0.0)));
        assert_eq!(at(f64::NAN, 1.0), None);
        assert_eq!(probability_positive(&Moments::of(&[3.0])), None);
    }

    proptest! {
        #[test]
        fn moments_give_the_evidence_of_the_rows(
            pairs in prop::collection::vec((0.0..10.0_f64, 0.0..10.0_f64), 0..40),
            margin in 0.0..0.5_f64,
            cut in 0_usize..40,
        ) {
            let (candidate, current): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let cut = cut.min(candidate.len());
            let mut kept = moments(&candidate[..cut], &current[..cut]);
            kept.merge(&moments(&candidate[cut..], &current[cut..]));
            let test = NotWorse { margin, confidence: 0.9 };
            let (ours, rows) = (not_worse_from(&kept, test).unwrap(), not_worse(&candidate, &current, test).unwrap());
            prop_assert_eq!(ours.rows, rows.rows);
            let figures = |told: Evidence| {
                [told.mean_candidate, told.mean_current, told.mean_difference, told.standard_error, told.bound]
            };
            for (ours, rows) in figures(ours).into_iter().zip(figures(rows)) {
                prop_assert_eq!(ours.is_some(), rows.is_some());
                prop_assert!((ours.unwrap_or(0.0) - rows.unwrap_or(0.0)).abs() < 1e-9, "{ours:?} {rows:?}");
            }
            let clear = rows.bound.is_none_or(|bound| bound.abs() > 1e-9);
            prop_assert!(!clear || ours.proven_worse == rows.proven_worse);
        }

        #[test]
        fn equal_differences_are_equal_for_moments_too(
            current in prop::collection::vec(0.0..10.0_f64, 2..40),
            apart in -1.0..1.0_f64,
        ) {
            let candidate: Vec<f64> = current.iter().map(|current| current + apart).collect();
            let told = not_worse_from(&moments(&candidate, &current), NotWorse { margin: 0.0, confidence: 0.9 }).unwrap();
            prop_assert!(told.standard_error.unwrap() < 1e-6);
            prop_assert!((told.bound.unwrap() - apart).abs() < 1e-5);
        }

        #[test]
        fn more_confidence_never_turns_doubt_into_proof(
            pairs in prop::collection::vec((0.0..10.0_f64, 0.0..10.0_f64), 2..40),
            low in 0.01..0.98_f64,
            more in 0.001..0.01_f64,
        ) {
            let (candidate, current): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let at = |confidence| not_worse(&candidate, &current, NotWorse { margin: 0.05, confidence }).unwrap();
            prop_assert!(at(low).bound >= at(low + more).bound);
            prop_assert!(at(low).proven_worse || !at(low + more).proven_worse);
        }

        #[test]
        fn a_larger_margin_never_refuses_more(
            pairs in prop::collection::vec((0.0..10.0_f64, 0.0..10.0_f64), 0..40),
            scale in 0.0..1.0_f64,
        ) {
            // Equal current losses, so that the margin shifts the differences and leaves their spread.
            let candidate: Vec<f64> = pairs.iter().map(|(candidate, _)| *candidate).collect();
            let current = vec![5.0; candidate.len()];
            let at = |margin| not_worse(&candidate, &current, NotWorse { margin, confidence: 0.9 }).unwrap();
            prop_assert!(at(0.0).proven_worse || !at(scale + 0.01).proven_worse);
        }
    }
}
