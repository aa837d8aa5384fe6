//! Which arm a unit or a single request is given.

use perennial_types::unit_draw;

/// Tells draws of single requests from other draws.
const SINGLE: u64 = 0x7369_6e67_6c65;

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

/// The arm of a sticky unit: an index into `weights`, each a stable name, used once, and a weight; nothing if no
/// weight is positive. What is not a positive, finite weight is never chosen.
///
/// Weighted rendezvous hashing (Mosko, Schank and Resch, "Weighted rendezvous hashing", 2015; Thaler and
/// Ravishankar 1998 without weights): arm `i` scores `−ln(u) / w_i`, where `u` hashes seed, unit and name, and
/// the lowest score wins; of equal scores, the first name. The scores are exponential with rates `w_i`, so an arm
/// is chosen with probability `w_i / Σw`. Scores of different arms do not touch each other: under new weights a
/// unit moves from a to b only if `w_b / w_a` rose, and neither the order of the arms nor the scale of the
/// weights matters.
pub(crate) fn rendezvous<'a>(
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
    use super::*;

    #[test]
    fn without_a_positive_probability_nothing_is_chosen() {
        let none = [("a", 0.0), ("b", -1.0), ("c", f64::NAN)];
        assert_eq!(rendezvous(1, "u", [].into_iter()), None);
        assert_eq!(rendezvous(1, "u", none.into_iter()), None);
        assert_eq!(by_id("s", "u", &[]), None);
        assert_eq!(by_id("s", "u", &[0.0, -1.0, f64::NAN, f64::INFINITY]), None);
        assert_eq!(by_id("s", "u", &[0.0, 0.2, 0.0]), Some(1));
    }

    #[test]
    fn draws_of_requests_are_the_same_on_every_machine() {
        let chosen: Vec<_> =
            (0..12).map(|i| by_id("experiment", &format!("r-{i}"), &[0.5, 0.25, 0.25]).unwrap()).collect();
        assert_eq!(chosen, [0, 1, 2, 0, 2, 0, 0, 0, 0, 0, 0, 1]);
    }
}
