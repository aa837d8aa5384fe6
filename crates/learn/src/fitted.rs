//! The trained state of a model version.

use perennial_types::{Row, Value};

use crate::batch;
use crate::error::LearnError;
use crate::parameters::{Move, Parameters};
use crate::pinned::Pinned;
use crate::sgd::{Descent, Link};
use crate::spec::{FitSpec, LearnerSpec, Task};
use crate::transforms::{Moments, Transforms};

/// One trained state: parameters, optimiser state, fitted transformations and how many rows it was trained on.
///
/// A state never changes: fine-tuning makes a new one. Every parameter in it is finite. The optimisers here
/// keep nothing between two trainings (a constant step; L-BFGS starts its memory afresh).
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    pub(crate) pinned: Pinned,
    pub(crate) parameters: Parameters,
    pub(crate) transforms: Transforms,
    /// Of the labels of a regression.
    pub(crate) target: Option<Moments>,
    pub(crate) rows_seen: u64,
}

impl Fitted {
    /// Fit from scratch: transformations on all rows, then the learner over its declared epochs. Each row has
    /// one value for each of `spec.inputs`, in that order.
    ///
    /// # Errors
    /// When the spec, a row or a label cannot be used, or training diverges.
    pub fn fit(spec: &FitSpec, rows: &[Row], labels: &[f64]) -> Result<Self, LearnError> {
        Self::fit_with_progress(spec, rows, labels, &mut |_| {})
    }

    /// As [`Fitted::fit`], telling now and then how many rows were visited; [`Fitted::row_visits`] is the end.
    ///
    /// # Errors
    /// As [`Fitted::fit`].
    pub fn fit_with_progress(
        spec: &FitSpec,
        rows: &[Row],
        labels: &[f64],
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self, LearnError> {
        let pinned = Pinned::new(spec)?;
        check_labels(spec.task, rows, labels)?;
        let transforms = Transforms::fit(spec, rows)?;
        let target = match spec.task {
            Task::Regression => Some(count_labels(Moments::default(), labels)?),
            Task::Binary => None,
        };
        let parameters = Parameters::zero(transforms.width());
        let start = Self { pinned, parameters, transforms, target, rows_seen: 0 };
        let epochs = match &spec.learner {
            LearnerSpec::Linear(sgd) | LearnerSpec::Logistic(sgd) => sgd.epochs,
            LearnerSpec::LogisticBatch(_) => 1,
        };
        start.learn(rows, labels, epochs, progress)
    }

    /// Train on from this state, over `epochs` passes (a batch learner is warm-started, and ignores them).
    /// A moving scaler first counts the new rows too, the parameters re-expressed so that answers stay what
    /// they were, but for clipped values and for missing ones, which stand for the mean as it is then.
    ///
    /// # Errors
    /// When a row or a label cannot be used, or training diverges. This state stays as it is.
    pub fn fine_tune(&self, rows: &[Row], labels: &[f64], epochs: u32) -> Result<Self, LearnError> {
        self.fine_tune_with_progress(rows, labels, epochs, &mut |_| {})
    }

    /// As [`Fitted::fine_tune`], telling now and then how many rows were visited.
    ///
    /// # Errors
    /// As [`Fitted::fine_tune`].
    pub fn fine_tune_with_progress(
        &self,
        rows: &[Row],
        labels: &[f64],
        epochs: u32,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self, LearnError> {
        if epochs == 0 {
            let (setting, value) = ("epochs of a fine-tune".to_owned(), "0".to_owned());
            return Err(LearnError::Setting { setting, value, expected: "expected at least 1" });
        }
        check_labels(self.spec().task, rows, labels)?;
        let mut start = self.clone();
        if self.spec().moving() {
            start.follow(rows, labels)?;
        }
        start.learn(rows, labels, epochs, progress)
    }

    /// The same state under a declaration whose learner settings or output bounds changed.
    ///
    /// # Errors
    /// [`LearnError::NotTheParents`] when something changed that the state depends on: task, inputs,
    /// transformations, kind of learner.
    pub fn under(&self, spec: &FitSpec) -> Result<Self, LearnError> {
        let own = self.spec();
        let differs = |what| Err(LearnError::NotTheParents { what });
        if own.task != spec.task {
            return differs("the task");
        }
        if own.inputs != spec.inputs {
            return differs("the input list");
        }
        if own.transforms != spec.transforms {
            return differs("the list of transforms");
        }
        match (&own.learner, &spec.learner) {
            (LearnerSpec::Linear(_), LearnerSpec::Linear(_))
            | (LearnerSpec::Logistic(_), LearnerSpec::Logistic(_))
            | (LearnerSpec::LogisticBatch(_), LearnerSpec::LogisticBatch(_)) => {}
            (LearnerSpec::Linear(_) | LearnerSpec::Logistic(_) | LearnerSpec::LogisticBatch(_), _) => {
                return differs("the kind of learner");
            }
        }
        Ok(Self { pinned: Pinned::new(spec)?, ..self.clone() })
    }

    /// The answer for one row: a number, or the probability of label 1, within the output bounds.
    ///
    /// # Errors
    /// When a value cannot be used (as in training), or the answer is no finite number.
    pub fn predict(&self, row: &[Value]) -> Result<f64, LearnError> {
        let response = self.link().respond(self.transforms.score(&self.parameters, row)?);
        let answer = self.target.map_or(response, |target| target.mean + target.scale() * response);
        if !answer.is_finite() {
            return Err(LearnError::Unanswerable);
        }
        let output = self.spec().output;
        let answer = output.min.map_or(answer, |min| answer.max(min));
        Ok(output.max.map_or(answer, |max| answer.min(max)))
    }

    /// How much each input bears on the score, in the order of `spec().inputs`: the sum of the absolute weights
    /// of the columns that it is encoded as. An input in no transformation has 0.
    pub fn importance(&self) -> Vec<f64> {
        self.transforms.importance(&self.parameters)
    }

    /// What was declared.
    pub fn spec(&self) -> &FitSpec {
        self.pinned.spec()
    }

    /// How many labelled rows it was trained on since the last fit from scratch, each counted once.
    pub fn rows_seen(&self) -> u64 {
        self.rows_seen
    }

    /// What a training costs: rows times epochs. A batch fit counts each row once; linfa does not say how often
    /// its solver looked.
    pub fn row_visits(spec: &FitSpec, rows: u64, epochs: u32) -> u64 {
        match spec.learner {
            LearnerSpec::Linear(_) | LearnerSpec::Logistic(_) => rows.saturating_mul(u64::from(epochs)),
            LearnerSpec::LogisticBatch(_) => rows,
        }
    }

    fn learn(
        mut self,
        rows: &[Row],
        labels: &[f64],
        epochs: u32,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self, LearnError> {
        let encoded = self.transforms.encode(rows)?;
        let link = self.link();
        self.parameters = match &self.pinned.spec().learner {
            LearnerSpec::Linear(settings) | LearnerSpec::Logistic(settings) => {
                let descent = Descent { settings, link, epochs };
                let targets = self.targets(labels);
                descent.run(self.parameters, &encoded, &targets, progress)?
            }
            LearnerSpec::LogisticBatch(settings) => {
                let found = batch::solve(settings, &self.parameters, &encoded, labels)?;
                progress(rows.len() as u64);
                found
            }
        };
        self.rows_seen += rows.len() as u64;
        Ok(self)
    }

    /// Let the scalers count new rows, and keep the function.
    fn follow(&mut self, rows: &[Row], labels: &[f64]) -> Result<(), LearnError> {
        let earlier = self.transforms.clone();
        self.transforms.follow(rows)?;
        self.parameters.follow_inputs(&self.transforms.moves_since(&earlier));
        if let Some(from) = self.target {
            let to = count_labels(from, labels)?;
            self.parameters
                .follow_target(Move { from: (from.mean, from.scale()), to: (to.mean, to.scale()) });
            self.target = Some(to);
        }
        Ok(())
    }

    fn targets(&self, labels: &[f64]) -> Vec<f64> {
        match self.target {
            Some(target) => labels.iter().map(|label| (label - target.mean) / target.scale()).collect(),
            None => labels.to_vec(),
        }
    }

    fn link(&self) -> Link {
        match self.spec().task {
            Task::Regression => Link::Identity,
            Task::Binary => Link::Logistic,
        }
    }
}

fn check_labels(task: Task, rows: &[Row], labels: &[f64]) -> Result<(), LearnError> {
    if labels.len() != rows.len() {
        let what = "the list of labels, one for each row,".to_owned();
        return Err(LearnError::Length { what, found: labels.len(), expected: rows.len() });
    }
    if rows.is_empty() {
        return Err(LearnError::NoRows);
    }
    for (row, &label) in labels.iter().enumerate() {
        match task {
            Task::Regression if !label.is_finite() => {
                return Err(LearnError::Label { row, label, expected: "a finite number" });
            }
            Task::Binary if label != 0.0 && label != 1.0 => {
                return Err(LearnError::Label { row, label, expected: "0 or 1, since the task is binary" });
            }
            Task::Regression | Task::Binary => {}
        }
    }
    Ok(())
}

fn count_labels(mut moments: Moments, labels: &[f64]) -> Result<Moments, LearnError> {
    for (row, &label) in labels.iter().enumerate() {
        moments.push(label);
        if !moments.usable() {
            let expected = "a number below 1e150, whose variance does not overflow";
            return Err(LearnError::Label { row, label, expected });
        }
    }
    Ok(moments)
}
