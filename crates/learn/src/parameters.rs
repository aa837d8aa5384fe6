//! Parameters of a linear score.

use crate::encoded::ABSENT;

/// A bias and one weight for each column that the learner sees: numbers first, then the one-hot columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parameters {
    pub(crate) bias: f64,
    pub(crate) weights: Vec<f64>,
}

/// A scaler's centre and width, both before and after it moved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Move {
    /// (mean, deviation) that the parameters were learned under.
    pub(crate) from: (f64, f64),
    /// (mean, deviation) that they are to be used under.
    pub(crate) to: (f64, f64),
}

impl Parameters {
    /// The zero start.
    pub(crate) fn zero(columns: usize) -> Self {
        Self { bias: 0.0, weights: vec![0.0; columns] }
    }

    /// `bias + w . x`, summed in the order of the columns; `active` holds the one-hot columns that are 1.
    pub(crate) fn score(&self, numbers: &[f64], active: &[u32]) -> f64 {
        let mut score = self.bias;
        for (weight, x) in self.weights.iter().zip(numbers) {
            score += weight * x;
        }
        for &column in active {
            score += self.score_of(column);
        }
        score
    }

    /// What a one-hot column adds when it is 1.
    pub(crate) fn score_of(&self, column: u32) -> f64 {
        if column == ABSENT { 0.0 } else { self.weights[column as usize] }
    }

    /// Keep the function while the scalers of the first columns move: with `x = mean + sd z`,
    /// `w' = w sd' / sd` and `b' = b + sum of w (mean' - mean) / sd`.
    pub(crate) fn follow_inputs(&mut self, moves: &[Move]) {
        for (weight, Move { from, to }) in self.weights.iter_mut().zip(moves) {
            self.bias += *weight * (to.0 - from.0) / from.1;
            *weight *= to.1 / from.1;
        }
    }

    /// Keep the function while the scaler of the target moves.
    pub(crate) fn follow_target(&mut self, Move { from, to }: Move) {
        for weight in &mut self.weights {
            *weight *= from.1 / to.1;
        }
        self.bias = (self.bias * from.1 + from.0 - to.0) / to.1;
    }

    /// Whether every parameter is a finite number.
    pub(crate) fn finite(&self) -> bool {
        self.bias.is_finite() && self.weights.iter().all(|weight| weight.is_finite())
    }
}
