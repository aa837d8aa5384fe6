//! Two samples of numbers: the largest and the average distance between their distribution functions.

use serde::{Deserialize, Serialize};

/// Products of both sizes up to which the p-value is exact. Beyond, the limit is as good and needs no work.
const EXACT_UP_TO: u64 = 100_000;

/// How far two samples lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distances {
    /// The Kolmogorov-Smirnov statistic: the largest distance of the distribution functions, from 0 to 1.
    pub ks: f64,
    /// Probability of a distance at least as large between two samples of one distribution. With ties it is
    /// larger than it need be, never smaller.
    pub p_value: f64,
    /// The Wasserstein-1 distance: the area between the distribution functions, in the unit of the numbers.
    pub wasserstein: f64,
}

/// Compares two sorted samples of finite numbers in one walk over both. Nothing if one of them is empty.
///
/// The p-value is exact (Hodges 1957) where the product of the sizes is at most 100,000; beyond, it is that of
/// Kolmogorov's limit with Stephens' correction (1970).
pub fn distances(reference: &[f64], current: &[f64]) -> Option<Distances> {
    if reference.is_empty() || current.is_empty() {
        return None;
    }
    let (n, m) = (reference.len() as u64, current.len() as u64);
    let (gap, wasserstein) = walk(reference, current);
    let ks = gap as f64 / (n * m) as f64;
    let p_value = if n * m <= EXACT_UP_TO { exact_p(n, m, gap) } else { asymptotic_p(n, m, ks) };
    Some(Distances { ks, p_value, wasserstein })
}

/// The largest `|i · m − j · n|` where `i` numbers of the first and `j` of the second sample are not above some
/// number, which is the statistic times both sizes; and the area.
fn walk(reference: &[f64], current: &[f64]) -> (u64, f64) {
    let (n, m) = (reference.len() as u64, current.len() as u64);
    let (mut i, mut j) = (0, 0);
    let (mut gap, mut area) = (0, 0.0);
    // Where the last of one sample is passed, the gap only shrinks, but its area still counts.
    while i < reference.len() || j < current.len() {
        let at = match (reference.get(i), current.get(j)) {
            (Some(a), Some(b)) => a.min(*b),
            (Some(only), None) | (None, Some(only)) => *only,
            (None, None) => break,
        };
        i += reference[i..].iter().take_while(|value| **value <= at).count();
        j += current[j..].iter().take_while(|value| **value <= at).count();
        let here = (i as u64 * m).abs_diff(j as u64 * n);
        gap = gap.max(here);
        let next = match (reference.get(i), current.get(j)) {
            (Some(a), Some(b)) => a.min(*b),
            (Some(only), None) | (None, Some(only)) => *only,
            (None, None) => at,
        };
        area += (next - at) * (here as f64 / (n * m) as f64);
    }
    (gap, area)
}

/// The probability that a random order of `n` and `m` numbers has a gap of at least `gap`.
///
/// An order is a path over a grid, one step a number. The probability of being at a cell is carried along
/// inside the band where the gap is smaller; what leaves the band is added up, so that small p-values keep their
/// digits.
fn exact_p(n: u64, m: u64, gap: u64) -> f64 {
    if gap == 0 {
        return 1.0;
    }
    let mut alive = vec![0.0; m as usize + 1];
    let mut left = 0.0;
    let mut low = 0;
    for i in 0..=n {
        let high = ((i * m + gap - 1) / n + 1).min(m);
        for j in low..=high {
            let along_first = if i == 0 { 0.0 } else { step(n - (i - 1), m - j) };
            let start = if i == 0 && j == 0 { 1.0 } else { alive[j as usize] * along_first };
            let along_second = if j == 0 { 0.0 } else { alive[j as usize - 1] * step(m - (j - 1), n - i) };
            let mass: f64 = start + along_second;
            if (i * m).abs_diff(j * n) >= gap {
                left += mass;
                alive[j as usize] = 0.0;
            } else {
                alive[j as usize] = mass;
            }
        }
        low = if i * m >= gap { (i * m - gap) / n + 1 } else { 0 };
    }
    left.min(1.0)
}

/// The probability that the next number is from the sample that has `own` left.
fn step(own: u64, other: u64) -> f64 {
    own as f64 / (own + other) as f64
}

fn asymptotic_p(n: u64, m: u64, ks: f64) -> f64 {
    let root = (n as f64 * m as f64 / (n + m) as f64).sqrt();
    kolmogorov((root + 0.12 + 0.11 / root) * ks)
}

/// The probability that Kolmogorov's distribution exceeds `x`; of its two series the one that converges quickly.
fn kolmogorov(x: f64) -> f64 {
    if x < 0.2 {
        return 1.0;
    }
    let sum = |term: &dyn Fn(f64) -> f64| (1..=6).map(|k| term(f64::from(k))).sum::<f64>();
    if x < 1.0 {
        let pi = std::f64::consts::PI;
        let below = sum(&|k| (-((2.0 * k - 1.0) * pi / x).powi(2) / 8.0).exp());
        return 1.0 - (2.0 * pi).sqrt() / x * below;
    }
    2.0 * (-2.0 * x * x).exp()
        - 2.0
            * sum(&|k| {
                // The terms after the first in pairs of signs: minus the second, plus the third, and so on.
                let sign = if k as i64 % 2 == 1 { 1.0 } else { -1.0 };
                sign * (-2.0 * ((k + 1.0) * x).powi(2)).exp()
            })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Both functions counted anew at every number.
    fn slow(reference: &[f64], current: &[f64]) -> (f64, f64) {
        let mut points: Vec<f64> = reference.iter().chain(current).copied().collect();
        points.sort_by(f64::total_cmp);
        let share = |values: &[f64], at: f64| {
            values.iter().filter(|value| **value <= at).count() as f64 / values.len() as f64
        };
        let apart = |at: f64| (share(reference, at) - share(current, at)).abs();
        let ks = points.iter().map(|at| apart(*at)).fold(0.0, f64::max);
        let area = points.windows(2).map(|pair| (pair[1] - pair[0]) * apart(pair[0])).sum();
        (ks, area)
    }

    /// Every order of the numbers, one after another.
    fn slow_p(n: u64, m: u64, gap: u64) -> f64 {
        let (mut all, mut reached) = (0_u32, 0_u32);
        for order in 0_u32..1 << (n + m) {
            if u64::from(order.count_ones()) != n {
                continue;
            }
            let (mut i, mut j, mut largest) = (0, 0, 0);
            for place in 0..n + m {
                if order >> place & 1 == 1 {
                    i += 1
                } else {
                    j += 1
                }
                largest = largest.max((i * m).abs_diff(j * n));
            }
            all += 1;
            reached += u32::from(largest >= gap);
        }
        f64::from(reached) / f64::from(all)
    }

    #[test]
    fn an_empty_sample_has_no_distance_and_equal_ones_none_at_all() {
        assert_eq!(distances(&[], &[1.0]), None);
        assert_eq!(
            distances(&[1.0, 2.0], &[1.0, 2.0]),
            Some(Distances { ks: 0.0, p_value: 1.0, wasserstein: 0.0 })
        );
        let apart = distances(&[-0.0, 0.0], &[0.0, 3.0]).unwrap();
        assert_eq!((apart.ks, apart.wasserstein), (0.5, 1.5));
    }

    #[test]
    fn both_series_of_the_limit_meet() {
        // Smirnov 1948, table: 1 - K(0.5), 1 - K(1), 1 - K(1.36).
        for (x, p) in [(0.5, 0.963_945), (0.999_999_9, 0.27), (1.0, 0.27), (1.36, 0.049_486)] {
            assert!((kolmogorov(x) - p).abs() < 1e-5, "{x}: {}", kolmogorov(x));
        }
        assert_eq!(kolmogorov(0.0), 1.0);
    }

    fn sample() -> impl Strategy<Value = Vec<f64>> {
        // Few different numbers, so that ties within and between samples are common.
        prop::collection::vec((-9_i32..9).prop_map(|value| f64::from(value) / 2.0), 1..30).prop_map(
            |mut values| {
                values.sort_by(f64::total_cmp);
                values
            },
        )
    }

    proptest! {
        #[test]
        fn the_walk_agrees_with_counting(reference in sample(), current in sample()) {
            let (ks, area) = slow(&reference, &current);
            let ours = distances(&reference, &current).unwrap();
            prop_assert!((ours.ks - ks).abs() < 1e-12 && (ours.wasserstein - area).abs() < 1e-9, "{ours:?} {ks} {area}");
        }

        #[test]
        fn the_exact_p_value_counts_all_orders(n in 1_u64..7, m in 1_u64..7, part in 0.0..=1.0_f64) {
            let gap = (part * (n * m) as f64) as u64;
            prop_assert!((exact_p(n, m, gap) - slow_p(n, m, gap)).abs() < 1e-12);
        }

        #[test]
        fn the_limit_is_near_the_exact_value_where_decisions_are_made(n in 150_u64..400, m in 150_u64..400, x in 1.2..2.0_f64) {
            let ks = x / (n as f64 * m as f64 / (n + m) as f64).sqrt();
            let gap = (ks * (n * m) as f64).ceil() as u64;
            let (exact, limit) = (exact_p(n, m, gap), asymptotic_p(n, m, gap as f64 / (n * m) as f64));
            prop_assert!((limit / exact - 1.0).abs() < 0.25, "{limit} {exact}");
        }
    }
}
