//! The contract with a trainer process: what its run directory holds, and what it reports.
//!
//! A trainer, ours or anybody's, is started in a run directory with [`RUN_FILE`], the training set as Parquet
//! and, for a fine-tune, the parent's artifact. It writes one [`Progress`] as JSON on each line of its
//! standard output, and when it is done the artifact, [`METRICS_FILE`] and, last, [`MANIFEST_FILE`]: a
//! directory without a manifest is a run that did not finish. Unknown fields are to be ignored by both sides.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_types::{ContentHash, Row};
use serde::{Deserialize, Serialize};

use crate::error::LearnError;
use crate::fitted::Fitted;
use crate::metrics;
use crate::spec::{FitSpec, LearnerSpec, Task};

/// The version of this contract.
pub const CONTRACT_VERSION: u32 = 1;
/// A [`RunSpec`], written before the trainer starts.
pub const RUN_FILE: &str = "run.json";
/// The usual name of the training set.
pub const TRAINING_SET_FILE: &str = "training_set.parquet";
/// The usual name of the parent's artifact.
pub const PARENT_FILE: &str = "parent.artifact";
/// The usual name of the artifact that is made.
pub const ARTIFACT_FILE: &str = "artifact";
/// A [`TrainMetrics`], written by the trainer.
pub const METRICS_FILE: &str = "metrics.json";
/// A [`Manifest`], written by the trainer as its last act.
pub const MANIFEST_FILE: &str = "manifest.json";

/// What is to be trained ([`RUN_FILE`]). File names are relative to the run directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSpec {
    /// [`CONTRACT_VERSION`] of who wrote it.
    pub format_version: u32,
    /// The run, for messages.
    pub run_id: String,
    /// From scratch or from the parent's state.
    pub action: Action,
    /// The declared inputs, transformations and learner.
    pub fit: FitSpec,
    /// Passes over the training set in a fine-tune; from scratch it is the learner's own number that counts.
    pub epochs: u32,
    /// The version that this one descends from; a fine-tune starts from its state.
    pub parent: Option<Parent>,
    /// The training set: a column for each input, and the label.
    pub training_set: String,
    /// The label's column.
    pub label: Arc<str>,
    /// How many rows the training set has.
    pub rows: u64,
}

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The first version of a model, from scratch.
    Fit,
    /// From the parent's state.
    FineTune,
    /// From scratch, though there is a parent.
    Retrain,
}

impl Action {
    /// The name in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fit => "fit",
            Self::FineTune => "fine_tune",
            Self::Retrain => "retrain",
        }
    }
}

/// The version that a run descends from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parent {
    /// Its artifact.
    pub artifact: String,
    /// The SHA-256 of that file.
    pub sha256: ContentHash,
    /// The content hash of that version, which enters that of its child.
    pub content_hash: ContentHash,
}

impl Parent {
    /// Read the state from the bytes of the artifact.
    ///
    /// # Errors
    /// [`LearnError::WrongFile`] when they are not the bytes that were named, else as [`Fitted::load`].
    pub fn read(&self, bytes: &[u8]) -> Result<Fitted, LearnError> {
        let found = ContentHash::of(bytes);
        if found == self.sha256 {
            return Fitted::load(bytes);
        }
        Err(LearnError::WrongFile { file: self.artifact.clone(), found, expected: self.sha256 })
    }
}

/// How far a trainer is: one JSON line on its standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Row visits done.
    pub rows_done: u64,
    /// Row visits in all: rows times epochs.
    pub rows_total: u64,
}

/// What a finished run leaves behind ([`MANIFEST_FILE`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`CONTRACT_VERSION`] of who wrote it.
    pub format_version: u32,
    /// The run that it belongs to.
    pub run_id: String,
    /// The artifact, relative to the run directory.
    pub artifact: String,
    /// The SHA-256 of that file.
    pub sha256: ContentHash,
    /// The content hash of the version.
    pub content_hash: ContentHash,
    /// What training cost: rows times epochs.
    pub row_visits: u64,
}

impl Manifest {
    /// Of a state and the bytes that it was saved as.
    pub fn of(run: &RunSpec, fitted: &Fitted, artifact: &[u8]) -> Self {
        Self {
            format_version: CONTRACT_VERSION,
            run_id: run.run_id.clone(),
            artifact: ARTIFACT_FILE.to_owned(),
            sha256: ContentHash::of(artifact),
            content_hash: fitted.content_hash(run.parent.as_ref().map(|parent| parent.content_hash)),
            row_visits: run.row_visits(),
        }
    }
}

/// What a trainer measured, by name ([`METRICS_FILE`]).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrainMetrics(pub BTreeMap<String, f64>);

impl TrainMetrics {
    /// The metrics of a task over rows, such as the training set; those that are undefined there are left out.
    ///
    /// # Errors
    /// As [`Fitted::predict`].
    pub fn of(fitted: &Fitted, rows: &[Row], labels: &[f64]) -> Result<Self, LearnError> {
        let predictions = rows.iter().map(|row| fitted.predict(row)).collect::<Result<Vec<_>, _>>()?;
        type Metric = fn(&[f64], &[f64]) -> Option<f64>;
        let named: &[(&str, Metric)] = match fitted.spec().task {
            Task::Regression => &[("mae", metrics::mae), ("rmse", metrics::rmse)],
            Task::Binary => &[
                ("accuracy", metrics::accuracy),
                ("log_loss", metrics::log_loss),
                ("roc_auc", metrics::roc_auc),
            ],
        };
        let values = named.iter().filter_map(|(name, metric)| {
            metric(&predictions, labels).map(|value| ((*name).to_owned(), value))
        });
        Ok(Self(values.collect()))
    }
}

impl RunSpec {
    /// What training will cost: rows times epochs.
    pub fn row_visits(&self) -> u64 {
        let epochs = match (self.action, &self.fit.learner) {
            (Action::FineTune, _) => self.epochs,
            (Action::Fit | Action::Retrain, LearnerSpec::Linear(sgd) | LearnerSpec::Logistic(sgd)) => {
                sgd.epochs
            }
            (Action::Fit | Action::Retrain, LearnerSpec::LogisticBatch(_)) => 1,
        };
        Fitted::row_visits(&self.fit, self.rows, epochs)
    }

    fn check(&self, rows: &[Row]) -> Result<(), LearnError> {
        let fault = |fault: String| Err(LearnError::Run { run_id: self.run_id.clone(), fault });
        if self.format_version != CONTRACT_VERSION {
            let found = self.format_version;
            return fault(format!(
                "{RUN_FILE} has format_version {found}, this trainer reads {CONTRACT_VERSION}"
            ));
        }
        if self.rows != rows.len() as u64 {
            let (found, expected, file) = (rows.len(), self.rows, &self.training_set);
            return fault(format!("{file:?} has {found} rows, {RUN_FILE} says {expected}"));
        }
        match (self.action, &self.parent) {
            (Action::Fit, Some(_)) => fault("action fit has a parent; say retrain or fine_tune".to_owned()),
            (Action::FineTune, None) => {
                fault("action fine_tune has no parent; say fit or retrain".to_owned())
            }
            (Action::Fit, None) | (Action::FineTune, Some(_)) | (Action::Retrain, Some(_) | None) => Ok(()),
        }
    }
}

/// Train as a run says: what a trainer does between reading its files and writing them. `parent` is the state
/// of the named parent; only a fine-tune needs it. A fine-tune takes learner settings and output bounds from
/// the run, as they may have changed since the parent.
///
/// # Errors
/// [`LearnError::Run`] when the run contradicts itself or its rows, [`LearnError::NotTheParents`] when a
/// fine-tune needs a retrain, else as [`Fitted::fit`] and [`Fitted::fine_tune`].
pub fn train(
    run: &RunSpec,
    rows: &[Row],
    labels: &[f64],
    parent: Option<&Fitted>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Fitted, LearnError> {
    run.check(rows)?;
    let rows_total = run.row_visits();
    let mut told = |rows_done| progress(Progress { rows_done, rows_total });
    match (run.action, parent) {
        (Action::Fit | Action::Retrain, _) => Fitted::fit_with_progress(&run.fit, rows, labels, &mut told),
        (Action::FineTune, Some(parent)) => {
            parent.under(&run.fit)?.fine_tune_with_progress(rows, labels, run.epochs, &mut told)
        }
        (Action::FineTune, None) => Err(LearnError::Run {
            run_id: run.run_id.clone(),
            fault: "action fine_tune was given no parent's state".to_owned(),
        }),
    }
}
