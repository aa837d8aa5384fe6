//! The figures, from pairs of prediction and label.

use crate::Metric;

/// Probabilities are kept this far from 0 and 1 in the log loss, so that one sure mistake stays finite.
const LEAST_PROBABILITY: f64 = 1e-15;

impl Metric {
    /// The metric of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// The figure of `(prediction, label)` pairs, summed in their order; nothing without pairs, and for the
    /// area under the curve nothing unless both classes occur. For classes a prediction is the probability
    /// of class 1, and a label from one half up is class 1.
    pub fn of(self, pairs: &[(f64, f64)]) -> Option<f64> {
        if pairs.is_empty() {
            return None;
        }
        let mean = |of: fn(f64, f64) -> f64| {
            pairs.iter().map(|(prediction, label)| of(*prediction, *label)).sum::<f64>() / pairs.len() as f64
        };
        match self {
            Self::Mae => Some(mean(absolute_error)),
            Self::Rmse => Some(mean(squared_error).sqrt()),
            Self::Accuracy => Some(mean(|prediction, label| 1.0 - wrong_class(prediction, label))),
            Self::RocAuc => area_under_curve(pairs),
            Self::LogLoss => Some(mean(log_loss)),
        }
    }

    /// The loss of one row, whose mean over rows a paired test compares: absolute error, squared error,
    /// wrong class (0 or 1) or negative log-likelihood. The area under the curve has none.
    pub fn loss(self, prediction: f64, label: f64) -> Option<f64> {
        match self {
            Self::Mae => Some(absolute_error(prediction, label)),
            Self::Rmse => Some(squared_error(prediction, label)),
            Self::Accuracy => Some(wrong_class(prediction, label)),
            Self::LogLoss => Some(log_loss(prediction, label)),
            Self::RocAuc => None,
        }
    }

    /// What a relative margin of the metric is as a margin of its mean loss: for the root of the mean squared
    /// error `(1 + margin)² − 1`, since the losses are squares; for the others the same.
    pub fn loss_margin(self, margin: f64) -> f64 {
        match self {
            Self::Rmse => (1.0 + margin).powi(2) - 1.0,
            Self::Mae | Self::Accuracy | Self::RocAuc | Self::LogLoss => margin,
        }
    }
}

fn absolute_error(prediction: f64, label: f64) -> f64 {
    (prediction - label).abs()
}

fn squared_error(prediction: f64, label: f64) -> f64 {
    (prediction - label).powi(2)
}

fn wrong_class(probability: f64, label: f64) -> f64 {
    if (probability >= 0.5) == (label >= 0.5) { 0.0 } else { 1.0 }
}

fn log_loss(probability: f64, label: f64) -> f64 {
    let probability = probability.clamp(LEAST_PROBABILITY, 1.0 - LEAST_PROBABILITY);
    if label >= 0.5 { -probability.ln() } else { -(-probability).ln_1p() }
}

/// The share of (class 1, class 0) pairs in which class 1 has the higher probability, ties counting one half
/// (Mann and Whitney 1947). All counts are whole or halves, so the result does not depend on the order.
fn area_under_curve(pairs: &[(f64, f64)]) -> Option<f64> {
    let mut sorted: Vec<(f64, bool)> = pairs.iter().map(|(value, label)| (*value, *label >= 0.5)).collect();
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut negatives_below, mut won, mut start) = (0_u64, 0.0, 0);
    while start < sorted.len() {
        let ties = sorted[start..].iter().take_while(|pair| pair.0 == sorted[start].0).count().max(1);
        let positives = sorted[start..start + ties].iter().filter(|pair| pair.1).count() as u64;
        let negatives = ties as u64 - positives;
        won += positives as f64 * (negatives_below as f64 + 0.5 * negatives as f64);
        negatives_below += negatives;
        start += ties;
    }
    let positives = sorted.len() as u64 - negatives_below;
    (positives > 0 && negatives_below > 0).then(|| won / (positives as f64 * negatives_below as f64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn figures_agree_with_a_hand_calculation() {
        let pairs = [(1.0, 2.0), (5.0, 3.0)];
        assert_eq!(Metric::Mae.of(&pairs), Some(1.5));
        assert_eq!(Metric::Rmse.of(&pairs), Some(2.5_f64.sqrt()));
        let classes = [(0.5, 1.0), (0.25, 0.0), (0.75, 0.0), (0.75, 1.0)];
        assert_eq!(Metric::Accuracy.of(&classes), Some(0.75));
        assert_eq!(Metric::RocAuc.of(&classes), Some(2.5 / 4.0));
        let expected = -(0.5_f64.ln() + 0.75_f64.ln() + 0.25_f64.ln() + 0.75_f64.ln()) / 4.0;
        assert!((Metric::LogLoss.of(&classes).unwrap() - expected).abs() < 1e-15);
    }

    #[test]
    fn what_cannot_be_known_is_nothing() {
        for metric in Metric::ALL {
            assert_eq!(metric.of(&[]), None);
            assert_eq!(Metric::from_name(metric.name()), Some(metric));
        }
        assert_eq!(Metric::RocAuc.of(&[(0.2, 1.0), (0.4, 1.0)]), None);
        assert_eq!(Metric::from_name("mea"), None);
    }

    #[test]
    fn a_sure_mistake_has_a_finite_log_loss() {
        assert!((Metric::LogLoss.loss(0.0, 1.0).unwrap() - 34.538_776).abs() < 1e-5);
        assert!((Metric::LogLoss.loss(1.0, 0.0).unwrap() - 34.538_776).abs() < 0.2);
    }

    #[test]
    fn a_margin_on_the_root_is_a_larger_one_on_squares() {
        assert!((Metric::Rmse.loss_margin(0.05) - 0.1025).abs() < 1e-12);
        assert_eq!(Metric::Mae.loss_margin(0.05), 0.05);
    }

    proptest! {
        #[test]
        fn area_under_curve_counts_the_pairs_that_class_1_wins(
            pairs in prop::collection::vec((0..6_u8, any::<bool>()), 0..40),
        ) {
            let pairs: Vec<(f64, f64)> =
                pairs.into_iter().map(|(p, label)| (f64::from(p) / 5.0, f64::from(u8::from(label)))).collect();
            let (mut won, mut count) = (0.0, 0);
            for (p, _) in pairs.iter().filter(|pair| pair.1 == 1.0) {
                for (q, _) in pairs.iter().filter(|pair| pair.1 == 0.0) {
                    count += 1;
                    won += if p > q { 1.0 } else if p == q { 0.5 } else { 0.0 };
                }
            }
            let slow = (count > 0).then(|| won / f64::from(count));
            prop_assert_eq!(Metric::RocAuc.of(&pairs), slow);
        }

        #[test]
        fn the_mean_loss_leads_to_the_figure(
            pairs in prop::collection::vec((0.0..1.0_f64, 0..2_u8), 1..40),
        ) {
            let pairs: Vec<(f64, f64)> = pairs.into_iter().map(|(p, label)| (p, f64::from(label))).collect();
            for metric in Metric::ALL {
                let losses: Option<Vec<f64>> = pairs.iter().map(|(p, label)| metric.loss(*p, *label)).collect();
                let Some(losses) = losses else { continue };
                let mean = losses.iter().sum::<f64>() / losses.len() as f64;
                let expected = match metric {
                    Metric::Rmse => mean.sqrt(),
                    Metric::Accuracy => 1.0 - mean,
                    Metric::Mae | Metric::LogLoss | Metric::RocAuc => mean,
                };
                prop_assert!((metric.of(&pairs).unwrap() - expected).abs() < 1e-12);
            }
        }
    }
}
