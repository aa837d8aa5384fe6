//! Count, mean and spread of numbers, kept without the numbers.

use serde::{Deserialize, Serialize};

/// Count, mean and sum of squares around the mean. Merging two gives what pushing all the numbers gives, up to
/// rounding, so shards and days may be added up.
///
/// A number that is not finite makes every figure useless; whoever pushes refuses it before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// How many numbers.
    pub n: u64,
    /// Their mean; 0 without numbers.
    pub mean: f64,
    /// The sum of squared distances from the mean.
    pub m2: f64,
}

impl Moments {
    /// The moments of these numbers, taken in their order.
    pub fn of(values: &[f64]) -> Self {
        let mut moments = Self::default();
        for value in values {
            moments.push(*value);
        }
        moments
    }

    /// Takes one more finite number (Welford 1962).
    pub fn push(&mut self, value: f64) {
        self.n += 1;
        let from_old = value - self.mean;
        self.mean += from_old / self.n as f64;
        self.m2 += from_old * (value - self.mean);
    }

    /// Takes the numbers behind `other` (Chan, Golub and LeVeque 1979).
    pub fn merge(&mut self, other: &Self) {
        if self.n == 0 {
            *self = *other;
            return;
        }
        if other.n == 0 {
            return;
        }
        let (own, theirs) = (self.n as f64, other.n as f64);
        let apart = other.mean - self.mean;
        self.n += other.n;
        self.mean += apart * (theirs / (own + theirs));
        self.m2 += other.m2 + apart * apart * (own * theirs / (own + theirs));
    }

    /// The sample variance, with `n − 1` below the line; nothing below two numbers.
    pub fn variance(&self) -> Option<f64> {
        (self.n >= 2).then(|| self.m2 / (self.n - 1) as f64)
    }

    /// The standard error of the mean; nothing below two numbers.
    pub fn standard_error(&self) -> Option<f64> {
        self.variance().map(|variance| (variance / self.n as f64).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(a: Moments, b: Moments) -> bool {
        let close = |x: f64, y: f64| (x - y).abs() <= 1e-9 * (1.0 + x.abs().max(y.abs()));
        a.n == b.n && close(a.mean, b.mean) && close(a.m2, b.m2)
    }

    /// Two passes over the numbers, as the definition says.
    fn slow(values: &[f64]) -> Moments {
        if values.is_empty() {
            return Moments::default();
        }
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let m2 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Moments { n: values.len() as u64, mean, m2 }
    }

    fn merged(mut a: Moments, b: Moments) -> Moments {
        a.merge(&b);
        a
    }

    #[test]
    fn one_number_has_a_mean_and_no_spread() {
        let one = Moments::of(&[4.5]);
        assert_eq!(one, Moments { n: 1, mean: 4.5, m2: 0.0 });
        assert_eq!((one.variance(), one.standard_error()), (None, None));
        let two = Moments::of(&[1.0, 3.0]);
        assert_eq!((two.variance(), two.standard_error()), (Some(2.0), Some(1.0)));
    }

    #[test]
    fn a_large_offset_does_not_cancel_the_spread() {
        let moments = Moments::of(&[1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0]);
        assert_eq!(moments.variance(), Some(1.0));
    }

    fn values() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(-100.0..100.0_f64, 0..40)
    }

    proptest! {
        #[test]
        fn pushing_agrees_with_two_passes(values in values()) {
            prop_assert!(near(Moments::of(&values), slow(&values)));
        }

        #[test]
        fn merging_is_pushing_all(a in values(), b in values()) {
            let all: Vec<f64> = a.iter().chain(&b).copied().collect();
            prop_assert!(near(merged(Moments::of(&a), Moments::of(&b)), Moments::of(&all)));
        }

        #[test]
        fn merging_is_associative_and_commutative_with_an_identity(a in values(), b in values(), c in values()) {
            let [a, b, c] = [a, b, c].map(|values| Moments::of(&values));
            prop_assert!(near(merged(merged(a, b), c), merged(a, merged(b, c))));
            prop_assert!(near(merged(a, b), merged(b, a)));
            prop_assert_eq!(merged(a, Moments::default()), a);
            prop_assert_eq!(merged(Moments::default(), a), a);
        }
    }
}
