//! What is remembered of an endpoint: which label belongs to which prediction, and how well each model does.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_evaluate::{
    Choice, Choices, EndpointSpec, Feedback, Joined, LabelCounter, LabelJoin, LabelStatus, Performance,
    Prediction,
};
use perennial_types::{Position, TimeSpan};
use serde::{Deserialize, Serialize};

use crate::compiled::Compiled;
use crate::experiment::{Experiment, Instant};
use crate::{ExperimentChange, ExperimentGoal, ExperimentMoved, Routed, RoutingCause};

/// The traffic of an endpoint and its labelled predictions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointState {
    join: LabelJoin,
    labels: LabelCounter,
    performance: BTreeMap<Arc<str>, Performance>,
    late: u64,
    choices: Choices,
    /// The model that the endpoint begins with.
    initial: Arc<str>,
    /// The model that an experiment made the champion.
    promoted: Option<Arc<str>>,
    /// The declared experiment.
    experiment: Option<Experiment>,
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
            choices: Choices::default(),
            initial: Arc::clone(&spec.initial),
            promoted: None,
            experiment: None,
            routed: None,
            causes: Vec::new(),
        }
    }

    /// The endpoint is declared like this from now on. A champion that is no longer one of its models gives way
    /// to the initial model; an experiment whose declaration has changed is another one and begins anew. Labels
    /// that come from now on are joined and mature by the times that are declared now; figures of earlier ones stay
    /// as they were.
    pub(crate) fn declare(&mut self, spec: &EndpointSpec, experiment: Option<&ExperimentGoal>) {
        let same = |running: &Experiment| experiment.is_some_and(|goal| running.goes_on(goal, spec.outcome));
        self.experiment = self.experiment.take().filter(same);
        self.join.give_up_after(spec.label.give_up_after);
        for performance in self.performance.values_mut() {
            performance.mature_after(spec.label.matures_after);
        }
        if let (None, Some(goal)) = (&self.experiment, experiment) {
            self.experiment = Some(Experiment::new(goal, spec.outcome));
        }
        self.initial = Arc::clone(&spec.initial);
        self.promoted = self.promoted.take().filter(|champion| spec.models.contains(champion));
        self.because(RoutingCause::Declarations, "the declarations have changed".to_owned());
    }

    /// The model that answers when nothing else decides.
    pub fn champion(&self) -> &Arc<str> {
        self.promoted.as_ref().unwrap_or(&self.initial)
    }

    /// The declared experiment, and what it has shown.
    pub fn experiment(&self) -> Option<&Experiment> {
        self.experiment.as_ref()
    }

    /// The declared experiment moved.
    pub(crate) fn move_experiment(&mut self, moved: &ExperimentMoved) {
        if let Some(experiment) =
            self.experiment.as_mut().filter(|experiment| experiment.spec().name == moved.experiment)
        {
            experiment.moved(&moved.change, moved.at, &moved.reason);
        }
        match &moved.change {
            ExperimentChange::Concluded { champion } => self.promoted = Some(Arc::clone(champion)),
            ExperimentChange::Began | ExperimentChange::ArmRemoved(_) => {}
        }
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
    pub(crate) fn settle(&mut self, instant: Instant<'_>) {
        self.causes.clear();
        if let Some(experiment) = &mut self.experiment {
            experiment.mature(instant.at);
            experiment.look(instant);
        }
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

    pub(crate) fn predicted(&mut self, prediction: Prediction, choice: &Choice) -> Option<Joined> {
        if let Some(experiment) = &mut self.experiment {
            experiment.predicted(&prediction, choice);
        }
        if let Some(drawn) = &prediction.exposure.drawn {
            self.choices.chose(choice, drawn);
        }
        self.join.predicted(prediction)
    }

    pub(crate) fn labelled(&mut self, feedback: Feedback) -> Joined {
        self.join.labelled(feedback)
    }

    /// Take a joined label into account.
    pub(crate) fn count(&mut self, joined: &Joined, matures_after: TimeSpan, compiled: &Compiled) {
        match joined {
            Joined::Labelled(row) => {
                self.labels.labelled(row);
                self.performance.values_mut().for_each(|performance| performance.labelled(row));
                if let Some(experiment) = &mut self.experiment {
                    experiment.labelled(row, matures_after, compiled);
                }
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

    /// Whether versions were drawn as often as the logged probabilities say, since the first request.
    pub fn choices(&self) -> &Choices {
        &self.choices
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
