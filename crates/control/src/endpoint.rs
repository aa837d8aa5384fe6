//! What is remembered of an endpoint: which label belongs to which prediction, and how well each model does.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_evaluate::{
    EndpointSpec, Feedback, Joined, LabelCounter, LabelJoin, LabelStatus, Performance, Prediction,
};
use perennial_types::{Position, TimeSpan};
use serde::{Deserialize, Serialize};

/// The labelled predictions of an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointState {
    join: LabelJoin,
    labels: LabelCounter,
    performance: BTreeMap<Arc<str>, Performance>,
    late: u64,
}

impl EndpointState {
    pub(crate) fn new(spec: &EndpointSpec) -> Self {
        Self {
            join: LabelJoin::new(spec.label.give_up_after),
            labels: LabelCounter::new(),
            performance: BTreeMap::new(),
            late: 0,
        }
    }

    /// Watch a model's performance for windows of at most `keep`.
    pub(crate) fn watch(&mut self, model: &Arc<str>, spec: &EndpointSpec, keep: TimeSpan) {
        let fresh = || Performance::new(Arc::clone(model), spec.label.matures_after, keep);
        self.performance.entry(Arc::clone(model)).or_insert_with(fresh).keep_at_least(keep);
    }

    pub(crate) fn predicted(&mut self, prediction: Prediction) {
        if let Some(joined) = self.join.predicted(prediction) {
            self.count(&joined);
        }
    }

    pub(crate) fn labelled(&mut self, feedback: Feedback) -> Joined {
        let joined = self.join.labelled(feedback);
        self.count(&joined);
        joined
    }

    fn count(&mut self, joined: &Joined) {
        match joined {
            Joined::Labelled(row) => {
                self.labels.labelled(row);
                self.performance.values_mut().for_each(|performance| performance.labelled(row));
            }
            Joined::Late(_) => self.late += 1,
            Joined::Duplicate | Joined::Conflict { .. } | Joined::Parked => {}
        }
    }

    /// What a label would become if it came next.
    pub fn status_of(&self, label: &Feedback) -> LabelStatus {
        self.join.status_of(label)
    }

    /// Whether a prediction of this id is remembered.
    pub fn knows(&self, prediction_id: &str) -> bool {
        self.join.knows(prediction_id)
    }

    /// The labels that can be trained on.
    pub fn labels(&self) -> &LabelCounter {
        &self.labels
    }

    /// How well a model does.
    pub fn performance(&self, model: &str) -> Option<&Performance> {
        self.performance.get(model)
    }

    /// Labels that came after the time to give up.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Labelled rows after a position.
    pub(crate) fn labels_since(&self, position: Position) -> u64 {
        self.labels.count_since(position)
    }
}
