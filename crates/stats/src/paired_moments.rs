//! Two numbers a row, kept without the rows.

use serde::{Deserialize, Serialize};

use crate::moments::Moments;

/// Means, squares and products around the means of pairs `(a, b)`: enough for the mean and the spread of any
/// difference `a − factor · b`. Merging two gives what pushing all pairs gives, up to rounding.
///
/// A number that is not finite makes every figure useless; whoever pushes refuses it before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PairedMoments {
    /// How many pairs.
    pub n: u64,
    /// Mean of the first numbers; 0 without pairs.
    pub mean_a: f64,
    /// Mean of the second numbers; 0 without pairs.
    pub mean_b: f64,
    /// Squared distances of the first numbers from their mean, summed.
    pub m2_a: f64,
    /// Squared distances of the second numbers from their mean, summed.
    pub m2_b: f64,
    /// Products of both distances, summed.
    pub c_ab: f64,
}

/// A spread of differences below this part of the spread of both numbers is rounding: it is taken as zero.
const ROUNDING: f64 = 1e-14;

impl PairedMoments {
    /// Takes one more pair of finite numbers.
    pub fn push(&mut self, a: f64, b: f64) {
        self.merge(&Self { n: 1, mean_a: a, mean_b: b, ..Self::default() });
    }

    /// Takes the pairs behind `other` (Chan, Golub and LeVeque 1979, for each square and the product).
    pub fn merge(&mut self, other: &Self) {
        if self.n == 0 {
            *self = *other;
            return;
        }
        if other.n == 0 {
            return;
        }
        let (own, theirs) = (self.n as f64, other.n as f64);
        let (apart_a, apart_b) = (other.mean_a - self.mean_a, other.mean_b - self.mean_b);
        let share = theirs / (own + theirs);
        let weight = own * share;
        self.n += other.n;
        self.mean_a += apart_a * share;
        self.mean_b += apart_b * share;
        self.m2_a += other.m2_a + apart_a * apart_a * weight;
        self.m2_b += other.m2_b + apart_b * apart_b * weight;
        self.c_ab += other.c_ab + apart_a * apart_b * weight;
    }

    /// Of the first numbers alone.
    pub fn first(&self) -> Moments {
        Moments { n: self.n, mean: self.mean_a, m2: self.m2_a }
    }

    /// Of the second numbers alone.
    pub fn second(&self) -> Moments {
        Moments { n: self.n, mean: self.mean_b, m2: self.m2_b }
    }

    /// Of the differences `a − factor · b`. Differences that all are equal have a spread of exactly zero.
    pub fn difference(&self, factor: f64) -> Moments {
        let squares = self.m2_a + factor * factor * self.m2_b;
        let spread = squares - 2.0 * factor * self.c_ab;
        // What is left of two large numbers that cancel is rounding, and may even be negative.
        let m2 = if spread > ROUNDING * squares { spread } else { 0.0 };
        Moments { n: self.n, mean: self.mean_a - factor * self.mean_b, m2 }
    }

    /// Whether every figure is finite.
    pub(crate) fn finite(&self) -> bool {
        [self.mean_a, self.mean_b, self.m2_a, self.m2_b, self.c_ab].iter().all(|figure| figure.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(pairs: &[(f64, f64)]) -> PairedMoments {
        let mut moments = PairedMoments::default();
        for (a, b) in pairs {
            moments.push(*a, *b);
        }
        moments
    }

    fn merged(mut a: PairedMoments, b: PairedMoments) -> PairedMoments {
        a.merge(&b);
        a
    }

    fn close(x: f64, y: f64) -> bool {
        (x - y).abs() <= 1e-9 * (1.0 + x.abs().max(y.abs()))
    }

    fn near(a: PairedMoments, b: PairedMoments) -> bool {
        let figures = |m: PairedMoments| [m.mean_a, m.mean_b, m.m2_a, m.m2_b, m.c_ab];
        a.n == b.n && figures(a).into_iter().zip(figures(b)).all(|(x, y)| close(x, y))
    }

    #[test]
    fn equal_pairs_differ_by_exactly_nothing() {
        let same = of(&[(0.1, 0.1), (0.7, 0.7), (0.35, 0.35)]);
        assert_eq!(same.difference(1.0), Moments { n: 3, mean: 0.0, m2: 0.0 });
    }

    fn pairs() -> impl Strategy<Value = Vec<(f64, f64)>> {
        prop::collection::vec((-50.0..50.0_f64, -50.0..50.0_f64), 0..40)
    }

    proptest! {
        #[test]
        fn differences_agree_with_those_of_the_rows(pairs in pairs(), factor in 0.0..2.0_f64) {
            let rows: Vec<f64> = pairs.iter().map(|(a, b)| a - factor * b).collect();
            let (fast, slow) = (of(&pairs).difference(factor), Moments::of(&rows));
            prop_assert_eq!(fast.n, slow.n);
            prop_assert!(close(fast.mean, slow.mean) && close(fast.m2, slow.m2), "{fast:?} {slow:?}");
        }

        #[test]
        fn each_side_is_its_own_moments(pairs in pairs()) {
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
            for (ours, slow) in [(of(&pairs).first(), Moments::of(&a)), (of(&pairs).second(), Moments::of(&b))] {
                prop_assert!(ours.n == slow.n && close(ours.mean, slow.mean) && close(ours.m2, slow.m2));
            }
        }

        #[test]
        fn merging_is_pushing_all_in_any_grouping(a in pairs(), b in pairs(), c in pairs()) {
            let all: Vec<(f64, f64)> = a.iter().chain(&b).chain(&c).copied().collect();
            let [a, b, c] = [a, b, c].map(|pairs| of(&pairs));
            prop_assert!(near(merged(merged(a, b), c), of(&all)));
            prop_assert!(near(merged(a, merged(b, c)), of(&all)));
            prop_assert!(near(merged(a, b), merged(b, a)));
            prop_assert_eq!(merged(a, PairedMoments::default()), a);
            prop_assert_eq!(merged(PairedMoments::default(), a), a);
        }
    }
}
