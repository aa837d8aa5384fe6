//! A mean of rows that come in clusters.

use serde::{Deserialize, Serialize};

use crate::moments::Moments;

/// The mean of rows of which those of one cluster (a user, an account) hang together, and how sure it is.
///
/// Clusters are independent of each other, rows of one are not: a thousand requests of ten users are ten
/// observations. The mean is the ratio of two totals over clusters, of what the rows sum to and of how many
/// they are; its variance follows from the clusters' distances from that ratio (the delta method: Cochran,
/// Sampling Techniques, 3rd ed. 1977, chapter 6; Deng, Knoblich and Lu, KDD 2018). A cluster of one row each makes it
/// the mean and the variance of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clustered {
    /// How many rows.
    pub rows: u64,
    /// How many clusters.
    pub clusters: u64,
    /// As many clusters of one size would weigh as much: the square of the rows over the sum of the squared sizes
    /// (Kish, Survey Sampling, 1965); 0 without rows.
    pub effective: f64,
    /// The mean of the rows; 0 without rows.
    pub mean: f64,
    /// The sum over clusters of the squared distance of a cluster's sum from what its rows would have by the
    /// mean, in units of the mean size: over `clusters · (clusters − 1)` the squared standard error of the mean.
    pub m2: f64,
}

/// Every row is a cluster.
impl From<Moments> for Clustered {
    fn from(Moments { n, mean, m2 }: Moments) -> Self {
        Self { rows: n, clusters: n, effective: n as f64, mean, m2 }
    }
}

impl Clustered {
    /// Of clusters of one row, given by their moments, and of others, each given by how many rows it has, more than
    /// none, and what they sum to.
    pub fn of(single: &Moments, others: impl Iterator<Item = (u64, f64)> + Clone) -> Self {
        let (mut rows, mut clusters) = (single.n, single.n);
        let (mut sum, mut squared_sizes) = (single.n as f64 * single.mean, single.n as f64);
        for (size, total) in others.clone() {
            rows += size;
            clusters += 1;
            sum += total;
            squared_sizes += (size as f64).powi(2);
        }
        if clusters == single.n {
            return (*single).into();
        }
        let mean = sum / rows as f64;
        let mean_size = rows as f64 / clusters as f64;
        let of_single = single.m2 + single.n as f64 * (single.mean - mean).powi(2);
        let of_others: f64 = others.map(|(size, total)| (total - mean * size as f64).powi(2)).sum();
        let m2 = (of_single + of_others) / mean_size.powi(2);
        Self { rows, clusters, effective: (rows as f64).powi(2) / squared_sizes, mean, m2 }
    }

    /// The variance of a cluster's distance from the mean, with one less than the clusters below the line; nothing
    /// below two clusters.
    pub fn variance(&self) -> Option<f64> {
        (self.clusters >= 2).then(|| self.m2 / (self.clusters - 1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_hand_calculation_of_three_clusters() {
        // Sums 3, 1 and 8 of 2, 1 and 3 rows: the mean is 2, the distances −1, −1 and 2, the mean size 2.
        let told = Clustered::of(&Moments::default(), [(2, 3.0), (1, 1.0), (3, 8.0)].into_iter());
        assert_eq!((told.rows, told.clusters, told.mean, told.m2), (6, 3, 2.0, 1.5));
        assert_eq!((told.variance(), told.effective), (Some(0.75), 36.0 / 14.0));
    }

    #[test]
    fn rows_that_are_said_twice_make_nothing_surer() {
        let once = Clustered::of(&Moments::default(), [(1, 1.0), (1, 4.0), (1, 7.0)].into_iter());
        let often = Clustered::of(&Moments::default(), [(50, 50.0), (50, 200.0), (50, 350.0)].into_iter());
        assert_eq!((often.mean, often.m2, often.effective), (once.mean, once.m2, once.effective));
    }

    proptest! {
        #[test]
        fn a_cluster_of_one_row_is_a_row(
            single in prop::collection::vec(-10.0..10.0_f64, 0..20),
            others in prop::collection::vec(-10.0..10.0_f64, 0..20),
        ) {
            let all: Vec<f64> = single.iter().chain(&others).copied().collect();
            let told = Clustered::of(&Moments::of(&single), others.iter().map(|row| (1, *row)));
            let rows = Clustered::from(Moments::of(&all));
            prop_assert_eq!((told.rows, told.clusters, told.effective), (rows.rows, rows.clusters, rows.effective));
            prop_assert!((told.mean - rows.mean).abs() < 1e-9 && (told.m2 - rows.m2).abs() < 1e-9 * (1.0 + rows.m2));
        }
    }
}
