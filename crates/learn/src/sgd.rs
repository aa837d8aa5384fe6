//! Stochastic gradient descent, one row at a time, in order.
//!
//! A step on a row with target `t` is `w -= lr (g x + l2 w)`, `b -= lr g` with `g = sigmoid(score) - t` or
//! `g = score - t`: the gradient of half the squared error or of the log loss, with a ridge penalty on weights
//! but not on the bias (Bottou 2012, "Stochastic Gradient Descent Tricks", with a constant step).
//!
//! Of the one-hot columns only the active ones get a gradient; the penalty is applied to all of them in a plain
//! loop, with the very operations of the dense definition, so that the bits are equal to it. That loop costs 30
//! to 60 of the 100 to 130 ns that a visit takes by the clock with 5 numbers and 54 one-hot columns (2 shared
//! cores, opt-level 1 and 3 alike). Decaying lazily, by a power of `1 - lr l2` when a column is next touched,
//! would pay only above some hundred categories, and would give other bits.

use crate::encoded::{ABSENT, EncodedRows};
use crate::error::LearnError;
use crate::parameters::Parameters;
use crate::spec::SgdSpec;

/// Progress is told once per this many row visits.
const PROGRESS_EVERY: u64 = 4096;

/// What the score is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Link {
    /// The score is the (scaled) answer.
    Identity,
    /// The sigmoid of the score is the answer.
    Logistic,
}

impl Link {
    /// The answer for a score, before a target scaler is undone.
    pub(crate) fn respond(self, score: f64) -> f64 {
        match self {
            Self::Identity => score,
            Self::Logistic => 1.0 / (1.0 + (-score).exp()),
        }
    }
}

/// Passes of gradient descent over an encoded training set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descent<'a> {
    pub(crate) settings: &'a SgdSpec,
    pub(crate) link: Link,
    pub(crate) epochs: u32,
}

impl Descent<'_> {
    /// Walk from `parameters`; `targets` has one number for each row. `progress` is told the rows visited.
    pub(crate) fn run(
        self,
        mut parameters: Parameters,
        rows: &EncodedRows,
        targets: &[f64],
        progress: &mut dyn FnMut(u64),
    ) -> Result<Parameters, LearnError> {
        let mut visits = 0_u64;
        let mut stepped = Vec::new();
        for _ in 0..self.epochs {
            for (index, target) in targets.iter().enumerate() {
                let (numbers, active) = rows.row(index);
                let error = self.link.respond(parameters.score(numbers, active)) - target;
                visits += 1;
                if !error.is_finite() {
                    return Err(self.diverged(visits));
                }
                self.step(&mut parameters, numbers, active, error, &mut stepped);
                if visits.is_multiple_of(PROGRESS_EVERY) {
                    progress(visits);
                }
            }
        }
        if !parameters.finite() {
            return Err(self.diverged(visits));
        }
        progress(visits);
        Ok(parameters)
    }

    /// One step; `stepped` is space that is kept from row to row.
    fn step(
        &self,
        parameters: &mut Parameters,
        numbers: &[f64],
        active: &[u32],
        error: f64,
        stepped: &mut Vec<(usize, f64)>,
    ) {
        let SgdSpec { learning_rate, l2, .. } = *self.settings;
        stepped.clear();
        for column in active.iter().filter(|&&column| column != ABSENT).map(|&column| column as usize) {
            let weight = parameters.weights[column];
            stepped.push((column, weight - learning_rate * (error + l2 * weight)));
        }
        let (dense, one_hot) = parameters.weights.split_at_mut(numbers.len());
        for (weight, x) in dense.iter_mut().zip(numbers) {
            *weight -= learning_rate * (error * x + l2 * *weight);
        }
        if l2 != 0.0 {
            for weight in one_hot {
                *weight -= learning_rate * (l2 * *weight);
            }
        }
        for &(column, weight) in &*stepped {
            parameters.weights[column] = weight;
        }
        parameters.bias -= learning_rate * error;
    }

    fn diverged(&self, row_visits: u64) -> LearnError {
        LearnError::Diverged { learning_rate: self.settings.learning_rate, row_visits }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settings(l2: f64) -> SgdSpec {
        SgdSpec { learning_rate: 0.1, l2, epochs: 1 }
    }

    /// The definition, over dense columns.
    fn oracle(descent: Descent<'_>, mut p: Parameters, rows: &[Vec<f64>], targets: &[f64]) -> Parameters {
        let SgdSpec { learning_rate: lr, l2, .. } = *descent.settings;
        for _ in 0..descent.epochs {
            for (row, t) in rows.iter().zip(targets) {
                let score = row.iter().zip(&p.weights).fold(p.bias, |sum, (x, w)| sum + w * x);
                let g = descent.link.respond(score) - t;
                for (w, x) in p.weights.iter_mut().zip(row) {
                    *w -= lr * (g * x + l2 * *w);
                }
                p.bias -= lr * g;
            }
        }
        p
    }

    #[test]
    fn steps_are_those_computed_by_hand() {
        let mut rows = EncodedRows::with_capacity(2, 1, 1);
        rows.push(&[2.0], &[1]);
        rows.push(&[-1.0], &[ABSENT]);
        let settings = settings(0.5);
        let descent = Descent { settings: &settings, link: Link::Identity, epochs: 1 };
        let p = descent.run(Parameters::zero(3), &rows, &[1.0, 1.0], &mut |_| {}).unwrap();
        // Row 1: score 0, g = -1: w0 = 0.2, w1 = 0.1, b = 0.1.
        // Row 2: score 0.1 - 0.2 = -0.1, g = -1.1: w0 = 0.2 - 0.1 (1.1 + 0.1) = 0.08, w1 = 0.1 - 0.005, b = 0.21.
        for (found, expected) in
            [(p.weights[0], 0.08), (p.weights[1], 0.095), (p.weights[2], 0.0), (p.bias, 0.21)]
        {
            assert!((found - expected).abs() < 1e-15, "{found} is not {expected}");
        }
        let descent = Descent { link: Link::Logistic, ..descent };
        let p = descent.run(Parameters::zero(3), &rows, &[1.0, 0.0], &mut |_| {}).unwrap();
        // Row 1: g = -0.5: w0 = 0.1, w1 = 0.05, b = 0.05. Row 2: score -0.05, g = 0.487502603515790.
        let g = 0.487_502_603_515_790;
        for (found, expected) in [
            (p.weights[0], 0.1 - 0.1 * (-g + 0.05)),
            (p.weights[1], 0.05 - 0.1 * 0.025),
            (p.bias, 0.05 - 0.1 * g),
        ] {
            assert!((found - expected).abs() < 1e-14, "{found} is not {expected}");
        }
    }

    #[test]
    fn progress_reaches_every_visit() {
        let mut rows = EncodedRows::with_capacity(3000, 1, 0);
        (0..3000).for_each(|_| rows.push(&[1.0], &[]));
        let settings = settings(0.0);
        let mut told = vec![];
        let descent = Descent { settings: &settings, link: Link::Identity, epochs: 3 };
        descent.run(Parameters::zero(1), &rows, &[1.0; 3000], &mut |visits| told.push(visits)).unwrap();
        assert_eq!(told, [4096, 8192, 9000]);
    }

    proptest! {
        #[test]
        fn sparse_steps_have_the_bits_of_the_dense_definition(
            rows in prop::collection::vec((-3.0..3.0_f64, -3.0..3.0_f64, 0_u32..4, 0_u32..3, 0_u8..2), 1..60),
            l2 in prop::sample::select(vec![0.0, 1e-5, 0.3]),
            logistic in any::<bool>(),
        ) {
            let mut encoded = EncodedRows::with_capacity(rows.len(), 2, 2);
            let (mut dense, mut targets) = (vec![], vec![]);
            for &(a, b, first, second, target) in &rows {
                // The last value of the second categorical has no column.
                let active = [2 + first, if second == 2 { ABSENT } else { 6 + second }];
                encoded.push(&[a, b], &active);
                let mut row = vec![a, b, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
                active.iter().filter(|&&column| column != ABSENT).for_each(|&column| row[column as usize] = 1.0);
                dense.push(row);
                targets.push(f64::from(target));
            }
            let link = if logistic { Link::Logistic } else { Link::Identity };
            let settings = settings(l2);
            let descent = Descent { settings: &settings, link, epochs: 2 };
            let start = Parameters { bias: 0.1, weights: (0..8).map(|i| 0.1 * f64::from(i) - 0.3).collect() };
            let found = descent.run(start.clone(), &encoded, &targets, &mut |_| {}).unwrap();
            prop_assert_eq!(found, oracle(descent, start, &dense, &targets));
        }
    }
}
