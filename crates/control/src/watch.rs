//! Records of what was measured and reported.

use std::sync::Arc;

use perennial_policy::{DataFigure, DriftRule};
use perennial_types::{ContentHash, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{ReportFormat, VersionRef};

/// A signal to be measured: the same request gives the same reading, whenever it is carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasureRequest {
    /// The policy.
    pub policy: Arc<str>,
    /// The signal.
    pub signal: Arc<str>,
    /// The model.
    pub model: Arc<str>,
    /// The endpoint that the model belongs to.
    pub endpoint: Arc<str>,
    /// The current version.
    pub version: VersionRef,
    /// What is known from this instant on …
    pub from: Timestamp,
    /// … and before this one, which is also when it is measured.
    pub to: Timestamp,
    /// What is measured.
    pub what: Measurement,
}

/// What is measured for a signal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measurement {
    /// The inputs of the version against what it was trained on.
    Drift {
        /// The sample of its training rows.
        reference: Option<ContentHash>,
        /// Names of inputs or patterns.
        columns: Vec<Arc<str>>,
        /// When a column alarms.
        rule: DriftRule,
        /// Rows that either side must have.
        min_rows: u64,
    },
    /// A figure of the data.
    Data {
        /// Which.
        figure: DataFigure,
        /// Names or patterns.
        of: Vec<Arc<str>>,
        /// What it is held against; nothing for the service levels of the views.
        limit: Option<f64>,
    },
}

/// A signal was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The policy.
    pub policy: Arc<str>,
    /// The signal.
    pub signal: Arc<str>,
    /// The model.
    pub model: Arc<str>,
    /// The number of its current version.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// What was found, or why nothing can be said.
    pub reading: Result<Reading, String>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// Of a model's inputs.
    Drift(DriftReading),
    /// Of the data.
    Data(DataReading),
}

/// What was found of the data: the worst of what the signal names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataReading {
    /// The feature, column or source.
    pub worst: Arc<str>,
    /// Its figure; seconds for freshness.
    pub value: f64,
    /// What it is held against.
    pub limit: f64,
}

/// What was found of a model's inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftReading {
    /// Rows of the reference.
    pub reference_rows: u64,
    /// Rows of the window.
    pub current_rows: u64,
    /// Part of the columns that alarm, from 0 to 1.
    pub share: f64,
    /// The same with columns weighted by their importance to the version.
    pub weighted_share: f64,
    /// The column with the largest effect.
    pub worst: Option<Arc<str>>,
    /// Its effect.
    pub max_effect: f64,
    /// Whether any column alarms.
    pub alarmed: bool,
    /// The alarmed columns, each with a sentence.
    pub columns: Vec<(Arc<str>, String)>,
}

/// A report to be written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportRequest {
    /// Its id: a hash of its name and its instant.
    pub id: Arc<str>,
    /// The report's name.
    pub report: Arc<str>,
    /// The endpoint that it is about.
    pub endpoint: Arc<str>,
    /// When it is due, or was asked for.
    pub at: Timestamp,
    /// Its window begins here …
    pub from: Timestamp,
    /// … and ends before this instant.
    pub to: Timestamp,
    /// The files that are written.
    pub formats: Vec<ReportFormat>,
}

/// A report was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reported {
    /// What was asked for.
    pub request: ReportRequest,
    /// Whether somebody asked for it by hand.
    pub on_demand: bool,
    /// One sentence of what it says.
    pub summary: String,
    /// Whether any column of any model alarmed.
    pub alarmed: bool,
    /// Its files.
    pub files: Vec<ReportFile>,
}

/// A file of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportFile {
    /// What it is.
    pub format: ReportFormat,
    /// Where its bytes are.
    pub blob: ContentHash,
    /// How many they are.
    pub bytes: u64,
}
