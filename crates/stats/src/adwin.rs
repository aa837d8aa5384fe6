//! Finds changes of a stream's mean, whenever they come.
//!
//! ADWIN keeps a window of the newest rows that is as long as its mean has not changed: the window grows while
//! rows look alike and loses its older part when that differs from the newer part by more than chance allows
//! (Bifet and Gavaldà, SIAM Data Mining 2007). The rows lie in an exponential histogram, so that the state and
//! the time of a check grow with the logarithm of the window.
//!
//! The variant is the one that River 0.26 checks by (every border of the histogram is a cut, a check each 32
//! rows), but after a change it keeps the newer part, as the paper does, where River forgets everything. One
//! change may therefore be told several times while the window sheds its old rows; whoever reads the changes
//! joins those that follow closely into one episode.

use serde::{Deserialize, Serialize};

use crate::moments::Moments;

/// Rows between two checks.
const CLOCK: u64 = 32;
/// Buckets of one size; one more, and the two oldest of them become one of the double size.
const BUCKETS_OF_A_SIZE: usize = 5;
/// Rows a part needs before it is compared.
const SMALLEST_PART: u64 = 5;
/// A window of at most so many rows is not checked.
const SMALLEST_WINDOW: u64 = 10;

/// The window of a stream, and how cautious its checks are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adwin {
    delta: f64,
    /// Rows ever taken, those that left the window included.
    count: u64,
    /// The histogram, oldest rows first; sizes are powers of two and never grow.
    buckets: Vec<Moments>,
}

/// The mean of the stream has changed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// How many rows the stream had given when the change was found.
    pub at_count: u64,
    /// Mean of the rows that left the window.
    pub mean_before: f64,
    /// Mean of the rows that stayed.
    pub mean_after: f64,
    /// How many rows stayed; the change lies about that many rows back.
    pub width: u64,
}

impl Adwin {
    /// An empty window whose checks raise a false alarm with probability about `delta` each. A `delta` outside
    /// `(0, 1]` is moved to the nearest bound of that range (one that is no number counts as 0); see [`delta_for`] for how to choose it.
    pub fn new(delta: f64) -> Self {
        let delta = if delta.is_nan() { 0.0 } else { delta };
        Self { delta: delta.clamp(f64::MIN_POSITIVE, 1.0), count: 0, buckets: Vec::new() }
    }

    /// Takes the next row's value and says whether the mean has changed. Values outside `[0, 1]` count as the
    /// nearer bound, since the bound on false alarms needs a known range; one that is no number is ignored.
    pub fn push(&mut self, value: f64) -> Option<Change> {
        if value.is_nan() {
            return None;
        }
        self.count += 1;
        self.buckets.push(Moments::of(&[value.clamp(0.0, 1.0)]));
        self.compress();
        if self.count.is_multiple_of(CLOCK) { self.check() } else { None }
    }

    /// Mean of the window; nothing before the first row.
    pub fn mean(&self) -> Option<f64> {
        let window = self.window();
        (window.n > 0).then_some(window.mean)
    }

    /// Rows in the window.
    pub fn width(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.n).sum()
    }

    /// Rows ever taken.
    pub fn count(&self) -> u64 {
        self.count
    }

    fn window(&self) -> Moments {
        let mut window = Moments::default();
        for bucket in &self.buckets {
            window.merge(bucket);
        }
        window
    }

    /// Joins the two oldest buckets of every size that has one too many.
    fn compress(&mut self) {
        let mut end = self.buckets.len();
        let mut size = 1;
        loop {
            let larger = self.buckets[..end].iter().rposition(|bucket| bucket.n != size);
            let start = larger.map_or(0, |index| index + 1);
            if end - start <= BUCKETS_OF_A_SIZE {
                return;
            }
            let newer = self.buckets.remove(start + 1);
            self.buckets[start].merge(&newer);
            end = start + 1;
            size *= 2;
        }
    }

    /// Drops the oldest bucket as long as some cut of the window has two parts that differ.
    fn check(&mut self) -> Option<Change> {
        let mut dropped = Moments::default();
        let mut window = self.window();
        while window.n > SMALLEST_WINDOW && self.has_cut(&window) {
            dropped.merge(&self.buckets.remove(0));
            window = self.window();
        }
        (dropped.n > 0).then_some(Change {
            at_count: self.count,
            mean_before: dropped.mean,
            mean_after: window.mean,
            width: window.n,
        })
    }

    fn has_cut(&self, window: &Moments) -> bool {
        let total = window.mean * window.n as f64;
        let variance = window.m2 / window.n as f64;
        let log = (2.0 * (window.n as f64).ln() / self.delta).ln();
        let mut older = Moments::default();
        for bucket in &self.buckets {
            older.merge(bucket);
            let rows = window.n - older.n;
            if rows < SMALLEST_PART {
                return false;
            }
            let newer = (total - older.mean * older.n as f64) / rows as f64;
            if older.n >= SMALLEST_PART && (older.mean - newer).abs() > bound(older.n, rows, variance, log) {
                return true;
            }
        }
        false
    }
}

/// How far the means of two parts of so many rows may lie apart by chance: Bernstein's bound with the variance
/// of the window (the paper's bound for practice), and with the parts counted four rows shorter, as River does.
fn bound(older: u64, newer: u64, variance: f64, log: f64) -> f64 {
    let shortened = |rows: u64| 1.0 / (rows - SMALLEST_PART + 1) as f64;
    let harmonic = shortened(older) + shortened(newer);
    (2.0 * harmonic * variance * log).sqrt() + 2.0 / 3.0 * harmonic * log
}

/// The `delta` with which a stream that never changes raises at most one alarm in so many rows, on average.
///
/// A check raises a false alarm with probability at most `delta` (theorem 3.1 of the paper), and there is one
/// check in 32 rows, so alarms come at a rate of at most `delta / 32` a row, whether or not the checks depend on
/// each other. The theorem holds for `delta / n` in the logarithm; this variant, like the paper's own
/// implementation, has `delta / (2 ln n)` there. A sum over the cuts shows why that is enough: of the
/// `5 log2(n / 5)` cuts each passes the bound with the normal tail probability
/// `√(2/π) exp(−L) / √(2L) = delta / (2 ln n) · 0.8 / √(2L)`, `L = ln(2 ln n / delta)`, which adds up to less than
/// `delta` for every window below 10¹² rows and `delta` up to 0.05 (one alarm in 640 rows). A simulation in the tests holds it to the claim.
pub fn delta_for(one_false_alarm_in_rows: u64) -> f64 {
    (CLOCK as f64 / one_false_alarm_in_rows.max(1) as f64).min(1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same decisions from all rows of the window, with every part summed anew.
    struct Slow {
        delta: f64,
        count: u64,
        rows: Vec<f64>,
        sizes: Vec<usize>,
    }

    impl Slow {
        fn push(&mut self, value: f64) -> Option<(f64, usize)> {
            self.count += 1;
            self.rows.push(value);
            self.sizes.push(1);
            let mut size = 1;
            while self.sizes.iter().filter(|bucket| **bucket == size).count() > 5 {
                let oldest = self.sizes.iter().position(|bucket| *bucket == size).unwrap();
                self.sizes.splice(oldest..oldest + 2, [2 * size]);
                size *= 2;
            }
            if !self.count.is_multiple_of(32) {
                return None;
            }
            let mut dropped = Vec::new();
            while self.rows.len() > 10 && self.differs() {
                dropped.extend(self.rows.drain(..self.sizes.remove(0)));
            }
            (!dropped.is_empty()).then(|| (mean(&dropped), self.rows.len()))
        }

        fn differs(&self) -> bool {
            let all = mean(&self.rows);
            let width = self.rows.len() as f64;
            let variance = self.rows.iter().map(|row| (row - all).powi(2)).sum::<f64>() / width;
            let log = (2.0 * width.ln() / self.delta).ln();
            let mut cut = 0;
            self.sizes.iter().any(|size| {
                cut += size;
                if cut < 5 || self.rows.len() - cut < 5 {
                    return false;
                }
                let (older, newer) = self.rows.split_at(cut);
                let m = 1.0 / (older.len() - 4) as f64 + 1.0 / (newer.len() - 4) as f64;
                (mean(older) - mean(newer)).abs() > (2.0 * m * variance * log).sqrt() + 2.0 / 3.0 * m * log
            })
        }
    }

    fn mean(rows: &[f64]) -> f64 {
        rows.iter().sum::<f64>() / rows.len() as f64
    }

    #[test]
    fn values_out_of_range_count_as_its_bounds_and_no_numbers_do_not_count() {
        let mut adwin = Adwin::new(0.002);
        for value in [7.0, f64::NAN, f64::INFINITY, -3.0, f64::NEG_INFINITY] {
            assert_eq!(adwin.push(value), None);
        }
        assert_eq!((adwin.count(), adwin.width(), adwin.mean()), (4, 4, Some(0.5)));
        assert_eq!(Adwin::new(0.002).mean(), None);
    }

    #[test]
    fn the_state_grows_with_the_logarithm_of_the_window() {
        let mut adwin = Adwin::new(0.002);
        for row in 0..100_000 {
            assert_eq!(adwin.push(f64::from(row % 2)), None);
        }
        assert_eq!(adwin.width(), 100_000);
        assert!(adwin.buckets.len() <= 5 * 16, "{} buckets", adwin.buckets.len());
    }

    #[test]
    fn a_window_goes_on_where_it_was_written() {
        let value = |row: u32| if row < 700 { 0.25 } else { 0.75 } + f64::from(row % 7) / 30.0;
        let mut straight = Adwin::new(0.01);
        let told: Vec<_> = (0..1_000).filter_map(|row| straight.push(value(row))).collect();
        let mut halved = Adwin::new(0.01);
        let mut again: Vec<_> = (0..713).filter_map(|row| halved.push(value(row))).collect();
        let written = serde_json::to_string(&halved).unwrap();
        let mut halved: Adwin = serde_json::from_str(&written).unwrap();
        again.extend((713..1_000).filter_map(|row| halved.push(value(row))));
        assert_eq!((told, straight), (again, halved));
    }

    #[test]
    fn delta_follows_from_the_rows_between_alarms() {
        assert_eq!(delta_for(50_000), 6.4e-4);
        assert_eq!((delta_for(0), delta_for(10)), (1.0, 1.0));
        assert_eq!(Adwin::new(f64::NAN).delta, f64::MIN_POSITIVE);
        assert_eq!(Adwin::new(3.0).delta, 1.0);
    }

    #[test]
    fn the_sum_over_the_cuts_stays_below_delta() {
        for exponent in 4..=40 {
            for delta in [0.05, 0.01, 1e-3, 1e-5] {
                let rows = 2_f64.powi(exponent);
                let log = (2.0 * rows.ln() / delta).ln();
                let tail = (2.0 / std::f64::consts::PI).sqrt() * (-log).exp() / (2.0 * log).sqrt();
                let sum = 5.0 * (rows / 5.0).log2() * tail;
                assert!(sum < delta, "{rows} rows, delta {delta}: {sum}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_change_is_that_of_all_rows_summed_anew(
            segments in prop::collection::vec((0.0..0.5_f64, 0.0..0.5_f64, 1_usize..400), 1..5),
            delta in 0.001..0.3_f64,
        ) {
            let mut fast = Adwin::new(delta);
            let mut slow = Slow { delta, count: 0, rows: Vec::new(), sizes: Vec::new() };
            let mut row = 0.0_f64;
            for (level, noise, length) in segments {
                for _ in 0..length {
                    row += 1.0;
                    let value = level + noise * (row * 0.754_877_666).fract();
                    match (fast.push(value), slow.push(value)) {
                        (Some(change), Some((before, width))) => {
                            prop_assert!((change.mean_before - before).abs() < 1e-9);
                            prop_assert_eq!(change.width as usize, width);
                        }
                        (fast, slow) => prop_assert_eq!(fast.is_none(), slow.is_none()),
                    }
                }
            }
            prop_assert!((fast.mean().unwrap() - mean(&slow.rows)).abs() < 1e-9);
        }
    }
}
