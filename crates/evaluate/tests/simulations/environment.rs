//! Rewards that every implementation can draw: SplitMix64 by counter (Steele, Lea and Flood 2014).

/// Uniform draw `index` of a stream, from `[0, 1)`.
pub(crate) fn uniform(seed: u64, index: u64) -> f64 {
    let mut z = seed.wrapping_add((index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    (z >> 11) as f64 / (1_u64 << 53) as f64
}

/// Standard normal draw `index` of a stream (Box and Muller 1958).
pub(crate) fn gauss(seed: u64, index: u64) -> f64 {
    let radius = (-2.0 * (1.0 - uniform(seed, 2 * index)).ln()).sqrt();
    radius * (std::f64::consts::TAU * uniform(seed, 2 * index + 1)).cos()
}

#[test]
fn draws_are_those_of_the_specification() {
    let drawn: Vec<f64> = (0..3).map(|index| uniform(1, index)).collect();
    assert_eq!(drawn, [0.566_561_575_172_280_9, 0.745_781_757_262_701_1, 0.971_002_753_586_796_2]);
    for (index, expected) in [-0.653_110_67, -0.863_641_9, -0.114_796_31].into_iter().enumerate() {
        assert!((gauss(777, index as u64) - expected).abs() < 1e-7);
    }
}
