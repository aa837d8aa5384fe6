//! Whether arms were chosen as often as their probabilities say.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ChiSquared, ContinuousCDF};

/// Below so many expected choices of an arm the chi-square distribution is no good approximation (Cochran 1954).
const LEAST_EXPECTED: f64 = 5.0;

/// Choices of each arm beside the sums of the probabilities they were made with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleRatio {
    chosen: Vec<u64>,
    expected: Vec<f64>,
}

impl SampleRatio {
    /// Nothing chosen yet among so many arms.
    pub fn new(arms: usize) -> Self {
        Self { chosen: vec![0; arms], expected: vec![0.0; arms] }
    }

    /// Take one choice: the arm, and the probability that each arm had. Probabilities may differ from choice to
    /// choice. Arms beyond those of [`new`](Self::new) are passed over.
    pub fn chose(&mut self, arm: usize, probabilities: &[f64]) {
        if let Some(chosen) = self.chosen.get_mut(arm) {
            *chosen += 1;
        }
        for (expected, probability) in self.expected.iter_mut().zip(probabilities) {
            *expected += probability;
        }
    }

    /// How often each arm was chosen.
    pub fn chosen(&self) -> &[u64] {
        &self.chosen
    }

    /// How often each arm was to be chosen: the sum of its probabilities.
    pub fn expected(&self) -> &[f64] {
        &self.expected
    }

    /// The p-value of Pearson's chi-square of choices against expectations, with one degree of freedom less
    /// than there are arms with a probability. Below one of a thousand the traffic is not what the vector says
    /// (Fabijan et al., KDD 2019). Under probabilities that vary the counts vary less than the test assumes, so
    /// that it errs towards silence. Zero if an arm without any probability was chosen; nothing while an arm
    /// with a probability has fewer than 5 expected choices, or if there is only one.
    pub fn p_value(&self) -> Option<f64> {
        let cells = || self.chosen.iter().zip(&self.expected);
        if cells().any(|(chosen, expected)| *chosen > 0 && *expected <= 0.0) {
            return Some(0.0);
        }
        let possible = cells().filter(|(_, expected)| **expected > 0.0).count();
        if possible < 2 || cells().any(|(_, expected)| *expected > 0.0 && *expected < LEAST_EXPECTED) {
            return None;
        }
        let statistic: f64 = cells()
            .filter(|(_, expected)| **expected > 0.0)
            .map(|(chosen, expected)| (*chosen as f64 - expected).powi(2) / expected)
            .sum();
        let distribution = ChiSquared::new((possible - 1) as f64).ok()?;
        Some(distribution.sf(statistic))
    }
}

#[cfg(test)]
mod tests {
    use perennial_types::unit_draw;

    use super::*;
    use crate::by_id;

    #[test]
    fn p_values_agree_with_gbstats() {
        // gbstats 0.8.0, sample ratio mismatch.
        let golden: [(&[u64], &[f64], f64); 6] = [
            (&[1000, 1000], &[0.5, 0.5], 1.0),
            (&[5000, 5200], &[0.5, 0.5], 0.047_670_380_656_161_5),
            (&[5000, 5300], &[0.5, 0.5], 0.003_116_693_839_866_867),
            (&[9000, 480, 520], &[0.9, 0.05, 0.05], 0.449_328_964_117_221_7),
            (&[8000, 1100], &[0.9, 0.1], 3.155_243_894_709_276e-11),
            (&[100_000, 101_000], &[0.5, 0.5], 0.025_714_354_743_922_217),
        ];
        for (chosen, shares, p_value) in golden {
            let mut ratio = SampleRatio::new(chosen.len());
            for (arm, count) in chosen.iter().enumerate() {
                (0..*count).for_each(|_| ratio.chose(arm, shares));
            }
            let ours = ratio.p_value().unwrap();
            assert!((ours - p_value).abs() <= 1e-9 * p_value.max(1e-3), "{chosen:?}: {ours}");
        }
    }

    #[test]
    fn too_few_choices_say_nothing_and_impossible_ones_everything() {
        let mut ratio = SampleRatio::new(3);
        (0..9).for_each(|_| ratio.chose(0, &[0.5, 0.5, 0.0]));
        assert_eq!(ratio.p_value(), None);
        ratio.chose(0, &[0.5, 0.5, 0.0]);
        assert!(ratio.p_value().is_some());
        ratio.chose(2, &[0.5, 0.5, 0.0]);
        assert_eq!(ratio.p_value(), Some(0.0));
    }

    #[test]
    fn varying_propensities_raise_no_false_alarms_and_a_bias_does() {
        let (mut alarms, mut found) = (0, 0);
        for log in 0..500 {
            let (mut fair, mut biased) = (SampleRatio::new(2), SampleRatio::new(2));
            for request in 0..1_000 {
                let (salt, id) = (log.to_string(), request.to_string());
                let share = 0.2 + 0.6 * unit_draw(1, &[&salt, &(request / 100).to_string()]);
                let probabilities = [share, 1.0 - share];
                fair.chose(by_id(&salt, &id, &probabilities).unwrap(), &probabilities);
                let lost = unit_draw(2, &[&salt, &id]) < 0.2;
                let arm = by_id(&salt, &id, &probabilities).unwrap();
                biased.chose(if lost { 1 } else { arm }, &probabilities);
            }
            alarms += u32::from(fair.p_value().unwrap() < 0.01);
            found += u32::from(biased.p_value().unwrap() < 0.01);
        }
        // Binomial(500, 0.01): five expected, four standard deviations are 9.
        assert!(alarms <= 14, "{alarms} of 500 fair logs");
        assert!(found >= 450, "{found} of 500 biased logs");
    }
}
