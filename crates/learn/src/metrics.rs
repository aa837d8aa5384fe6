//! What is measured on predictions and labels.
//!
//! Both slices have one number for each row. A metric is nothing when it is undefined: no rows, slices of
//! different lengths, a number that is not finite, or what each one says. The two-class metrics want labels
//! that are 0 or 1, and take a prediction as the probability of 1.

/// Mean absolute error, in units of the label.
pub fn mae(predictions: &[f64], labels: &[f64]) -> Option<f64> {
    mean(predictions, labels, |prediction, label| (prediction - label).abs())
}

/// Root of the mean squared error, in units of the label.
pub fn rmse(predictions: &[f64], labels: &[f64]) -> Option<f64> {
    mean(predictions, labels, |prediction, label| (prediction - label).powi(2)).map(f64::sqrt)
}

/// The share of rows where "at least one half" is the label.
pub fn accuracy(predictions: &[f64], labels: &[f64]) -> Option<f64> {
    two_classes(labels)?;
    mean(predictions, labels, |prediction, label| f64::from(u8::from((prediction >= 0.5) == (label == 1.0))))
}

/// Mean log loss in nats, predictions clipped to `[e, 1 - e]` with the machine epsilon `e = 2^-52`, as
/// scikit-learn does for doubles.
pub fn log_loss(predictions: &[f64], labels: &[f64]) -> Option<f64> {
    two_classes(labels)?;
    mean(predictions, labels, |prediction, label| {
        let probability = prediction.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
        if label == 1.0 { -probability.ln() } else { -(1.0 - probability).ln() }
    })
}

/// The area under the ROC curve: the probability that a random 1 is predicted above a random 0, ties counting
/// one half, by mid-ranks (Mann and Whitney 1947). Nothing when a class is absent.
pub fn roc_auc(predictions: &[f64], labels: &[f64]) -> Option<f64> {
    usable(predictions, labels)?;
    two_classes(labels)?;
    let mut ranked: Vec<(f64, bool)> =
        predictions.iter().zip(labels).map(|(prediction, label)| (prediction + 0.0, *label == 1.0)).collect();
    ranked.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let ones = ranked.iter().filter(|(_, one)| *one).count();
    let zeros = ranked.len() - ones;
    if ones == 0 || zeros == 0 {
        return None;
    }
    let mut below = 0.0;
    let mut twice_won = 0.0;
    for tie in ranked.chunk_by(|a, b| a.0 == b.0) {
        let ones_here = tie.iter().filter(|(_, one)| *one).count() as f64;
        let zeros_here = tie.len() as f64 - ones_here;
        twice_won += ones_here * (2.0 * below + zeros_here);
        below += zeros_here;
    }
    Some(twice_won / (2.0 * ones as f64 * zeros as f64))
}

fn mean(predictions: &[f64], labels: &[f64], loss: impl Fn(f64, f64) -> f64) -> Option<f64> {
    usable(predictions, labels)?;
    let sum: f64 = predictions.iter().zip(labels).map(|(prediction, label)| loss(*prediction, *label)).sum();
    Some(sum / labels.len() as f64).filter(|mean| mean.is_finite())
}

fn usable(predictions: &[f64], labels: &[f64]) -> Option<()> {
    let finite = predictions.iter().chain(labels).all(|number| number.is_finite());
    (finite && !labels.is_empty() && predictions.len() == labels.len()).then_some(())
}

fn two_classes(labels: &[f64]) -> Option<()> {
    labels.iter().all(|label| *label == 0.0 || *label == 1.0).then_some(())
}
