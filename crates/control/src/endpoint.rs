//! What is remembered of an endpoint: which label belongs to which prediction, and how well each model does.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_evaluate::{
    EndpointSpec, Feedback, Joined, LabelCounter, LabelJoin, LabelStatus, Performance, Prediction,
};
use perennial_types::{Position, TimeSpan};
use serde::{Deserialize, Serialize};

use crate::{Routed, RoutingCause};

/// The traffic of an endpoint and its labelled predictions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointState {
    join: LabelJoin,
    labels: LabelCounter,
    performance: BTreeMap<Arc<str>, Performance>,
    late: u64,
    /// The model that the endpoint begins with.
    initial: Arc<str>,
    /// The model that an experiment made the champion.
    promoted: Option<Arc<str>>,
    /// The last change of traffic.
    routed: Option<Routed>,
    /// What happened since then that may change it again.
    causes: Vec<(RoutingCause, String)>,
}

impl EndpointState {
    pub(crate) fn new(spec: &EndpointSpec) -> Self {
        Self {
            join: LabelJoin::new(spec.label.give_up_after),
            labels: LabelCounter::new(),
            performance: BTreeMap::new(),
            late: 0,
            initial: Arc::clone(&spec.initial),
            promoted: None,
            routed: None,
            causes: Vec::new(),
        }
    }

    /// The endpoint is declared like this from now on. A champion that is no longer one of its models gives way
    /// to the initial model.
    pub(crate) fn declare(&mut self, spec: &EndpointSpec) {
        self.initial = Arc::clone(&spec.initial);
        self.promoted = self.promoted.take().filter(|champion| spec.models.contains(champion));
        self.because(RoutingCause::Declarations, "the declarations have changed".to_owned());
    }

    /// The model that answers when nothing else decides.
    pub fn champion(&self) -> &Arc<str> {
        self.promoted.as_ref().unwrap_or(&self.initial)
    }

    /// How requests are split, since the last change; nothing while there is no version to answer them.
    pub fn routed(&self) -> Option<&Routed> {
        self.routed.as_ref()
    }

    pub(crate) fn route(&mut self, routed: Routed) {
        self.routed = Some(routed);
        self.causes.clear();
    }

    /// Something happened that may change the traffic.
    pub(crate) fn because(&mut self, cause: RoutingCause, reason: String) {
        self.causes.push((cause, reason));
    }

    /// An instant is over: what happened before it has changed the traffic already, if at all.
    pub(crate) fn settle(&mut self) {
        self.causes.clear();
    }

    /// What happened since the last change of traffic: the first cause, and all reasons as one sentence.
    pub(crate) fn cause(&self) -> (RoutingCause, String) {
        let cause = self.causes.first().map_or(RoutingCause::Epoch, |(cause, _)| *cause);
        let reasons: Vec<&str> = self.causes.iter().map(|(_, reason)| reason.as_str()).collect();
        (cause, reasons.join("; "))
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
