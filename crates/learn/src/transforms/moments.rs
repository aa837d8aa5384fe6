//! Count, mean and spread of the numbers seen so far.

/// A deviation below this is that of a constant.
const CONSTANT_BELOW: f64 = 1e-8;

/// Count, mean and sum of squared deviations, one number at a time (Welford 1962). Numbers pushed in several
/// calls give the same bits as in one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Moments {
    pub(crate) count: u64,
    pub(crate) mean: f64,
    pub(crate) m2: f64,
}

impl Moments {
    /// Count one more number.
    pub(crate) fn push(&mut self, x: f64) {
        self.count += 1;
        let delta = x - self.mean;
        self.mean += delta / self.count as f64;
        self.m2 += delta * (x - self.mean);
    }

    /// The population standard deviation, or 1 for a constant, so that it can divide.
    pub(crate) fn scale(&self) -> f64 {
        if self.count == 0 {
            return 1.0;
        }
        let deviation = (self.m2 / self.count as f64).sqrt();
        if deviation < CONSTANT_BELOW { 1.0 } else { deviation }
    }

    /// Whether mean and deviation are numbers; they are not after numbers near the end of the range.
    pub(crate) fn usable(&self) -> bool {
        self.mean.is_finite() && self.m2.is_finite() && self.m2 >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn moments_agree_with_two_passes(numbers in prop::collection::vec(-1e6..1e6, 1..200)) {
            let mut moments = Moments::default();
            numbers.iter().for_each(|x| moments.push(*x));
            let n = numbers.len() as f64;
            let mean = numbers.iter().sum::<f64>() / n;
            let m2 = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
            prop_assert!((moments.mean - mean).abs() <= 1e-9 * (1.0 + mean.abs()));
            prop_assert!((moments.m2 - m2).abs() <= 1e-9 * (1.0 + m2));
        }
    }

    #[test]
    fn a_constant_scales_by_one() {
        let mut moments = Moments::default();
        assert_eq!(moments.scale(), 1.0);
        (0..1000).for_each(|_| moments.push(0.003467));
        assert_eq!((moments.mean, moments.scale()), (0.003467, 1.0));
    }
}
