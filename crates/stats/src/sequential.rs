//! Tests that may be looked at as often as one likes.
//!
//! An ordinary p-value that is looked at after every batch, until it is small, is wrong far more often than
//! it says (37 % instead of 5 % in 100 looks). The bounds here hold at all looks at once: asymptotic
//! confidence sequences in their form for independent rows (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas,
//! Annals of Statistics 2024, theorem 2.2; a normal mixture, Robbins 1970). They are asymptotic: a
//! variance is estimated and a mean is taken as nearly normal, which is why nothing is said before
//! [`FIRST_LOOK`] rows. Two arms of like size cancel each other's skewness and keep the claimed error rate even for
//! rare outcomes; a single mean of outcomes that are ones in 5 % of the rows is wrong in about 10 % of the tests
//! instead of 5 % when looked at from row 100 on.
//!
//! The rows must be independent, and which arm a row goes to must not depend on earlier outcomes: under a
//! bandit give inverse-propensity scores instead of outcomes. Rows that come in clusters, of which only the
//! clusters are independent, have [`difference_of_clustered`].

use perennial_types::Kind;
use serde::{Deserialize, Serialize};

use crate::clustered::Clustered;
use crate::moments::Moments;

/// Rows (of each arm) before which the estimated variance is not trusted and no test is made.
pub const FIRST_LOOK: u64 = 100;

/// How sure, and for which sample size the bounds are tightest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Design {
    alpha: f64,
    optimal_at: u64,
}

/// A design as it is written.
#[derive(Deserialize)]
struct Unchecked {
    alpha: f64,
    optimal_at: u64,
}

impl TryFrom<Unchecked> for Design {
    type Error = DesignError;

    fn try_from(written: Unchecked) -> Result<Self, DesignError> {
        Self::new(written.alpha, written.optimal_at)
    }
}

/// A design that no test can be made of.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum DesignError {
    /// The error rate is not between 0 and 1/2.
    #[error(
        "alpha {0} is not between 0 and 0.5; 0.05 lets one of twenty tests of equal arms find a difference"
    )]
    Alpha(f64),
    /// Bounds cannot be tightest without rows.
    #[error("optimal_at is 0; it is the number of rows, of all arms, at which the bounds shall be tightest")]
    OptimalAt,
}

impl DesignError {
    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Alpha(_) | Self::OptimalAt => Kind::Invalid,
        }
    }
}

impl Default for Design {
    /// Wrong in at most one of twenty tests, tightest at 500 rows.
    fn default() -> Self {
        Self { alpha: 0.05, optimal_at: 500 }
    }
}

impl Design {
    /// A design with error rate `alpha`, tightest when all arms together have `optimal_at` rows. Bounds are
    /// valid before and after that, only somewhat wider than they could be.
    ///
    /// # Errors
    /// When `alpha` is not between 0 and 1/2, or `optimal_at` is 0.
    pub fn new(alpha: f64, optimal_at: u64) -> Result<Self, DesignError> {
        if !(alpha > 0.0 && alpha < 0.5) {
            return Err(DesignError::Alpha(alpha));
        }
        if optimal_at == 0 {
            return Err(DesignError::OptimalAt);
        }
        Ok(Self { alpha, optimal_at })
    }

    /// The probability, over all looks together, that a bound is ever wrong.
    pub fn alpha(&self) -> f64 {
        self.alpha
    }

    /// The rows of all arms at which the bounds are tightest.
    pub fn optimal_at(&self) -> u64 {
        self.optimal_at
    }

    /// The square of the mixture's precision for a two-sided error rate; the closed form of Howard, Ramdas,
    /// McAuliffe and Sekhon (Annals of Statistics 2021, section 3.5), within 2 % of the exact optimum.
    fn rho_squared(&self, alpha: f64) -> f64 {
        let twice = -2.0 * alpha.ln();
        (twice + (twice + 1.0).ln()) / self.optimal_at as f64
    }
}

/// What all rows so far say about a mean or a difference of means, valid at every look.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sequence {
    /// Rows of all arms.
    pub rows: u64,
    /// The mean, or the first mean minus the second.
    pub estimate: f64,
    /// The truth lies within `estimate ± half_width` at all looks together with probability `1 − alpha`.
    pub half_width: f64,
    /// Probability, if the truth is zero, of ever seeing evidence this strong; at most `alpha` exactly when
    /// zero lies outside the interval. The smallest of all looks may be kept.
    pub p_value: f64,
    /// With probability `1 − alpha` the truth is never below it; a bound for its own, not for both sides.
    pub lower: f64,
    /// With probability `1 − alpha` the truth is never above it; a bound for its own, not for both sides.
    pub upper: f64,
}

/// The sequence for a mean. Nothing below [`FIRST_LOOK`] rows, when all rows are equal (which says nothing of how
/// far they may lie from the mean: a hundred zeros can come from a rate of 5 %), or when a figure is not finite.
pub fn mean(moments: &Moments, design: Design) -> Option<Sequence> {
    if moments.n < FIRST_LOOK || moments.m2 == 0.0 {
        return None;
    }
    sequence(moments.mean, moments.variance()? / moments.n as f64, moments.n, design)
}

/// The sequence for the mean behind `a` minus the mean behind `b`. An arm whose rows are all equal is given the
/// variance of the other. Nothing below [`FIRST_LOOK`] rows of either, when all rows of both are equal, or
/// when a figure is not finite.
pub fn difference(a: &Moments, b: &Moments, design: Design) -> Option<Sequence> {
    difference_of_clustered(&Clustered::from(*a), &Clustered::from(*b), design)
}

/// The same for means of rows that come in clusters: [`FIRST_LOOK`] and the variances are those of clusters.
///
/// How far the bounds have opened goes by the rows, since a cluster's rows come one after another: were all of them
/// independent after all, the sum of rows would be a random walk with a step a row, and a bound that stood still
/// while a fixed number of clusters goes on would be crossed in the end. Rows that hang together make that sum
/// move together, so that it crosses a bound less often than the walk does.
pub fn difference_of_clustered(a: &Clustered, b: &Clustered, design: Design) -> Option<Sequence> {
    let estimate = a.mean - b.mean;
    if a.clusters.min(b.clusters) < FIRST_LOOK || (a.m2 == 0.0 && b.m2 == 0.0 && estimate == 0.0) {
        return None;
    }
    let (of_a, of_b) = (a.variance()?, b.variance()?);
    let or = |own: f64, other: f64| if own == 0.0 { other } else { own };
    let squared_error = or(of_a, of_b) / a.clusters as f64 + or(of_b, of_a) / b.clusters as f64;
    sequence(estimate, squared_error, a.rows + b.rows, design)
}

/// Written with the standard error `e` of the estimate and `v = rows · rho²`, half-width and p-value are
/// `e · √(2 (v + 1) / v · ln(√(v + 1) / alpha))` and `√(v + 1) · exp(−v · (estimate/e)² / (2 (v + 1)))`; the
/// one-sided bound has `1 + √(v + 1) / (2 alpha)` inside the logarithm.
fn sequence(estimate: f64, squared_error: f64, rows: u64, design: Design) -> Option<Sequence> {
    if !(estimate.is_finite() && squared_error.is_finite()) {
        return None;
    }
    let width = |v: f64, log: f64| (squared_error * 2.0 * (v + 1.0) / v * log).sqrt();
    let two_sided = rows as f64 * design.rho_squared(design.alpha);
    let half_width = width(two_sided, ((two_sided + 1.0).sqrt() / design.alpha).ln());
    // One side of a two-sided test at 2 alpha; the half-normal mixture behind it is best tuned there.
    let one_sided = rows as f64 * design.rho_squared(2.0 * design.alpha);
    let reach = width(one_sided, (1.0 + (one_sided + 1.0).sqrt() / (2.0 * design.alpha)).ln());
    Some(Sequence {
        rows,
        estimate,
        half_width,
        p_value: p_value(estimate, squared_error, two_sided),
        lower: estimate - reach,
        upper: estimate + reach,
    })
}

fn p_value(estimate: f64, squared_error: f64, v: f64) -> f64 {
    // No difference is no evidence, even where no error is left to divide by.
    if estimate == 0.0 {
        return 1.0;
    }
    let squared_distance = estimate * estimate / squared_error;
    ((v + 1.0).sqrt() * (-v * squared_distance / (2.0 * (v + 1.0))).exp()).min(1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use statrs::distribution::{ContinuousCDF, Normal};

    use super::*;

    fn moments(n: u64, mean: f64, variance: f64) -> Moments {
        Moments { n, mean, m2: variance * (n - 1) as f64 }
    }

    #[test]
    fn designs_without_meaning_are_refused_also_when_read() {
        assert_eq!(Design::new(0.6, 500), Err(DesignError::Alpha(0.6)));
        assert!(Design::new(f64::NAN, 500).is_err());
        assert_eq!(Design::new(0.05, 0).unwrap_err().kind(), Kind::Invalid);
        let read: Result<Design, _> = serde_json::from_str(r#"{"alpha":2.0,"optimal_at":500}"#);
        assert!(read.unwrap_err().to_string().contains("alpha 2 is not between"));
        let design = Design::new(0.01, 5_000).unwrap();
        let written = serde_json::to_string(&design).unwrap();
        assert_eq!(serde_json::from_str::<Design>(&written).unwrap(), design);
    }

    #[test]
    fn few_rows_and_broken_figures_give_no_test() {
        let (few, enough) = (moments(FIRST_LOOK - 1, 9.0, 1.0), moments(FIRST_LOOK, 0.0, 1.0));
        assert_eq!(mean(&few, Design::default()), None);
        assert_eq!(difference(&few, &enough, Design::default()), None);
        assert!(difference(&enough, &enough, Design::default()).is_some());
        assert_eq!(mean(&moments(100, f64::NAN, 1.0), Design::default()), None);
    }

    #[test]
    fn an_arm_that_never_varies_is_no_certainty() {
        let (zero, one) = (moments(100, 0.0, 0.0), moments(100, 1.0, 0.0));
        assert_eq!(
            (mean(&zero, Design::default()), difference(&zero, &zero, Design::default())),
            (None, None)
        );
        let (rare, as_rare) = (moments(500, 0.02, 0.02), moments(100, 0.0, 0.02));
        let told = difference(&zero, &rare, Design::default());
        assert_eq!(told, difference(&as_rare, &rare, Design::default()));
        // Two arms of a hundred equal rows each that differ do not come from one mean.
        let apart = difference(&one, &zero, Design::default()).unwrap();
        assert_eq!((apart.estimate, apart.half_width, apart.p_value), (1.0, 0.0, 0.0));
    }

    #[test]
    fn fifty_rows_agree_with_the_formula_in_numpy() {
        let told = sequence(2.0, 4.0 / 50.0, 50, Design::new(0.05, 5_000).unwrap()).unwrap();
        assert!((told.half_width - 2.569_450_521_197_577_8).abs() < 1e-12, "{told:?}");
    }

    /// The exact boundary of the half-normal mixture by bisection: where twice the normal mixture, times the
    /// normal probability of its argument, reaches `1 / alpha` (Howard and others 2021, proposition 6). The
    /// result is in standard errors.
    fn exact_one_sided(v: f64, alpha: f64) -> f64 {
        let normal = Normal::standard();
        let mixture = |z: f64| {
            let share = z * (v / (v + 1.0)).sqrt();
            2.0 / (v + 1.0).sqrt() * (share * share / 2.0).exp() * normal.cdf(share)
        };
        let (mut low, mut high) = (0.0_f64, 30.0_f64);
        for _ in 0..200 {
            let middle = f64::midpoint(low, high);
            if mixture(middle) < 1.0 / alpha { low = middle } else { high = middle }
        }
        high
    }

    proptest! {
        #[test]
        fn the_one_sided_bound_covers_the_exact_one_closely(rows in FIRST_LOOK..100_000, alpha in 0.001..0.2_f64) {
            let design = Design::new(alpha, 500).unwrap();
            let ours = mean(&moments(rows, 0.0, 1.0), design).unwrap();
            let in_errors = ours.upper * (rows as f64).sqrt();
            let exact = exact_one_sided(rows as f64 * design.rho_squared(2.0 * alpha), alpha);
            prop_assert!(in_errors >= exact && in_errors < 1.2 * exact, "{in_errors} {exact}");
            // Before the best size the precisions, each tuned to its own error rate, may order them otherwise.
            prop_assert!(rows < 500 || ours.upper < ours.half_width);
        }

        #[test]
        fn the_p_value_is_below_alpha_exactly_when_zero_is_outside(
            rows in FIRST_LOOK..5_000,
            estimate in -1.0..1.0_f64,
            variance in 0.01..4.0_f64,
            alpha in 0.001..0.3_f64,
        ) {
            let design = Design::new(alpha, 500).unwrap();
            let told = mean(&moments(rows, estimate, variance), design).unwrap();
            prop_assume!((told.estimate.abs() - told.half_width).abs() > 1e-9);
            prop_assert_eq!(told.p_value < alpha, told.estimate.abs() > told.half_width);
        }

        #[test]
        fn swapping_arms_mirrors_the_result(
            n in FIRST_LOOK..500, m in FIRST_LOOK..500, apart in -1.0..1.0_f64, variance in 0.0..4.0_f64,
        ) {
            let (a, b) = (moments(n, apart, variance), moments(m, 0.25, 1.0));
            let there = difference(&a, &b, Design::default()).unwrap();
            let back = difference(&b, &a, Design::default()).unwrap();
            prop_assert_eq!((there.estimate, there.half_width), (-back.estimate, back.half_width));
            prop_assert_eq!((there.lower, there.p_value), (-back.upper, back.p_value));
        }
    }
}
