//! Which arm a unit or a single request is given.

use perennial_types::{hash64, unit_draw};

/// Draws of one kind tell nothing about draws of another.
const STICKY: u64 = 0x7374_6963_6b79;
const SINGLE: u64 = 0x7369_6e67_6c65;

/// The arm of a sticky unit: an index into `weights`, each a stable name, used once, and a weight; nothing if
/// no weight is positive. What is not a positive, finite weight is never chosen.
///
/// Weighted rendezvous hashing (Mosko, Schank and Resch, "Weighted rendezvous hashing", 2015; Thaler and
/// Ravishankar 1998 without weights): arm `i` scores `−ln(u) / w_i`, where `u` hashes salt, unit and name, and
/// the lowest score wins. The scores are exponential with rates `w_i`, so an arm is chosen with probability
/// `w_i / Σw`. Scores of different arms do not touch each other: under new weights a unit moves from a to b
/// only if `w_b / w_a` rose, and neither the order of the arms nor the scale of the weights matters.
pub fn rendezvous(salt: &str, unit: &str, weights: &[(&str, f64)]) -> Option<usize> {
    lightest(hash64(STICKY, &[salt]), unit, weights.iter().copied())
}

/// The arm of a single request: an index into `probabilities`; nothing if none is positive.
///
/// A hash of salt and id is looked up in the running sum of the probabilities, which need not sum to one.
/// What is not a positive, finite probability is never chosen.
pub fn by_id(salt: &str, id: &str, probabilities: &[f64]) -> Option<usize> {
    let total: f64 = probabilities.iter().filter(|probability| eligible(**probability)).sum();
    let drawn = total * unit_draw(SINGLE, &[salt, id]);
    let (mut sum, mut last) = (0.0, None);
    for (arm, &probability) in probabilities.iter().enumerate() {
        if eligible(probability) {
            sum += probability;
            last = Some(arm);
            if drawn < sum {
                break;
            }
        }
    }
    last
}

/// The arm with the lowest score; of equal scores, the first name.
pub(crate) fn lightest<'a>(
    seed: u64,
    unit: &str,
    weights: impl Iterator<Item = (&'a str, f64)>,
) -> Option<usize> {
    weights
        .enumerate()
        .filter(|(_, (_, weight))| eligible(*weight))
        .map(|(arm, (name, weight))| {
            // The draw lies in [0, 1), so its complement has a finite logarithm.
            let score = -(1.0 - unit_draw(seed, &[unit, name])).ln() / weight;
            (score, name, arm)
        })
        .min_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(b.1)))
        .map(|(_, _, arm)| arm)
}

fn eligible(weight: f64) -> bool {
    weight > 0.0 && weight.is_finite()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use statrs::distribution::{ChiSquared, ContinuousCDF};

    use super::*;

    const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

    /// Weights in whole numbers, so that ratios are compared exactly.
    fn named(weights: &[u32]) -> Vec<(&'static str, f64)> {
        NAMES.into_iter().zip(weights.iter().map(|weight| f64::from(*weight))).collect()
    }

    /// Pearson's chi-square of counts against probabilities, as a p-value.
    fn fits(counts: &[u64], probabilities: &[f64]) -> f64 {
        let total = counts.iter().sum::<u64>() as f64;
        let cells = || counts.iter().zip(probabilities).filter(|cell| *cell.1 > 0.0);
        let statistic: f64 = cells().map(|(n, p)| (*n as f64 - total * p).powi(2) / (total * p)).sum();
        ChiSquared::new(cells().count() as f64 - 1.0).unwrap().sf(statistic)
    }

    #[test]
    fn frequencies_match_weights() {
        // At level 0.001 each; the draws are fixed by their names.
        let weights = [0.5, 0.25, 0.2, 0.05, 0.0];
        let named: Vec<_> = NAMES.into_iter().zip(weights).collect();
        for salt in ["one", "two", "three"] {
            let (mut sticky, mut single) = ([0; 5], [0; 5]);
            for i in 0..20_000 {
                let id = format!("u{i}");
                sticky[rendezvous(salt, &id, &named).unwrap()] += 1;
                single[by_id(salt, &id, &weights).unwrap()] += 1;
            }
            assert_eq!((sticky[4], single[4]), (0, 0));
            assert!(fits(&sticky, &weights) > 0.001, "{salt}: {sticky:?}");
            assert!(fits(&single, &weights) > 0.001, "{salt}: {single:?}");
        }
    }

    #[test]
    fn salts_assign_independently() {
        let halves = named(&[1, 1]);
        let mut both = [0; 4];
        for i in 0..20_000 {
            let of = |salt| rendezvous(salt, &i.to_string(), &halves).unwrap();
            both[2 * of("one") + of("two")] += 1;
        }
        assert!(fits(&both, &[0.25; 4]) > 0.001, "{both:?}");
    }

    #[test]
    fn without_a_positive_weight_nothing_is_chosen() {
        assert_eq!(rendezvous("s", "u", &[]), None);
        assert_eq!(rendezvous("s", "u", &[("a", 0.0), ("b", -1.0), ("c", f64::NAN)]), None);
        assert_eq!(by_id("s", "u", &[]), None);
        assert_eq!(by_id("s", "u", &[0.0, -1.0, f64::NAN, f64::INFINITY]), None);
        assert_eq!(by_id("s", "u", &[0.0, 0.2, 0.0]), Some(1));
    }

    #[test]
    fn assignments_are_the_same_on_every_machine() {
        let chosen: Vec<_> = (0..12)
            .map(|i| rendezvous("experiment", &format!("user-{i}"), &named(&[2, 1, 1])).unwrap())
            .collect();
        assert_eq!(chosen, [0, 2, 1, 1, 1, 0, 0, 0, 2, 0, 1, 0]);
        let chosen: Vec<_> =
            (0..12).map(|i| by_id("experiment", &format!("r-{i}"), &[0.5, 0.25, 0.25]).unwrap()).collect();
        assert_eq!(chosen, [0, 1, 2, 0, 2, 0, 0, 0, 0, 0, 0, 1]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_unit_moves_only_where_the_ratio_of_weights_rose(
            pairs in prop::collection::vec((0..8_u32, 0..8_u32), 2..=5),
        ) {
            let (before, after): (Vec<u32>, Vec<u32>) = pairs.into_iter().unzip();
            for i in 0..2_000 {
                let unit = i.to_string();
                let from = rendezvous("s", &unit, &named(&before));
                let to = rendezvous("s", &unit, &named(&after));
                prop_assert_eq!(from.is_some(), before.iter().any(|weight| *weight > 0));
                if let (Some(a), Some(b)) = (from, to) && a != b {
                    prop_assert!(after[b] * before[a] > before[b] * after[a], "{:?} -> {:?}", before, after);
                }
            }
        }

        #[test]
        fn a_new_arm_takes_units_and_moves_no_others(
            weights in prop::collection::vec(1..8_u32, 2..=5),
        ) {
            let (fewer, more) = (named(&weights[1..]), named(&weights));
            let fewer: Vec<_> = fewer.into_iter().zip(&more[1..]).map(|(old, new)| (new.0, old.1)).collect();
            for i in 0..2_000 {
                let unit = i.to_string();
                let from = rendezvous("s", &unit, &fewer).unwrap() + 1;
                let to = rendezvous("s", &unit, &more).unwrap();
                prop_assert!(to == from || to == 0);
            }
        }

        #[test]
        fn neither_order_nor_scale_of_the_weights_moves_a_unit(
            weights in prop::collection::vec(0.0..1.0_f64, 2..=5),
            unit in "[a-z]{1,8}",
        ) {
            let named: Vec<(&str, f64)> = NAMES.into_iter().zip(weights).collect();
            let turned: Vec<(&str, f64)> = named.iter().rev().map(|(name, w)| (*name, w * 4.0)).collect();
            let chosen = rendezvous("s", &unit, &named).map(|arm| named[arm].0);
            prop_assert_eq!(rendezvous("s", &unit, &turned).map(|arm| turned[arm].0), chosen);
        }
    }
}
