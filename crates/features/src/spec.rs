//! What a feature view declares.

use std::sync::Arc;

use perennial_types::NamedExpr;
use serde::{Deserialize, Serialize};

use crate::{Op, WindowSpec};

/// A declared feature view: model-independent features of one entity over one source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewSpec {
    /// Its name, the prefix of its features' names.
    pub name: Arc<str>,
    /// The source's columns that form the entity key.
    pub entity: Vec<Arc<str>>,
    /// The source.
    pub from: Arc<str>,
    /// Row-wise transformations: names that aggregates may use beside the source's columns.
    pub columns: Vec<NamedExpr>,
    /// Windowed aggregates.
    pub aggregates: Vec<AggregateSpec>,
    /// Expressions over the aggregates' names (without the view's prefix).
    pub derived: Vec<NamedExpr>,
}

/// A declared aggregate: every op over every window is one feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AggregateSpec {
    /// The stem of the features' names.
    pub name: Arc<str>,
    /// The operations.
    pub ops: Vec<Op>,
    /// Whether the op is part of the name (it was declared as a list): `rides_avg_7d`, but `busy_30d`.
    pub op_in_name: bool,
    /// SQL over the source's columns and the view's; `count` may leave it out.
    pub of: Option<Arc<str>>,
    /// SQL for the second column of ops that take pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Arc<str>>,
    /// SQL condition; only events for which it is true count.
    #[serde(rename = "where")]
    pub filter: Option<Arc<str>>,
    /// SQL for the values by which events are told apart: each op gives a map from these values' texts, at most
    /// a hundred of them, those with the smallest hashes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<str>>,
    /// The edges of a histogram, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<f64>,
    /// The windows.
    pub windows: Vec<WindowSpec>,
    /// How exact the far end of a sliding window is.
    pub tail: Tail,
}

/// How exact the far end of a sliding window is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tail {
    /// The window may reach back further by at most a sixtieth of its length.
    #[default]
    Hop,
    /// Exactly `[t - w, t)`; events are kept for the whole window.
    Exact,
}
