//! What fixed shares prove about the arms.

use std::sync::Arc;

use perennial_stats::Clustered;
use perennial_stats::sequential::{Design, difference_of_clustered};
use serde::{Deserialize, Serialize};

use crate::Rewards;

/// What the matured rewards of an experiment prove.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The arms in their order.
    pub arms: Vec<ArmEvidence>,
    /// The arm with the highest mean reward, as an index; nothing before each arm has a reward.
    pub best: Option<usize>,
    /// The probability, if no arm is better than every other, of ever seeing one lead this clearly; it may be
    /// looked at as often as one likes. Nothing before each arm has rewards of 100 units.
    pub p_value: Option<f64>,
    /// The probability that `best` has the highest expected reward; nothing below 100 units an arm.
    pub probability_best: Option<f64>,
}

/// What one arm has earned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmEvidence {
    /// The arm.
    pub name: Arc<str>,
    /// Its matured rewards.
    pub rows: u64,
    /// The independent units that they come from: requests, sticky units, or where there are more than 8,192 of
    /// those, groups of them.
    pub units: u64,
    /// Their mean; nothing without rewards.
    pub mean: Option<f64>,
    /// The probability that it has the highest expected reward; nothing below 100 units an arm.
    pub probability_best: Option<f64>,
}

impl Evidence {
    /// What `rewards` that were earned under fixed shares prove; under shares that follow the rewards the
    /// p-value does not hold.
    ///
    /// The best arm is held against each other arm by an asymptotic confidence sequence for the difference
    /// of their means (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Annals of Statistics 2024). What is
    /// compared is what was given an arm: of sticky units the means are over rewards and their errors over
    /// units. The best arm leads if it leads against all, so the weakest of these comparisons counts; since the best arm was picked by its
    /// rewards, that p-value is multiplied by their number (Bonferroni: of K arms one that is not best leads
    /// falsely with at most K · α / (2 (K − 1)) ≤ α, as a difference has two sides).
    pub fn of(rewards: &Rewards, design: Design) -> Self {
        let earned = rewards.earned();
        let known = rewards.probability_best();
        let probability = |arm: usize| known.as_ref().and_then(|known| known.get(arm).copied());
        let arms: Vec<ArmEvidence> = earned
            .iter()
            .enumerate()
            .map(|(i, arm)| ArmEvidence {
                name: Arc::clone(&arm.name),
                rows: arm.rewards.rows,
                units: arm.rewards.clusters,
                mean: (arm.rewards.rows > 0).then_some(arm.rewards.mean),
                probability_best: probability(i),
            })
            .collect();
        let rewards: Vec<Clustered> = earned.into_iter().map(|arm| arm.rewards).collect();
        let best = best(&rewards);
        Self {
            arms,
            best,
            p_value: best.and_then(|best| p_value(&rewards, best, design)),
            probability_best: best.and_then(probability),
        }
    }

    /// Matured rewards of all arms.
    pub fn rows(&self) -> u64 {
        self.arms.iter().map(|arm| arm.rows).sum()
    }
}

/// The first arm with the highest mean.
fn best(arms: &[Clustered]) -> Option<usize> {
    if arms.iter().any(|arm| arm.rows == 0) {
        return None;
    }
    arms.iter().enumerate().rev().max_by(|a, b| a.1.mean.total_cmp(&b.1.mean)).map(|(arm, _)| arm)
}

fn p_value(arms: &[Clustered], best: usize, design: Design) -> Option<f64> {
    let mut weakest: Option<f64> = None;
    for (arm, rewards) in arms.iter().enumerate() {
        if arm != best {
            let p_value = difference_of_clustered(&arms[best], rewards, design)?.p_value;
            weakest = Some(weakest.map_or(p_value, |weakest| weakest.max(p_value)));
        }
    }
    weakest.map(|weakest| (weakest * (arms.len() - 1) as f64).min(1.0))
}

#[cfg(test)]
mod tests {
    use perennial_types::{Position, Timestamp};

    use super::*;
    use crate::{Algorithm, Earning, Unit};

    fn paid(rows: u64, means: &[f64]) -> Evidence {
        let names: Vec<Arc<str>> = (0..means.len()).map(|arm| format!("arm-{arm}").into()).collect();
        let algorithm = Algorithm::GaussianThompson;
        let mut rewards =
            Rewards::new(Earning { algorithm, range: (-10.0, 10.0), reset_on_change: false }, &names);
        for row in 0..rows {
            for (arm, mean) in means.iter().enumerate() {
                let position = Position(row * means.len() as u64 + arm as u64);
                // Rewards one above and one below the mean, in turn.
                let reward = mean + if row % 2 == 0 { 1.0 } else { -1.0 };
                let matured_at = Timestamp::from_micros(row as i64);
                rewards.labelled(Unit::Request("r"), &names[arm], reward, matured_at, position);
            }
        }
        rewards.mature(Timestamp::from_micros(rows as i64));
        Evidence::of(&rewards, Design::default())
    }

    #[test]
    fn nothing_is_said_without_rewards() {
        let evidence = paid(0, &[0.0, 1.0]);
        assert_eq!((evidence.best, evidence.p_value, evidence.probability_best), (None, None, None));
        assert_eq!((evidence.arms[0].mean, evidence.rows()), (None, 0));
        assert_eq!(paid(22, &[0.0, 1.0]).p_value, None);
    }

    #[test]
    fn the_p_value_is_that_of_the_closest_rival_times_the_comparisons() {
        let (two, three) = (paid(200, &[0.0, 0.3]), paid(200, &[0.0, 0.3, -5.0]));
        assert_eq!((two.best, three.best), (Some(1), Some(1)));
        let (one, twice) = (two.p_value.unwrap(), three.p_value.unwrap());
        assert!(one > 0.0 && one < 0.5 && (twice - 2.0 * one).abs() < 1e-12, "{one} {twice}");
        assert_eq!(three.arms[2].rows, 200);
        assert_eq!(two.probability_best, two.arms[1].probability_best);
        assert!(two.probability_best.unwrap() > 0.99);
    }

    #[test]
    fn equal_arms_prove_nothing() {
        let evidence = paid(500, &[1.0, 1.0, 1.0]);
        assert_eq!((evidence.best, evidence.p_value), (Some(0), Some(1.0)));
    }
}
