//! What an audit has counted, by time: of every feature as it was served, and of every source's columns.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use perennial_types::{Position, Schema, Timestamp, Value};
use serde::{Deserialize, Serialize};

use super::{Buckets, ColumnFigures};
use crate::skew::{FeatureSkew, Skewed};

/// Everything that an audit has counted. It is a function of the log up to a position.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Records up to here are in it.
    pub through: Position,
    /// When the last of them became available.
    pub at: Timestamp,
    /// Predictions whose features were looked at.
    pub predictions: u64,
    /// Lookups of sampled entities that were compared.
    pub compared: u64,
    /// Lookups that could not be compared, because their view version is in no declaration of the log or their
    /// position lies further back than the replay waits.
    pub not_compared: u64,
    /// Served against replayed values, by feature.
    pub skew: BTreeMap<Arc<str>, Buckets<FeatureSkew>>,
    /// The last values that differ.
    pub differences: VecDeque<Skewed>,
    /// Features as they were served, by full name.
    pub features: BTreeMap<Arc<str>, ColumnFigures>,
    /// Events, by source.
    pub sources: BTreeMap<Arc<str>, SourceFigures>,
}

/// What was counted of the events of a source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceFigures {
    /// Events in the log, counted by reading it again.
    pub appended: Buckets<u64>,
    /// Its columns.
    pub columns: BTreeMap<Arc<str>, ColumnFigures>,
}

impl Figures {
    /// Count the values of columns that became known at `at`.
    pub(crate) fn row(
        columns: &mut BTreeMap<Arc<str>, ColumnFigures>,
        schema: &Schema,
        row: &[Value],
        at: Timestamp,
    ) {
        for (column, value) in schema.columns().iter().zip(row) {
            match columns.get_mut(&column.name) {
                Some(figures) => figures.add(at, value),
                None => columns.entry(Arc::clone(&column.name)).or_default().add(at, value),
            }
        }
    }

    /// Count one feature of a sampled entity.
    pub(crate) fn compared(&mut self, feature: &Arc<str>, at: Timestamp, served: &Value, replayed: &Value) {
        let skew = match self.skew.get_mut(feature) {
            Some(skew) => skew,
            None => self.skew.entry(Arc::clone(feature)).or_default(),
        };
        skew.at(at).add(served, replayed);
    }

    /// What was counted of a source.
    pub(crate) fn source(&mut self, name: &Arc<str>) -> &mut SourceFigures {
        self.sources.entry(Arc::clone(name)).or_default()
    }
}
