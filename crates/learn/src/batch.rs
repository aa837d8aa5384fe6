//! Batch logistic regression through linfa.
//!
//! linfa-logistic 0.8 minimises the *sum* of the log losses plus `l2 / 2 |w|^2` by L-BFGS. Its positive class is
//! not the larger label but the more frequent one (on a tie, that of the first row), so the sign of what goes
//! in and of what comes out depends on the labels. It refuses a single class and more than two, and would
//! report numbers that are not finite without saying where; all that is checked before it is called.
//! Its products come from matrixmultiply, which chooses its kernel by the processor: the same rows give the
//! same bits on one kind of machine, not necessarily on another.

use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_logistic::LogisticRegression;
use ndarray::{Array1, Array2};

use crate::encoded::{ABSENT, EncodedRows};
use crate::error::LearnError;
use crate::parameters::Parameters;
use crate::spec::BatchSpec;

/// Fit from `start`. Labels are 0 or 1, one for each row.
pub(crate) fn solve(
    settings: &BatchSpec,
    start: &Parameters,
    rows: &EncodedRows,
    labels: &[f64],
) -> Result<Parameters, LearnError> {
    let positive: Vec<bool> = labels.iter().map(|&label| label == 1.0).collect();
    let ones = positive.iter().filter(|&&one| one).count();
    if let (Some(&label), true) = (labels.first(), ones == 0 || ones == labels.len()) {
        return Err(LearnError::OneClass { label, rows: labels.len() });
    }
    let zeros = labels.len() - ones;
    let sign = if ones > zeros || (ones == zeros && positive[0]) { 1.0 } else { -1.0 };

    let initial = start.weights.iter().chain([&start.bias]).map(|parameter| sign * parameter);
    let dataset = DatasetBase::new(dense(rows, start.weights.len()), Array1::from(positive));
    let fitted = LogisticRegression::default()
        .alpha(settings.l2)
        .max_iterations(settings.max_iterations)
        .initial_params(initial.collect::<Array1<f64>>())
        .fit(&dataset)
        .map_err(|fault| LearnError::Solver(fault.to_string()))?;

    let sign = if fitted.labels().pos.class { 1.0 } else { -1.0 };
    let found = Parameters {
        bias: sign * fitted.intercept(),
        weights: fitted.params().iter().map(|weight| sign * weight).collect(),
    };
    if found.finite() {
        Ok(found)
    } else {
        Err(LearnError::Solver("its parameters are not finite".to_owned()))
    }
}

fn dense(rows: &EncodedRows, columns: usize) -> Array2<f64> {
    let mut matrix = Array2::zeros((rows.len(), columns));
    for index in 0..rows.len() {
        let (numbers, active) = rows.row(index);
        for (column, x) in numbers.iter().enumerate() {
            matrix[[index, column]] = *x;
        }
        for &column in active.iter().filter(|&&column| column != ABSENT) {
            matrix[[index, column as usize]] = 1.0;
        }
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Overlapping classes on one number: ones are larger; `ones` of them first, then `zeros`.
    fn training_set(ones: u32, zeros: u32) -> (EncodedRows, Vec<f64>) {
        let mut rows = EncodedRows::with_capacity(0, 1, 0);
        let mut labels = vec![];
        for (count, offset, label) in [(ones, 0.5, 1.0), (zeros, -0.5, 0.0)] {
            for i in 0..count {
                rows.push(&[offset + f64::from(i % 7) - 3.0], &[]);
                labels.push(label);
            }
        }
        (rows, labels)
    }

    /// The gradient of the penalised loss at `p`: zero at the optimum.
    fn gradient(p: &Parameters, rows: &EncodedRows, labels: &[f64], l2: f64) -> (f64, f64) {
        let mut gradient = (l2 * p.weights[0], 0.0);
        for (index, label) in labels.iter().enumerate() {
            let (numbers, active) = rows.row(index);
            let error = 1.0 / (1.0 + (-p.score(numbers, active)).exp()) - label;
            gradient.0 += error * numbers[0];
            gradient.1 += error;
        }
        gradient
    }

    #[test]
    fn optimum_is_found_whichever_class_is_more_frequent() {
        let settings = BatchSpec { l2: 0.7, max_iterations: 200 };
        for (ones, zeros) in [(70, 21), (21, 70), (35, 35)] {
            let (rows, labels) = training_set(ones, zeros);
            let found = solve(&settings, &Parameters::zero(1), &rows, &labels).unwrap();
            let (weight, bias) = gradient(&found, &rows, &labels, 0.7);
            assert!(weight.abs() < 1e-3 && bias.abs() < 1e-3, "{ones}:{zeros} {found:?} {weight} {bias}");
            assert!(found.weights[0] > 0.0);
        }
    }

    #[test]
    fn warm_start_at_the_optimum_stays_there_though_the_classes_swap_frequency() {
        let settings = BatchSpec { l2: 0.7, max_iterations: 1 };
        for (ones, zeros) in [(70, 21), (21, 70)] {
            let (rows, labels) = training_set(ones, zeros);
            let long = BatchSpec { max_iterations: 200, ..settings };
            let optimum = solve(&long, &Parameters::zero(1), &rows, &labels).unwrap();
            let again = solve(&settings, &optimum, &rows, &labels).unwrap();
            assert!((again.weights[0] - optimum.weights[0]).abs() < 1e-4);
            assert!((again.bias - optimum.bias).abs() < 1e-4);
        }
    }

    #[test]
    fn one_class_is_refused_by_name() {
        let (rows, labels) = training_set(0, 5);
        let fault = solve(&BatchSpec { l2: 0.1, max_iterations: 9 }, &Parameters::zero(1), &rows, &labels);
        assert_eq!(fault, Err(LearnError::OneClass { label: 0.0, rows: 5 }));
    }
}
