//! The generator that the reference programs used too.

/// A 64-bit linear congruential generator with Knuth's constants.
pub(crate) struct Lcg(u64);

impl Lcg {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A draw from `[0, 1)`: the top 53 bits of the next state.
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[test]
fn the_generator_is_that_of_the_reference_programs() {
    let mut lcg = Lcg::new(1);
    let first: Vec<f64> = (0..3).map(|_| lcg.uniform()).collect();
    assert_eq!(first, [0.423_209_170_872_713_26, 0.509_407_442_883_720_6, 0.648_359_393_963_430_6]);
}
