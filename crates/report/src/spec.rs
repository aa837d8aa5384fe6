//! What a report says: the structure that is rendered, which is also its JSON format.

use perennial_types::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::ReportError;

/// The format of the JSON of reports that is written and read here.
pub const FORMAT_VERSION: u32 = 1;

/// What an endpoint did over a window, and whether its inputs and answers changed.
///
/// Shares are fractions in [0, 1]. Numbers are finite; what could not be computed is `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`FORMAT_VERSION`] when it is made.
    pub format_version: u32,
    /// The declared name of the report.
    pub name: String,
    /// The project.
    pub project: String,
    /// The endpoint that is reported on.
    pub endpoint: String,
    /// When the report was made.
    pub at: Timestamp,
    /// Where the window begins, inclusive.
    pub from: Timestamp,
    /// Where the window ends, exclusive.
    pub to: Timestamp,
    /// What the window is compared with, to be read after "compared with".
    pub reference: String,
    /// Requests in the window.
    pub requests: u64,
    /// How many of them have a label by now.
    pub labelled: u64,
    /// How many were answered by the endpoint's fallback.
    pub fallbacks: u64,
    /// The models of the endpoint.
    pub models: Vec<ModelSection>,
    /// Which model answered which share, over the window.
    pub traffic: Traffic,
    /// Decisions in the window, oldest first.
    pub decisions: Vec<Entry>,
    /// Rollouts that were in progress in the window, oldest first.
    pub rollouts: Vec<RolloutEntry>,
    /// Sentences that the reader should know, such as what was left out.
    pub notes: Vec<String>,
}

/// A model over the window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelSection {
    /// The name of the model.
    pub model: String,
    /// The version in service at the end of the window, such as `bike-windowed/7`; `None` without one.
    pub version: Option<String>,
    /// The mean share of the traffic over the window.
    pub share: f64,
    /// The comparison of its inputs with the reference, where it could be made.
    pub drift: Option<DriftSection>,
    /// Why there is no comparison.
    pub drift_unknown: Option<String>,
    /// Its metrics over the window.
    pub performance: Vec<MetricSeries>,
}

/// The comparison of all columns of a model with the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftSection {
    /// How columns were compared, in words.
    pub method: String,
    /// The correction for comparing many columns at once, such as `bh`.
    pub correction: String,
    /// The error rate that the correction keeps.
    pub alpha: f64,
    /// Rows in the reference window.
    pub reference_rows: u64,
    /// Rows in the current window.
    pub current_rows: u64,
    /// The share of columns that changed.
    pub share: f64,
    /// The same, each column weighted by its importance to the model; `None` where that is not known.
    pub weighted_share: Option<f64>,
    /// The column with the largest effect.
    pub worst: Option<String>,
    /// The largest effect, in the unit of that column.
    pub max_effect: Option<f64>,
    /// Whether this is an alarm for the model as a whole.
    pub alarmed: bool,
    /// Each column.
    pub columns: Vec<ColumnSection>,
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// Numbers with an order and distances.
    Numeric,
    /// Names.
    Categorical,
}

/// The unit of an effect size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectName {
    /// Wasserstein-1 distance in standard deviations of the reference.
    WassersteinSd,
    /// Jensen-Shannon distance.
    Js,
}

/// The comparison of one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnSection {
    /// The name of the column.
    pub name: String,
    /// What its values are.
    pub kind: ColumnKind,
    /// The test, such as `ks`.
    pub test: String,
    /// The statistic of the test.
    pub statistic: Option<f64>,
    /// The p-value of the test, before correction.
    pub p_value: Option<f64>,
    /// The p-value after correction over all columns.
    pub p_adjusted: Option<f64>,
    /// How far apart the distributions are.
    pub effect: Option<f64>,
    /// The unit of `effect`.
    pub effect_name: EffectName,
    /// The share of missing values in the reference.
    pub missing_reference: f64,
    /// The share of missing values in the window.
    pub missing_current: f64,
    /// Categories of the window that the reference does not have.
    pub new_categories: Vec<String>,
    /// Whether the column changed.
    pub alarmed: bool,
    /// Why it counts as changed, or as unchanged.
    pub reason: String,
    /// The distribution of the reference.
    pub reference: Distribution,
    /// The distribution of the window.
    pub current: Distribution,
}

/// How the values of a column are distributed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Distribution {
    /// Numbers in bins.
    Histogram {
        /// The edges of the bins, increasing and finite; one more than there are bins.
        edges: Vec<f64>,
        /// The share of rows in each bin.
        shares: Vec<f64>,
    },
    /// Names, most frequent first.
    Categories {
        /// The share of rows of each name.
        categories: Vec<CategoryShare>,
    },
}

/// How often a category occurs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CategoryShare {
    /// The category.
    pub name: String,
    /// Its share of rows.
    pub share: f64,
}

/// A metric of a model over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricSeries {
    /// The metric, such as `mae`.
    pub metric: String,
    /// The unit of its values.
    pub unit: Option<String>,
    /// What it is compared with.
    pub baseline: Option<f64>,
    /// Its value over the whole window; `None` without labelled rows.
    pub value: Option<f64>,
    /// Its values step by step, oldest first.
    pub points: Vec<MetricPoint>,
}

/// A metric at an instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricPoint {
    /// Where the window of this value ends.
    pub at: Timestamp,
    /// The value; `None` where there were too few rows.
    pub value: Option<f64>,
    /// The rows it was computed from.
    pub rows: u64,
}

/// Which arm answered which share of the requests, in steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Each change of the shares, oldest first; a step lasts until the next.
    pub steps: Vec<TrafficStep>,
    /// Where the last step ends.
    pub until: Timestamp,
}

/// The shares from an instant on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrafficStep {
    /// Where the step begins.
    pub at: Timestamp,
    /// The share of each arm; they sum to at most one.
    pub shares: Vec<ArmShare>,
}

/// The share of one arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmShare {
    /// The arm: a model or a version.
    pub arm: String,
    /// Its share of the requests.
    pub share: f64,
}

/// A decision and its reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was taken.
    pub at: Timestamp,
    /// What was decided, such as `started`, `held` or `promoted`.
    pub kind: String,
    /// What it was decided about.
    pub subject: String,
    /// Why.
    pub reason: String,
}

/// A rollout and how far it came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutEntry {
    /// The model.
    pub model: String,
    /// The candidate, such as `bike-windowed/8`.
    pub version: String,
    /// The stage it is in, or ended in.
    pub stage: String,
    /// How it ended, such as `promoted`; `None` while it goes on.
    pub outcome: Option<String>,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Why it ended so, or what it waits for.
    pub reason: String,
}

impl Report {
    /// The report as JSON for programs: this structure, indented, in the order of its fields.
    pub fn to_json(&self) -> String {
        format!("{:#}\n", serde_json::json!(self))
    }

    /// Read what [`Report::to_json`] wrote.
    ///
    /// # Errors
    /// When the text is no report, or one of another format.
    pub fn from_json(text: &str) -> Result<Self, ReportError> {
        #[derive(Deserialize)]
        struct Header {
            format_version: u32,
        }
        let header: Header = serde_json::from_str(text)?;
        if header.format_version != FORMAT_VERSION {
            return Err(ReportError::Format(header.format_version));
        }
        Ok(serde_json::from_str(text)?)
    }
}
