//! How probable it is that an arm is the best one.
//!
//! With independent posteriors of densities `f` and distribution functions `F`, arm `i` is the best with
//! probability `∫ f_i · Π_{j≠i} F_j`. That is a one-dimensional integral, taken here by quadrature: exact to about
//! ten digits and the same bits each time, where sampling would leave an error of a percent.

use perennial_types::Kind;

use crate::quadrature::{NODES, RULE, Rule};

/// A normal posterior of an arm's mean reward.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Normal {
    /// Its mean.
    pub mean: f64,
    /// Its standard deviation; 0 for a mean that is known exactly.
    pub sd: f64,
}

/// A posterior that is none.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum PosteriorError {
    /// Mean or standard deviation out of range.
    #[error(
        "the posterior of arm {arm} has mean {mean} and standard deviation {sd}; both must be finite (below 1e100) and the deviation not negative"
    )]
    Normal {
        /// The arm, counted from 0.
        arm: usize,
        /// Its mean.
        mean: f64,
        /// Its standard deviation.
        sd: f64,
    },
    /// A shape out of range.
    #[error("the posterior of arm {arm} is beta({a}, {b}); both shapes must be above 0 and finite")]
    Beta {
        /// The arm, counted from 0.
        arm: usize,
        /// Its first shape.
        a: f64,
        /// Its second shape.
        b: f64,
    },
}

impl PosteriorError {
    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Normal { .. } | Self::Beta { .. } => Kind::Invalid,
        }
    }
}

/// The probability of each arm that its mean is the largest, for normal posteriors. They sum to one; arms that
/// are known exactly and equal share what they have. Deviations below 1e-12 of the largest distance that matters
/// count as that much.
///
/// # Errors
/// When a mean is not finite, or a deviation is not finite or negative.
pub fn probability_best(posteriors: &[Normal]) -> Result<Vec<f64>, PosteriorError> {
    for (arm, &Normal { mean, sd }) in posteriors.iter().enumerate() {
        if !(mean.abs() < 1e100 && (0.0..1e100).contains(&sd)) {
            return Err(PosteriorError::Normal { arm, mean, sd });
        }
    }
    // Distances from the largest mean lose no digits where arms lie close together far from zero.
    let top = posteriors.iter().map(|posterior| posterior.mean).fold(f64::NEG_INFINITY, f64::max);
    let low = posteriors.iter().map(|posterior| posterior.mean - top - REACH * posterior.sd);
    let low = low.fold(f64::NEG_INFINITY, f64::max);
    let matters = posteriors.iter().filter(|posterior| posterior.mean - top + REACH * posterior.sd >= low);
    let scale = matters.map(|posterior| top - posterior.mean + posterior.sd).fold(0.0, f64::max);
    // Where only exactly known, equal means matter, any deviation does that keeps the others away.
    let narrowest = if scale > 0.0 { 1e-12 * scale } else { 1e-100 };
    let curves = posteriors.iter().map(|posterior| {
        let (mean, sd) = (posterior.mean - top, posterior.sd.max(narrowest));
        Curve { low: mean - REACH * sd, high: mean + REACH * sd, shape: Shape::Normal { mean, sd } }
    });
    Ok(best(&curves.collect::<Vec<_>>()))
}

/// The probability of each arm that its rate is the largest, for beta posteriors given by their shapes
/// (successes, failures, each with what the prior adds). They sum to one.
///
/// # Errors
/// When a shape is not above zero or not finite.
pub fn probability_best_beta(posteriors: &[(f64, f64)]) -> Result<Vec<f64>, PosteriorError> {
    for (arm, &(a, b)) in posteriors.iter().enumerate() {
        if !(a > 0.0 && a.is_finite() && b > 0.0 && b.is_finite()) {
            return Err(PosteriorError::Beta { arm, a, b });
        }
    }
    Ok(best(&posteriors.iter().map(|&(a, b)| Curve::beta(a, b)).collect::<Vec<_>>()))
}

/// Standard deviations beyond which a normal density is nothing: e^−40.5 of its peak.
const REACH: f64 = 9.0;
/// The same for any density, as the logarithm that its distance from the peak has there.
const DEPTH: f64 = 40.0;
/// Panels over the reach of one density.
const PANELS: u32 = 24;

/// A density that is log-concave with one peak, and where it is more than nothing.
struct Curve {
    shape: Shape,
    low: f64,
    high: f64,
}

enum Shape {
    Normal {
        mean: f64,
        sd: f64,
    },
    /// Of the logit of a rate, which has no edges and keeps all digits of rates near 0 and 1. `peak` is the
    /// logarithm of the density at its peak.
    Beta {
        a: f64,
        b: f64,
        peak: f64,
    },
}

impl Curve {
    fn beta(a: f64, b: f64) -> Self {
        let mode = a.ln() - b.ln();
        let mut curve = Self { shape: Shape::Beta { a, b, peak: 0.0 }, low: mode, high: mode };
        let peak = curve.log_density(mode);
        curve.shape = Shape::Beta { a, b, peak };
        curve.low = curve.edge(mode, -1.0);
        curve.high = curve.edge(mode, 1.0);
        curve
    }

    /// Where the density falls to e^−40 of its peak, in the given direction from there.
    fn edge(&self, mode: f64, direction: f64) -> f64 {
        let mut outside = f64::EPSILON.max(1e-9);
        while self.log_density(mode + direction * outside) > -DEPTH {
            outside *= 2.0;
        }
        let mut inside = 0.0;
        for _ in 0..20 {
            let middle = f64::midpoint(inside, outside);
            if self.log_density(mode + direction * middle) > -DEPTH {
                inside = middle
            } else {
                outside = middle
            }
        }
        mode + direction * outside
    }

    /// Up to a constant that is the same everywhere.
    fn log_density(&self, at: f64) -> f64 {
        match self.shape {
            Shape::Normal { mean, sd } => -0.5 * ((at - mean) / sd).powi(2),
            Shape::Beta { a, b, peak } => -a * softplus(-at) - b * softplus(at) - peak,
        }
    }
}

/// `ln(1 + e^x)` without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn best(curves: &[Curve]) -> Vec<f64> {
    // An arm whose whole density lies below that of another has no chance.
    let low = curves.iter().map(|curve| curve.low).fold(f64::NEG_INFINITY, f64::max);
    let matters: Vec<usize> = (0..curves.len()).filter(|&arm| curves[arm].high >= low).collect();
    let rule = &*RULE;
    let panels = panels(&matters.iter().map(|&arm| &curves[arm]).collect::<Vec<_>>());
    let totals: Vec<f64> =
        matters.iter().map(|&arm| panels.iter().map(|panel| panel.mass(rule, &curves[arm])).sum()).collect();
    let mut below = vec![0.0; matters.len()];
    let mut chances = vec![0.0; curves.len()];
    for panel in &panels {
        let values: Vec<[f64; NODES]> = matters
            .iter()
            .zip(&totals)
            .map(|(&arm, total)| panel.density(rule, &curves[arm], *total))
            .collect();
        let running: Vec<[f64; NODES]> = values
            .iter()
            .zip(&below)
            .map(|(values, below)| {
                rule.running(panel.half, values).map(|mass| (below + mass).clamp(0.0, 1.0))
            })
            .collect();
        for (place, &arm) in matters.iter().enumerate() {
            let mut integrand = values[place];
            for (other, running) in running.iter().enumerate() {
                if other != place {
                    integrand.iter_mut().zip(running).for_each(|(value, running)| *value *= running);
                }
            }
            chances[arm] += rule.whole(panel.half, &integrand).max(0.0);
        }
        for (below, values) in below.iter_mut().zip(&values) {
            *below += rule.whole(panel.half, values);
        }
    }
    let sum: f64 = chances.iter().sum();
    chances.into_iter().map(|chance| chance / sum).collect()
}

struct Panel {
    middle: f64,
    half: f64,
}

impl Panel {
    /// The density at the nodes, divided by its mass.
    fn density(&self, rule: &Rule, curve: &Curve, mass: f64) -> [f64; NODES] {
        if self.middle < curve.low || self.middle > curve.high {
            return [0.0; NODES];
        }
        rule.nodes.map(|node| curve.log_density(self.middle + self.half * node).exp() / mass)
    }

    fn mass(&self, rule: &Rule, curve: &Curve) -> f64 {
        rule.whole(self.half, &self.density(rule, curve, 1.0))
    }
}

/// Panels that are short against every density that is more than nothing there.
fn panels(curves: &[&Curve]) -> Vec<Panel> {
    let mut borders = Vec::new();
    for curve in curves {
        let step = (curve.high - curve.low) / f64::from(PANELS);
        borders.extend((0..=PANELS).map(|border| curve.low + f64::from(border) * step));
    }
    borders.sort_by(f64::total_cmp);
    borders
        .windows(2)
        .filter(|pair| pair[0] < pair[1])
        .map(|pair| Panel { middle: f64::midpoint(pair[0], pair[1]), half: 0.5 * (pair[1] - pair[0]) })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use statrs::distribution::{ContinuousCDF, Normal as Reference};
    use statrs::function::gamma::ln_gamma;

    use super::*;

    fn normals(posteriors: &[(f64, f64)]) -> Vec<Normal> {
        posteriors.iter().map(|&(mean, sd)| Normal { mean, sd }).collect()
    }

    fn best_of(posteriors: &[(f64, f64)]) -> Vec<f64> {
        probability_best(&normals(posteriors)).unwrap()
    }

    fn close(a: &[f64], b: &[f64], tolerance: f64) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance)
    }

    /// A fine grid of rectangles over the reach of all densities, with the distribution functions of statrs.
    fn slow(posteriors: &[(f64, f64)]) -> Vec<f64> {
        let low = posteriors.iter().map(|(mean, sd)| mean - 9.0 * sd).fold(f64::MAX, f64::min);
        let high = posteriors.iter().map(|(mean, sd)| mean + 9.0 * sd).fold(f64::MIN, f64::max);
        let step = (high - low) / 20_000.0;
        let normal = Reference::standard();
        let mut chances = vec![0.0; posteriors.len()];
        for cell in 0..20_000 {
            let at = low + (f64::from(cell) + 0.5) * step;
            let below: Vec<f64> = posteriors.iter().map(|(mean, sd)| normal.cdf((at - mean) / sd)).collect();
            for (arm, (mean, sd)) in posteriors.iter().enumerate() {
                let density =
                    (-0.5 * ((at - mean) / sd).powi(2)).exp() / sd * step / std::f64::consts::TAU.sqrt();
                let others = below.iter().enumerate().filter(|(other, _)| *other != arm);
                chances[arm] += density * others.map(|(_, below)| below).product::<f64>();
            }
        }
        chances
    }

    /// Two arms with whole-numbered shapes have a closed form (Miller, Formulas for Bayesian A/B testing).
    fn second_beats_first((a, b): (u32, u32), (c, d): (u32, u32)) -> f64 {
        let ln_beta = |x: f64, y: f64| ln_gamma(x) + ln_gamma(y) - ln_gamma(x + y);
        let (a, b, d) = (f64::from(a), f64::from(b), f64::from(d));
        (0..c)
            .map(|i| {
                let i = f64::from(i);
                (ln_beta(a + i, b + d) - (d + i).ln() - ln_beta(1.0 + i, d) - ln_beta(a, b)).exp()
            })
            .sum()
    }

    #[test]
    fn posteriors_that_are_none_are_refused_by_arm() {
        let error = probability_best(&normals(&[(0.0, 1.0), (1.0, -1.0)])).unwrap_err();
        assert_eq!(error, PosteriorError::Normal { arm: 1, mean: 1.0, sd: -1.0 });
        assert!(probability_best(&normals(&[(f64::NAN, 1.0)])).is_err());
        assert_eq!(probability_best_beta(&[(0.0, 1.0)]).unwrap_err().kind(), Kind::Invalid);
    }

    #[test]
    fn edge_cases_have_the_answers_they_must_have() {
        assert_eq!(probability_best(&[]), Ok(vec![]));
        assert_eq!(best_of(&[(3.0, 0.0)]), [1.0]);
        assert!(close(&best_of(&[(3.0, 0.0), (3.0, 0.0)]), &[0.5, 0.5], 1e-12));
        assert!(close(&best_of(&[(3.0, 0.0), (2.0, 0.0)]), &[1.0, 0.0], 1e-12));
        // Against a mean that is known exactly: P(N(0, 1) > 1.5) = 0.0668072.
        assert!(close(&best_of(&[(1.5, 0.0), (0.0, 1.0)]), &[0.933_192_798_731, 0.066_807_201_269], 1e-9));
        assert!(close(&best_of(&[(0.0, 1.0), (-1e9, 1e-9)]), &[1.0, 0.0], 1e-12));
        assert!(close(&best_of(&[(1e9, 1e-3), (1e9, 1e-3)]), &[0.5, 0.5], 1e-9));
        assert!(close(&best_of(&[(0.0, 1e-9), (0.0, 1e9)]), &[0.5, 0.5], 1e-9));
        let rare = probability_best_beta(&[(0.01, 5.0), (0.01, 5.0), (1e-3, 1e3)]).unwrap();
        assert!((rare[0] - rare[1]).abs() < 1e-12 && rare[2] < 0.1, "{rare:?}");
        let certain = probability_best_beta(&[(2e8, 1e8), (1e8, 2e8), (2e8, 1e8)]).unwrap();
        assert!(close(&certain, &[0.5, 0.0, 0.5], 1e-6), "{certain:?}");
    }

    fn arms() -> impl Strategy<Value = Vec<(f64, f64)>> {
        prop::collection::vec((-3.0..3.0_f64, 0.2..4.0_f64), 1..6)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn normal_arms_agree_with_a_fine_grid(arms in arms()) {
            prop_assert!(close(&best_of(&arms), &slow(&arms), 1e-6), "{:?} {:?}", best_of(&arms), slow(&arms));
        }

        #[test]
        fn two_normal_arms_agree_with_the_closed_form(
            apart in -20.0..20.0_f64, first in -9.0..3.0_f64, second in -9.0..3.0_f64, offset in -1e3..1e3_f64,
        ) {
            let (first, second) = (10_f64.powf(first), 10_f64.powf(second));
            let apart = apart * first.hypot(second) / 4.0;
            let exact = Reference::standard().cdf(apart / first.hypot(second));
            let ours = best_of(&[(apart, first), (0.0, second)]);
            prop_assert!(close(&ours, &[exact, 1.0 - exact], 1e-9), "{ours:?} {exact}");
            let moved = best_of(&[(offset + apart, first), (offset, second)]);
            // The offset itself rounds the distance.
            prop_assert!(close(&moved, &ours, 1e-12 * offset.abs() / first.hypot(second) + 1e-9), "{moved:?}");
        }

        #[test]
        fn two_beta_arms_agree_with_the_closed_form(a in 1..400_u32, b in 1..400_u32, c in 1..400_u32, d in 1..400_u32) {
            let exact = second_beats_first((a, b), (c, d));
            let ours = probability_best_beta(&[(a.into(), b.into()), (c.into(), d.into())]).unwrap();
            prop_assert!(close(&ours, &[1.0 - exact, exact], 1e-9), "{ours:?} {exact}");
        }

        #[test]
        fn chances_sum_to_one_and_follow_their_arms(
            arms in prop::collection::vec((-1e3..1e3_f64, -12.0..6.0_f64), 1..12), turn in 0_usize..12,
        ) {
            let mut arms: Vec<(f64, f64)> = arms.into_iter().map(|(mean, log)| (mean, 10_f64.powf(log))).collect();
            let mut chances = best_of(&arms);
            prop_assert!((chances.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            prop_assert!(chances.iter().all(|chance| (0.0..=1.0).contains(chance)));
            let turn = turn % arms.len();
            arms.rotate_left(turn);
            chances.rotate_left(turn);
            prop_assert!(close(&best_of(&arms), &chances, 1e-9));
        }

        #[test]
        fn equal_arms_share_equally(count in 1_usize..20, mean in -1e6..1e6_f64, sd in 0.0..10.0_f64) {
            let share = 1.0 / count as f64;
            prop_assert!(close(&best_of(&vec![(mean, sd); count]), &vec![share; count], 1e-12));
        }
    }
}
