//! Counts by category: whether two of them come from one distribution, and how far apart they are.

use statrs::distribution::{ChiSquared, ContinuousCDF};
use statrs::function::factorial::ln_factorial;

/// Rows that a cell must be expected to have for the chi-square distribution to fit (Cochran 1954).
const SMALLEST_EXPECTED: f64 = 5.0;

/// Pearson's chi-square test of independence on a table of two rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChiSquare {
    /// Its statistic; 0 if nothing is left to compare.
    pub statistic: f64,
    /// Columns that were compared, less one.
    pub freedom: u64,
    /// Probability of a statistic at least as large if both rows come from one distribution.
    pub p_value: f64,
}

/// Compares the first with the second counts. Categories too rare for the distribution to fit (an expected count
/// below 5 in either row) are taken together. Which ones depends on both rows' sum alone, so that the error rate
/// stays as claimed. No correction for continuity.
pub fn chi_square(pairs: &[(u64, u64)]) -> ChiSquare {
    let pairs = joined(pairs);
    let (first, second) = sums(&pairs);
    let all = (first + second) as f64;
    let freedom = pairs.len().saturating_sub(1) as u64;
    if freedom == 0 {
        return ChiSquare { statistic: 0.0, freedom, p_value: 1.0 };
    }
    let mut statistic = 0.0;
    for &(a, b) in &pairs {
        let total = (a + b) as f64;
        for (count, row) in [(a, first), (b, second)] {
            let expected = total * row as f64 / all;
            statistic += (count as f64 - expected).powi(2) / expected;
        }
    }
    ChiSquare { statistic, freedom, p_value: chi_square_tail(statistic, freedom) }
}

fn sums(pairs: &[(u64, u64)]) -> (u64, u64) {
    pairs.iter().fold((0, 0), |sums, pair| (sums.0 + pair.0, sums.1 + pair.1))
}

/// Joins the rarest categories until every one is expected often enough in both rows.
fn joined(pairs: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let (first, second) = sums(pairs);
    let enough =
        |total: u64| total as f64 * first.min(second) as f64 >= SMALLEST_EXPECTED * (first + second) as f64;
    let mut pairs = pairs.to_vec();
    pairs.sort_by_key(|(a, b)| a + b);
    let mut kept = Vec::new();
    let mut rare = (0, 0);
    for (a, b) in pairs {
        // The rare ones come first; the next common one joins them only if they are too few even together.
        if !enough(a + b) || (rare != (0, 0) && !enough(rare.0 + rare.1)) {
            rare = (rare.0 + a, rare.1 + b);
        } else {
            kept.push((a, b));
        }
    }
    if rare != (0, 0) {
        kept.push(rare);
    }
    kept
}

fn chi_square_tail(statistic: f64, freedom: u64) -> f64 {
    match ChiSquared::new(freedom as f64) {
        Ok(distribution) => distribution.sf(statistic),
        // Only a freedom of zero is refused; nothing is compared then.
        Err(_) => 1.0,
    }
}

/// The Jensen-Shannon distance to base 2 of two distributions given by the shares of each category: the square
/// root of the divergence, from 0 (equal) to 1 (nothing in common).
pub fn jensen_shannon(pairs: &[(f64, f64)]) -> f64 {
    let part = |share: f64, middle: f64| if share > 0.0 { share * (share / middle).log2() } else { 0.0 };
    let divergence: f64 = pairs
        .iter()
        .map(|&(p, q)| {
            let middle = 0.5 * (p + q);
            0.5 * (part(p, middle) + part(q, middle))
        })
        .sum();
    // Rounding can leave a little below zero or above one.
    divergence.clamp(0.0, 1.0).sqrt()
}

/// Probability that two shares, `hits` of `rows` each, differ at least as much if the true shares are equal:
/// Fisher's exact test where a cell of the table is expected below 5, else chi-square with Yates' correction.
/// 1 where one side has no rows.
pub fn shares_p((hits, rows): (u64, u64), (other_hits, other_rows): (u64, u64)) -> f64 {
    let (all_hits, all) = (hits + other_hits, rows + other_rows);
    if rows == 0 || other_rows == 0 || all_hits == 0 || all_hits == all {
        return 1.0;
    }
    let smallest = all_hits.min(all - all_hits) as f64 * rows.min(other_rows) as f64 / all as f64;
    if smallest < SMALLEST_EXPECTED {
        return fisher(hits, rows, all_hits, all);
    }
    let apart = (hits as f64 - all_hits as f64 * rows as f64 / all as f64).abs();
    let corrected = (apart - 0.5).max(0.0).powi(2);
    let [hit, missed] = [all_hits, all - all_hits].map(|count| count as f64);
    let variance = hit * missed / all as f64 * (rows as f64 / all as f64) * (other_rows as f64 / all as f64);
    chi_square_tail(corrected / variance, 1)
}

/// The two-sided test: all tables with these margins that are not more probable than the one seen.
fn fisher(hits: u64, rows: u64, all_hits: u64, all: u64) -> f64 {
    let log_probability =
        |x: u64| ln_choose(all_hits, x) + ln_choose(all - all_hits, rows - x) - ln_choose(all, rows);
    // Tables that are as probable in truth may differ by rounding.
    let limit = log_probability(hits) + 1e-7;
    let fewest = (all_hits + rows).saturating_sub(all);
    (fewest..=all_hits.min(rows))
        .map(log_probability)
        .filter(|log| *log <= limit)
        .map(f64::exp)
        .sum::<f64>()
        .min(1.0)
}

fn ln_choose(n: u64, k: u64) -> f64 {
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_to_compare_is_no_difference() {
        for pairs in [vec![], vec![(5, 9)], vec![(0, 0)], vec![(3, 0), (4, 0)], vec![(1, 1), (2, 0)]] {
            assert_eq!(
                chi_square(&pairs),
                ChiSquare { statistic: 0.0, freedom: 0, p_value: 1.0 },
                "{pairs:?}"
            );
        }
        assert_eq!(
            (shares_p((0, 0), (3, 9)), shares_p((0, 5), (0, 9)), shares_p((5, 5), (9, 9))),
            (1.0, 1.0, 1.0)
        );
    }

    #[test]
    fn rare_categories_are_taken_together() {
        // The smaller row is a third: fifteen rows in sum are expected to give it five.
        let pairs = [(100, 50), (9, 1), (4, 3), (2, 0), (85, 46)];
        assert_eq!(joined(&pairs), [(85, 46), (100, 50), (15, 4)]);
        // Too few even together: the rarest common one joins them.
        assert_eq!(joined(&[(100, 50), (4, 3), (60, 40)]), [(100, 50), (64, 43)]);
    }

    /// Every way to choose the rows of the first sample, by Pascal's triangle in whole numbers.
    fn slow_fisher(hits: u64, rows: u64, all_hits: u64, all: u64) -> f64 {
        let choose = |n: u64, k: u64| (0..k).fold(1_u128, |c, i| c * u128::from(n - i) / u128::from(i + 1));
        let ways = |x: u64| choose(all_hits, x) * choose(all - all_hits, rows - x);
        let fewest = (all_hits + rows).saturating_sub(all);
        let seen: u128 = (fewest..=all_hits.min(rows)).map(ways).filter(|w| *w <= ways(hits)).sum();
        seen as f64 / choose(all, rows) as f64
    }

    proptest! {
        #[test]
        fn fishers_test_counts_all_tables(a in 0_u64..12, b in 0_u64..12, c in 0_u64..12, d in 0_u64..12) {
            prop_assume!(a + b > 0 && c + d > 0);
            let (rows, hits, all) = (a + b, a + c, a + b + c + d);
            prop_assert!((fisher(a, rows, hits, all) - slow_fisher(a, rows, hits, all)).abs() < 1e-9);
        }

        #[test]
        fn joining_keeps_all_rows(pairs in prop::collection::vec((0_u64..40, 0_u64..40), 0..30)) {
            let joined = joined(&pairs);
            prop_assert_eq!(sums(&joined), sums(&pairs));
            let (first, second) = sums(&pairs);
            let fits = |(a, b): (u64, u64)| {
                (a + b) as f64 * first.min(second) as f64 >= SMALLEST_EXPECTED * (first + second) as f64
            };
            prop_assert!(joined.len() <= 1 || joined.iter().all(|pair| fits(*pair)), "{joined:?}");
        }

        #[test]
        fn distances_lie_between_equal_and_disjoint(weights in prop::collection::vec((0.0..1.0_f64, 0.0..1.0_f64), 1..9)) {
            let sum = weights.iter().fold((1e-9, 1e-9), |sum, w| (sum.0 + w.0, sum.1 + w.1));
            let pairs: Vec<_> = weights.iter().map(|w| (w.0 / sum.0, w.1 / sum.1)).collect();
            let swapped: Vec<_> = pairs.iter().map(|(p, q)| (*q, *p)).collect();
            let distance = jensen_shannon(&pairs);
            prop_assert!((0.0..=1.0).contains(&distance));
            prop_assert!((distance - jensen_shannon(&swapped)).abs() < 1e-9);
            let same: Vec<_> = pairs.iter().map(|(p, _)| (*p, *p)).collect();
            prop_assert_eq!(jensen_shannon(&same), 0.0);
        }
    }
}
