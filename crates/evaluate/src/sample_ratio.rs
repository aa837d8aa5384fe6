//! Whether arms were chosen as often as their probabilities say.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ChiSquared, ContinuousCDF};

/// Below so much variance a count of choices is not normal enough for the chi-square distribution. Of a rare arm
/// it is the expected number of choices, for which Cochran (1954) has the same bound.
const LEAST_VARIANCE: f64 = 5.0;

/// Choices of each arm beside what was to be expected of the probabilities they were made with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SampleRatio {
    chosen: Vec<u64>,
    expected: Vec<f64>,
    /// Of the counts; the row of an arm goes up to and including its own column.
    covariance: Vec<Vec<f64>>,
    /// Choices of arms that had no probability then.
    impossible: u64,
}

impl SampleRatio {
    /// Nothing chosen yet among so many arms.
    pub fn new(arms: usize) -> Self {
        let mut ratio = Self::default();
        ratio.grow(arms);
        ratio
    }

    /// Take one choice: the arm, and the probability that each arm had then; they sum to one and may differ from
    /// choice to choice. Arms that were not there before have had no choice and no probability until now.
    pub fn chose(&mut self, arm: usize, probabilities: &[f64]) {
        self.grow(probabilities.len().max(arm + 1));
        self.chosen[arm] += 1;
        self.impossible += u64::from(probabilities.get(arm).is_none_or(|probability| *probability <= 0.0));
        for (row, probability) in probabilities.iter().enumerate() {
            self.expected[row] += probability;
            for (column, other) in probabilities[..row].iter().enumerate() {
                self.covariance[row][column] -= probability * other;
            }
            self.covariance[row][row] += probability * (1.0 - probability);
        }
    }

    fn grow(&mut self, arms: usize) {
        for arm in self.chosen.len()..arms {
            self.chosen.push(0);
            self.expected.push(0.0);
            self.covariance.push(vec![0.0; arm + 1]);
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

    /// How probable counts are that are at least as far from their expectation, if every choice was made with
    /// its probabilities. Below one of a thousand the traffic is not what the vectors say (Fabijan et al., KDD 2019).
    /// Zero if an arm was chosen that had no probability; nothing while there were too few choices.
    ///
    /// The distance is `zᵀ V⁻¹ z`, with `z` the counts less the sums of the probabilities `p_i` and `V` the sum
    /// of the covariances `diag(p_i) − p_i p_iᵀ` of single choices: under equal probabilities Pearson's
    /// chi-square, to the last digit. Probabilities may depend on earlier choices, since `z` is a martingale
    /// and `V` its predictable variation (Hall and Heyde 1980, theorem 3.2).
    pub fn p_value(&self) -> Option<f64> {
        if self.impossible > 0 {
            return Some(0.0);
        }
        let (statistic, freedom) = self.distance();
        // No degree of freedom is refused: nothing is compared then.
        Some(ChiSquared::new(f64::from(freedom)).ok()?.sf(statistic))
    }

    /// The distance and its degrees of freedom, by a Cholesky factorisation that takes the arm next that has the
    /// most variance beside those taken, and ends where that is too little: `V` is singular, because the counts
    /// sum to the choices, and arms that are rare count together with those left over.
    fn distance(&self) -> (f64, u32) {
        let arms = self.chosen.len();
        let counts = self.chosen.iter().zip(&self.expected);
        let mut off: Vec<f64> = counts.map(|(chosen, expected)| *chosen as f64 - expected).collect();
        let mut variance: Vec<Vec<f64>> = (0..arms)
            .map(|row| (0..arms).map(|column| self.covariance[row.max(column)][row.min(column)]).collect())
            .collect();
        let (mut left, mut distance, mut freedom): (Vec<usize>, _, _) = ((0..arms).collect(), 0.0, 0);
        while let Some(place) = (0..left.len()).max_by(|a, b| {
            let of = |place: &usize| variance[left[*place]][left[*place]];
            of(a).total_cmp(&of(b))
        }) {
            let arm = left.swap_remove(place);
            let own = variance[arm][arm];
            if own < LEAST_VARIANCE {
                break;
            }
            distance += off[arm] * off[arm] / own;
            freedom += 1;
            for &other in &left {
                let slope = variance[other][arm] / own;
                off[other] -= slope * off[arm];
                for column in left.iter().copied() {
                    variance[other][column] -= slope * variance[arm][column];
                }
            }
        }
        (distance, freedom)
    }
}

#[cfg(test)]
mod tests {
    use perennial_types::unit_draw;

    use super::*;
    use crate::by_id;

    fn of(chosen: &[u64], shares: &[f64]) -> SampleRatio {
        let mut ratio = SampleRatio::new(chosen.len());
        for (arm, count) in chosen.iter().enumerate() {
            (0..*count).for_each(|_| ratio.chose(arm, shares));
        }
        ratio
    }

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
            let ours = of(chosen, shares).p_value().unwrap();
            assert!((ours - p_value).abs() <= 1e-9 * p_value.max(1e-3), "{chosen:?}: {ours}");
        }
    }

    #[test]
    fn too_few_choices_say_nothing_and_impossible_ones_everything() {
        let mut ratio = of(&[19, 0, 0], &[0.5, 0.5, 0.0]);
        assert_eq!(ratio.p_value(), None);
        ratio.chose(0, &[0.5, 0.5, 0.0]);
        assert!(ratio.p_value().is_some());
        ratio.chose(2, &[0.5, 0.5, 0.0]);
        assert_eq!(ratio.p_value(), Some(0.0));
        // An arm that had its probability at another time has none now.
        let mut later = of(&[500, 500], &[0.5, 0.5]);
        later.chose(1, &[1.0]);
        assert_eq!(later.p_value(), Some(0.0));
    }

    #[test]
    fn without_a_choice_a_choice_proves_nothing() {
        let mut ratio = of(&[300, 300], &[0.5, 0.5]);
        let before = ratio.p_value();
        (0..9_000).for_each(|_| ratio.chose(0, &[1.0, 0.0]));
        assert_eq!((ratio.p_value(), ratio.chosen()), (before, &[9_300, 300][..]));
    }

    #[test]
    fn rare_arms_count_together() {
        // Each of the two rare arms is expected three times, both together six times.
        let shares = [0.98, 0.01, 0.01];
        let (apart, together) = (of(&[294, 6, 0], &shares), of(&[294, 6], &[0.98, 0.02]));
        assert!((apart.p_value().unwrap() - together.p_value().unwrap()).abs() < 1e-9);
        assert_eq!(apart.distance().1, 1);
    }

    /// A log of choices among up to four arms: two models, of which the first has a candidate in the middle and the
    /// second joins late. Shares move every fifty requests, and follow what was chosen before.
    fn log(salt: &str, requests: u64, broken: impl Fn(u64) -> bool) -> SampleRatio {
        let mut ratio = SampleRatio::default();
        for request in 0..requests {
            let id = request.to_string();
            let epoch = (request / 50).to_string();
            let first = ratio.chosen().first().map_or(0.5, |first| *first as f64 / request.max(1) as f64);
            let share = 0.02 + 0.48 * unit_draw(1, &[salt, &epoch]) + 0.48 * (1.0 - first);
            let part = if (100..700).contains(&request) { 0.3 * unit_draw(2, &[salt, &epoch]) } else { 0.0 };
            let probabilities = match request {
                0..40 => vec![1.0],
                _ => vec![share * (1.0 - part), share * part, 1.0 - share],
            };
            let drawn = by_id(salt, &id, &probabilities).unwrap();
            let arm = if broken(request) && probabilities.len() > 1 { 2 } else { drawn };
            ratio.chose(arm, &probabilities);
        }
        ratio
    }

    #[test]
    fn the_level_holds_where_propensities_vary_and_follow_the_choices() {
        let p_values: Vec<f64> =
            (0..2_000).filter_map(|seed| log(&format!("fair {seed}"), 1_000, |_| false).p_value()).collect();
        assert_eq!(p_values.len(), 2_000);
        for (level, most, least) in [(0.5, 1_090, 910), (0.05, 140, 61), (0.01, 38, 5), (0.001, 8, 0)] {
            // Binomial(2000, level), four standard deviations to each side.
            let alarms = p_values.iter().filter(|p| **p < level).count();
            assert!((least..=most).contains(&alarms), "{alarms} of 2000 logs below {level}");
        }
    }

    #[test]
    fn requests_that_are_lost_to_one_arm_are_found() {
        let found = (0..100)
            .filter_map(|seed| {
                let salt = format!("broken {seed}");
                log(&salt, 1_000, |request| unit_draw(3, &[&salt, &request.to_string()]) < 0.2).p_value()
            })
            .filter(|p| *p < 0.001);
        assert!(found.count() >= 95);
    }
}
