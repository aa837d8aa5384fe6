//! The probability vector of an endpoint: who answers, and with which probability.

use std::sync::Arc;

use perennial_types::{Kind, hash64};
use serde::{Deserialize, Serialize};

use crate::Scorer;
use crate::assignment::{by_id, rendezvous};

/// Sticky units are given a model and then a role inside it; the two draws tell nothing about each other.
const MODEL: u64 = 0x006d_6f64_656c;
const ROLE: u64 = 0x726f_6c65;

/// What one model contributes to the vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// The model.
    pub model: Arc<str>,
    /// Its share of the endpoint, relative to the shares of the other models; zero gives it no traffic.
    pub share: f64,
    /// The number of its version in service.
    pub current: u64,
    /// The number of its version in rollout and that version's part of the share, from 0 to 1; the current
    /// version has the rest.
    pub candidate: Option<(u64, f64)>,
}

/// What a version is to its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// In service.
    Current,
    /// In rollout.
    Candidate,
}

impl Role {
    /// The name that assignments hash.
    pub fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Candidate => "candidate",
        }
    }
}

/// One version that may answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// The version.
    pub scorer: Scorer,
    /// What it is to its model.
    pub role: Role,
    /// The probability with which it is drawn: the model's share times its part of it.
    pub propensity: f64,
}

/// The versions of an endpoint with their probabilities, which sum to one.
///
/// The arms of one model stand together, the current version first; models stand in the order they were given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vector {
    arms: Vec<Arm>,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit<'a> {
    /// A single request, by its id.
    Request(&'a str),
    /// A unit that keeps its arm as long as the shares allow.
    Sticky(&'a str),
}

/// Shares that make no probability vector.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum VectorError {
    /// Nobody would answer.
    #[error("no model of {models} has a positive share; give at least one of them a share above 0")]
    Empty {
        /// How many models there are.
        models: usize,
    },
    /// A share that is negative or not finite.
    #[error("the share of model {model:?} is {share}; it must be a number from 0 up")]
    Share {
        /// The model.
        model: Arc<str>,
        /// Its share.
        share: f64,
    },
    /// A part outside 0 to 1.
    #[error("candidate {number} of model {model:?} has {part} of its share; it must be from 0 to 1")]
    Part {
        /// The model.
        model: Arc<str>,
        /// The number of its candidate.
        number: u64,
        /// The candidate's part.
        part: f64,
    },
    /// A model that is given twice.
    #[error("model {0:?} has two shares; give it one")]
    Twice(Arc<str>),
}

impl VectorError {
    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Empty { .. } | Self::Share { .. } | Self::Part { .. } | Self::Twice(_) => Kind::Invalid,
        }
    }
}

impl Vector {
    /// Compose the vector from the shares of the models and the parts inside them.
    ///
    /// # Errors
    /// When a share or a part is out of range, a model is given twice, or no model has a share.
    pub fn compose(models: &[Contribution]) -> Result<Self, VectorError> {
        for (i, model) in models.iter().enumerate() {
            if !(model.share >= 0.0 && model.share.is_finite()) {
                return Err(VectorError::Share { model: Arc::clone(&model.model), share: model.share });
            }
            if models[..i].iter().any(|other| other.model == model.model) {
                return Err(VectorError::Twice(Arc::clone(&model.model)));
            }
            if let Some((number, part)) = model.candidate
                && !(0.0..=1.0).contains(&part)
            {
                return Err(VectorError::Part { model: Arc::clone(&model.model), number, part });
            }
        }
        // Divided by the largest first, so that the sum of huge shares stays finite.
        let largest = models.iter().map(|model| model.share).fold(0.0, f64::max);
        if largest == 0.0 {
            return Err(VectorError::Empty { models: models.len() });
        }
        let total: f64 = models.iter().map(|model| model.share / largest).sum();
        let arms = models.iter().flat_map(|model| arms_of(model, model.share / largest / total)).collect();
        Ok(Self { arms })
    }

    /// The arms, those with probability zero included.
    pub fn arms(&self) -> &[Arm] {
        &self.arms
    }

    /// The arm of `unit`, as an index into [`arms`](Self::arms).
    ///
    /// A request is drawn by its id over the whole vector. A sticky unit is given a model and then a role
    /// inside it, both by weighted rendezvous hashing (Mosko, Schank and Resch 2015): under other shares a unit
    /// moves from model a to model b only if the share of b over that of a rose, whatever the order of the models. A
    /// rollout inside a model and a promotion move no unit between models, and every candidate meets units of its
    /// own. Keep the salt for as long as units shall keep their arms.
    pub fn draw(&self, unit: Unit<'_>, salt: &str) -> usize {
        let drawn = match unit {
            Unit::Request(id) => {
                let probabilities: Vec<f64> = self.arms.iter().map(|arm| arm.propensity).collect();
                by_id(salt, id, &probabilities)
            }
            Unit::Sticky(unit) => self.draw_sticky(unit, salt),
        };
        assert!(drawn.is_some(), "a composed vector has an arm with a positive probability");
        drawn.unwrap_or_default()
    }

    fn draw_sticky(&self, unit: &str, salt: &str) -> Option<usize> {
        let models: Vec<&[Arm]> = self.arms.chunk_by(|a, b| a.scorer.model == b.scorer.model).collect();
        let shares = models.iter().map(|arms| (&*arms[0].scorer.model, share(arms)));
        let chosen = rendezvous(hash64(MODEL, &[salt]), unit, shares)?;
        let arms = models[chosen];
        let candidate = arms.iter().find(|arm| arm.role == Role::Candidate);
        let number = candidate.map_or(String::new(), |arm| arm.scorer.number.to_string());
        let seed = hash64(ROLE, &[salt, &arms[0].scorer.model, &number]);
        let role = rendezvous(seed, unit, arms.iter().map(|arm| (arm.role.name(), arm.propensity)))?;
        Some(models[..chosen].iter().map(|arms| arms.len()).sum::<usize>() + role)
    }
}

/// Give every arm at least `floor` and keep the sum at one: `p' = f + (1 − K f) p` for `K` arms, which keeps
/// the order of the arms and, unlike clipping, takes from every arm in proportion to what it has above zero
/// (GrowthBook, `packages/stats`, minimum weight of a bandit). A floor of `1 / K` or more makes all equal.
pub fn with_floor(probabilities: &[f64], floor: f64) -> Vec<f64> {
    let arms = probabilities.len() as f64;
    let floor = floor.clamp(0.0, 1.0 / arms);
    probabilities.iter().map(|probability| floor + (1.0 - arms * floor) * probability).collect()
}

fn share(arms: &[Arm]) -> f64 {
    arms.iter().map(|arm| arm.propensity).sum()
}

fn arms_of(model: &Contribution, share: f64) -> Vec<Arm> {
    let arm = |number, role, propensity| Arm {
        scorer: Scorer { model: Arc::clone(&model.model), number },
        role,
        propensity,
    };
    match model.candidate {
        None => vec![arm(model.current, Role::Current, share)],
        Some((number, part)) => vec![
            arm(model.current, Role::Current, share * (1.0 - part)),
            arm(number, Role::Candidate, share * part),
        ],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use statrs::distribution::{ChiSquared, ContinuousCDF};

    use super::*;

    fn model(name: &str, share: f64, part: Option<f64>) -> Contribution {
        Contribution { model: name.into(), share, current: 1, candidate: part.map(|part| (2, part)) }
    }

    fn vector(models: &[Contribution]) -> Vector {
        Vector::compose(models).unwrap()
    }

    fn units() -> impl Iterator<Item = String> {
        (0..5_000).map(|i| format!("user-{i}"))
    }

    #[test]
    fn propensities_are_products_of_share_and_part() {
        let vector = vector(&[model("a", 3.0, Some(0.2)), model("b", 1.0, None)]);
        let arms: Vec<_> =
            vector.arms().iter().map(|arm| (arm.scorer.number, arm.role, arm.propensity)).collect();
        assert_eq!(arms[0], (1, Role::Current, 0.75 * 0.8));
        assert_eq!(arms[1], (2, Role::Candidate, 0.75 * 0.2));
        assert_eq!(arms[2], (1, Role::Current, 0.25));
    }

    #[test]
    fn draws_of_both_kinds_follow_the_propensities() {
        let vector = vector(&[model("a", 0.6, Some(0.3)), model("b", 0.4, Some(0.5))]);
        for sticky in [true, false] {
            let mut counts = vec![0.0; vector.arms().len()];
            for id in units() {
                let unit = if sticky { Unit::Sticky(&id) } else { Unit::Request(&id) };
                counts[vector.draw(unit, "salt")] += 1.0;
            }
            for (arm, count) in vector.arms().iter().zip(counts) {
                let sd = (5_000.0 * arm.propensity * (1.0 - arm.propensity)).sqrt();
                // Four standard deviations; the draws are fixed by their names.
                assert!((count - 5_000.0 * arm.propensity).abs() < 4.0 * sd, "{arm:?}: {count}");
            }
        }
    }

    const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

    /// Models with shares in whole numbers, so that ratios are compared exactly; nothing without a share.
    fn shared(shares: &[u32]) -> Option<Vector> {
        let models = NAMES.iter().zip(shares).map(|(name, share)| model(name, f64::from(*share), None));
        Vector::compose(&models.collect::<Vec<_>>()).ok()
    }

    /// Pearson's chi-square of counts against probabilities, as a p-value.
    fn fits(counts: &[u64], probabilities: &[f64]) -> f64 {
        let total = counts.iter().sum::<u64>() as f64;
        let cells = || counts.iter().zip(probabilities).filter(|cell| *cell.1 > 0.0);
        let statistic: f64 = cells().map(|(n, p)| (*n as f64 - total * p).powi(2) / (total * p)).sum();
        ChiSquared::new(cells().count() as f64 - 1.0).unwrap().sf(statistic)
    }

    #[test]
    fn frequencies_match_shares() {
        // At level 0.001 each; the draws are fixed by their names.
        let weights = [0.5, 0.25, 0.2, 0.05, 0.0];
        let models: Vec<_> =
            NAMES.iter().zip(weights).map(|(name, share)| model(name, share, None)).collect();
        let vector = vector(&models);
        for salt in ["one", "two", "three"] {
            for sticky in [true, false] {
                let mut counts = [0; 5];
                for id in (0..20_000).map(|i| format!("u{i}")) {
                    let unit = if sticky { Unit::Sticky(&id) } else { Unit::Request(&id) };
                    counts[vector.draw(unit, salt)] += 1;
                }
                assert_eq!(counts[4], 0);
                assert!(fits(&counts, &weights) > 0.001, "{salt}: {counts:?}");
            }
        }
    }

    #[test]
    fn salts_assign_independently() {
        let halves = shared(&[1, 1]).unwrap();
        let mut both = [0; 4];
        for i in 0..20_000 {
            let of = |salt| halves.draw(Unit::Sticky(&i.to_string()), salt);
            both[2 * of("one") + of("two")] += 1;
        }
        assert!(fits(&both, &[0.25; 4]) > 0.001, "{both:?}");
    }

    #[test]
    fn assignments_of_units_are_the_same_on_every_machine() {
        let vector = shared(&[2, 1, 1]).unwrap();
        let chosen: Vec<_> =
            (0..12).map(|i| vector.draw(Unit::Sticky(&format!("user-{i}")), "experiment")).collect();
        assert_eq!(chosen, [2, 1, 0, 0, 0, 2, 1, 1, 0, 2, 0, 1]);
    }

    #[test]
    fn a_rollout_and_its_promotion_move_no_unit_between_models() {
        let before = vector(&[model("a", 0.6, None), model("b", 0.4, None)]);
        let rollout = vector(&[model("a", 0.6, Some(0.3)), model("b", 0.4, None)]);
        let mut promoted = model("a", 0.6, None);
        promoted.current = 2;
        let after = vector(&[promoted, model("b", 0.4, None)]);
        for unit in units() {
            let of = |vector: &Vector| {
                let arm = &vector.arms()[vector.draw(Unit::Sticky(&unit), "salt")];
                Arc::clone(&arm.scorer.model)
            };
            assert_eq!(of(&before), of(&rollout));
            assert_eq!(of(&before), of(&after));
        }
    }

    #[test]
    fn a_growing_part_only_moves_units_to_the_candidate() {
        let at = |part| vector(&[model("a", 0.6, Some(part)), model("b", 0.4, None)]);
        let (small, large) = (at(0.05), at(0.2));
        let mut moved = 0;
        for unit in units() {
            let (from, to) =
                (small.draw(Unit::Sticky(&unit), "salt"), large.draw(Unit::Sticky(&unit), "salt"));
            if from != to {
                assert_eq!((from, to), (0, 1));
                moved += 1;
            }
        }
        assert!(moved > 0);
    }

    #[test]
    fn the_next_candidate_meets_other_units() {
        let first = vector(&[model("a", 1.0, Some(0.5))]);
        let mut next = model("a", 1.0, Some(0.5));
        next.candidate = Some((3, 0.5));
        let next = vector(&[next]);
        let both = units()
            .filter(|unit| {
                first.draw(Unit::Sticky(unit), "salt") == 1 && next.draw(Unit::Sticky(unit), "salt") == 1
            })
            .count();
        // Binomial(5000, 1/4): five standard deviations are 153.
        assert!(both.abs_diff(1_250) < 153, "{both}");
    }

    #[test]
    fn shares_without_a_vector_are_refused_by_name() {
        let message = |models: &[Contribution]| Vector::compose(models).unwrap_err().to_string();
        assert_eq!(
            message(&[model("a", 0.0, None)]),
            "no model of 1 has a positive share; give at least one of them a share above 0"
        );
        assert_eq!(
            message(&[model("a", f64::NAN, None)]),
            "the share of model \"a\" is NaN; it must be a number from 0 up"
        );
        assert_eq!(
            message(&[model("a", 1.0, Some(1.5))]),
            "candidate 2 of model \"a\" has 1.5 of its share; it must be from 0 to 1"
        );
        assert_eq!(
            message(&[model("a", 1.0, None), model("a", 1.0, None)]),
            "model \"a\" has two shares; give it one"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_unit_moves_only_where_the_ratio_of_shares_rose(
            pairs in prop::collection::vec((0..8_u32, 0..8_u32), 2..=5),
        ) {
            let (before, after): (Vec<u32>, Vec<u32>) = pairs.into_iter().unzip();
            let (Some(old), Some(new)) = (shared(&before), shared(&after)) else { return Ok(()) };
            for unit in units().take(2_000) {
                let (a, b) = (old.draw(Unit::Sticky(&unit), "s"), new.draw(Unit::Sticky(&unit), "s"));
                if a != b {
                    prop_assert!(after[b] * before[a] > before[b] * after[a], "{:?} -> {:?}", before, after);
                }
            }
        }

        #[test]
        fn a_new_model_takes_units_and_moves_no_others_whatever_the_order(
            shares in prop::collection::vec(1..8_u32, 2..=5),
        ) {
            let models: Vec<_> =
                NAMES.iter().zip(&shares).map(|(name, share)| model(name, f64::from(*share), None)).collect();
            let mut reversed = models.clone();
            reversed.reverse();
            let (fewer, more, other) = (vector(&models[1..]), vector(&models), vector(&reversed));
            let name = |vector: &Vector, unit: &str| {
                Arc::clone(&vector.arms()[vector.draw(Unit::Sticky(unit), "s")].scorer.model)
            };
            for unit in units().take(2_000) {
                let (from, to) = (name(&fewer, &unit), name(&more, &unit));
                prop_assert!(from == to || &*to == NAMES[0]);
                prop_assert_eq!(to, name(&other, &unit));
            }
        }
    }

    proptest! {
        #[test]
        fn propensities_sum_to_one_whatever_the_shares(
            shares in prop::collection::vec((0.0..1e6_f64, prop::option::of(0.0..=1.0_f64)), 1..6),
            id in "[a-z0-9]{1,12}",
        ) {
            prop_assume!(shares.iter().any(|(share, _)| *share > 0.0));
            let models: Vec<_> = shares
                .iter()
                .enumerate()
                .map(|(i, (share, part))| model(&format!("m{i}"), *share, *part))
                .collect();
            let vector = vector(&models);
            prop_assert!((share(vector.arms()) - 1.0).abs() < 1e-12);
            for unit in [Unit::Request(&id), Unit::Sticky(&id)] {
                prop_assert!(vector.arms()[vector.draw(unit, "salt")].propensity > 0.0);
            }
            let bytes = postcard::to_stdvec(&vector).unwrap();
            prop_assert_eq!(postcard::from_bytes::<Vector>(&bytes).unwrap(), vector);
        }

        #[test]
        fn a_floor_keeps_the_mass_and_the_order(
            weights in prop::collection::vec(0.0..1.0_f64, 1..8),
            floor in 0.0..0.5_f64,
        ) {
            let total: f64 = weights.iter().sum();
            prop_assume!(total > 0.0);
            let probabilities: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
            let floored = with_floor(&probabilities, floor);
            prop_assert!((floored.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            let least = floor.min(1.0 / probabilities.len() as f64);
            prop_assert!(floored.iter().all(|probability| *probability >= least - 1e-15));
            for (a, b) in floored.windows(2).zip(probabilities.windows(2)) {
                prop_assert!((a[0] - a[1]) * (b[0] - b[1]) >= 0.0);
            }
        }
    }
}
