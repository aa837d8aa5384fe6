//! Reproducible random numbers: SplitMix64 (Steele, Lea and Flood 2014).

/// A generator whose numbers depend on its seed alone.
pub(crate) struct Draws(u64);

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From `[0, 1)`.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Nearly normal with mean 0 and variance 1, and quick: the ones among 64 fair bits.
    pub(crate) fn bell(&mut self) -> f64 {
        (f64::from(self.bits().count_ones()) - 32.0) / 4.0
    }

    /// One with this probability, else zero.
    pub(crate) fn bernoulli(&mut self, probability: f64) -> f64 {
        f64::from(u8::from(self.uniform() < probability))
    }

    /// Exponential with mean 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        -(1.0 - self.uniform()).ln()
    }
}

#[test]
fn draws_have_the_moments_they_claim() {
    let mut draws = Draws::new(1);
    let mean = |mut draw: Box<dyn FnMut() -> f64 + '_>| (0..100_000).map(|_| draw()).sum::<f64>() / 1e5;
    assert!((mean(Box::new(|| draws.uniform())) - 0.5).abs() < 0.005);
    assert!(mean(Box::new(|| draws.bell())).abs() < 0.02);
    assert!((mean(Box::new(|| draws.bell().powi(2))) - 1.0).abs() < 0.03);
    assert!((mean(Box::new(|| draws.exponential())) - 1.0).abs() < 0.02);
    assert!((mean(Box::new(|| draws.bernoulli(0.2))) - 0.2).abs() < 0.008);
}
