//! What a project declares, as it is stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_control::ReportSpec;
use perennial_evaluate::{EndpointSpec, ExperimentSpec};
use perennial_features::{NamedExpr, ViewSpec};
use perennial_learn::{LearnerSpec, OutputSpec, Task, TransformFn};
use perennial_policy::{DataFigure, PolicySpec};
use perennial_types::{ContentHash, Schema, SourceSpec, TimeSpan, Timestamp};
use serde::{Deserialize, Serialize};

/// The declarations of a project. Each list is sorted by name, so that the order of files and documents says
/// nothing; what is declared in an order (columns of a schema, triggers of a policy) keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// Its name.
    pub name: Arc<str>,
    /// What drives its time.
    pub clock: ClockKind,
    /// How often policies are looked at.
    pub tick: TimeSpan,
    /// The part of the entities whose features are replayed in the background and compared with what was served.
    #[serde(default = "audited", skip_serializing_if = "is_audited")]
    pub audited: f64,
    /// The streams of events.
    pub sources: Vec<SourceSpec>,
    /// Where the history of a source is, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub histories: BTreeMap<Arc<str>, HistorySpec>,
    /// The feature views.
    pub views: Vec<ViewSpec>,
    /// What is promised of views, by their names. It is no part of what a view computes, nor of its version.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub service_levels: BTreeMap<Arc<str>, ServiceLevel>,
    /// The models.
    pub models: Vec<ModelSpec>,
    /// The endpoints.
    pub endpoints: Vec<EndpointSpec>,
    /// The experiments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub experiments: Vec<ExperimentSpec>,
    /// The policies.
    pub policies: Vec<PolicySpec>,
    /// The reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<ReportSpec>,
}

/// The part of the entities that is audited unless said.
pub(crate) const AUDITED: f64 = 0.01;

fn audited() -> f64 {
    AUDITED
}

/// What is not said is not written.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_audited(part: &f64) -> bool {
    *part == AUDITED
}

/// What is promised of a view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceLevel {
    /// Of its events 99 % can be read so soon after they happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freshness_p99: Option<TimeSpan>,
    /// No feature is NULL more often than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub null_rate: Option<f64>,
}

impl ServiceLevel {
    /// What is promised of a figure, in its unit; most have no promise.
    pub fn of(&self, figure: DataFigure) -> Option<f64> {
        match figure {
            DataFigure::Freshness => self.freshness_p99.map(|span| span.micros() as f64 / 1e6),
            DataFigure::NullRate => self.null_rate,
            DataFigure::Skew
            | DataFigure::Loss
            | DataFigure::NewCategories
            | DataFigure::Violations
            | DataFigure::Volume => None,
        }
    }
}

/// Where the rows of a source are that are older than its stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistorySpec {
    /// Files, relative to the declarations; `*` stands for any text in a file's name.
    pub files: Arc<str>,
    /// The cut-over: what happened before it is taken from the files, the rest from the stream. Without it all of both
    /// is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What drives a project's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockKind {
    /// The wall clock.
    #[default]
    Wall,
    /// The `at` of requests: a play of history.
    Event,
}

/// What is trained: inputs, transformations, learner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// Its name.
    pub name: Arc<str>,
    /// The model from which the fields that were not given are copied; patterns may then match nothing.
    pub like: Option<Arc<str>>,
    /// What is predicted.
    pub task: Task,
    /// The columns of a request.
    pub request: Schema,
    /// Pure expressions over the request, features and earlier ones of this list.
    pub on_demand: Vec<NamedExpr>,
    /// Names of view features, as declared: `*` stands for any text.
    pub features: Vec<Arc<str>>,
    /// The transformations, as declared: names of inputs or patterns.
    pub transforms: Vec<DeclaredTransform>,
    /// The learner.
    pub learner: LearnerSpec,
    /// Bounds of the answer.
    pub output: OutputSpec,
    /// When the first version is fitted: SQL over `labels.rows` and `labels.rate`.
    pub first_version: Arc<str>,
}

/// A transformation before its patterns are expanded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeclaredTransform {
    /// Names of inputs or patterns.
    pub of: Vec<Arc<str>>,
    /// What is done to each of them.
    pub function: TransformFn,
}

impl Project {
    /// A project in which nothing is declared yet.
    pub(crate) fn empty(name: Arc<str>, clock: ClockKind, tick: TimeSpan) -> Self {
        Self {
            name,
            clock,
            tick,
            audited: AUDITED,
            sources: Vec::new(),
            histories: BTreeMap::new(),
            views: Vec::new(),
            service_levels: BTreeMap::new(),
            models: Vec::new(),
            endpoints: Vec::new(),
            experiments: Vec::new(),
            policies: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// The hash of the canonical JSON: the same for the same declarations, whatever the order of files and
    /// fields and whatever the comments say.
    pub fn hash(&self) -> ContentHash {
        hash_of(self)
    }
}

/// The hash of the JSON of a declaration: fields in the order of their structure.
pub(crate) fn hash_of(declaration: &impl Serialize) -> ContentHash {
    ContentHash::of(json_of(declaration).to_string().as_bytes())
}

/// A declaration as JSON. Declarations are structures with text keys, whose writing cannot fail.
pub(crate) fn json_of(declaration: &impl Serialize) -> serde_json::Value {
    match serde_json::to_value(declaration) {
        Ok(json) => json,
        Err(error) => unreachable!("a declaration has text keys only and is always JSON: {error}"),
    }
}
