//! Which label belongs to which prediction.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use perennial_types::{Position, TimeSpan, Timestamp};
use serde::{Deserialize, Serialize};

/// An answered request, as far as labels are concerned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The id that its label will name.
    pub id: Arc<str>,
    /// The instant of the request.
    pub at: Timestamp,
    /// The model that answered; empty if none did.
    pub model: Arc<str>,
    /// Its version; empty if none answered.
    pub version: Arc<str>,
    /// What was answered: the number of a regression, the probability of class 1.
    pub value: f64,
    /// Whether the champion or the default answered in place of the model that was drawn.
    pub fallback: bool,
    /// Where the prediction stands in the log.
    pub position: Position,
    /// Who was drawn, and what everybody who looked at the request says.
    pub exposure: Exposure,
}

/// The record of one choice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Exposure {
    /// The experiment that the arm was drawn in.
    pub experiment: Option<Arc<str>>,
    /// What the arm was drawn for, where that is not the request itself.
    #[serde(default)]
    pub unit: Option<Arc<str>>,
    /// The start of the epoch whose probabilities were used.
    pub epoch: Timestamp,
    /// The arm that was drawn; nothing if the endpoint had no version to draw.
    pub drawn: Option<Scorer>,
    /// With which probability; zero if nothing was drawn.
    pub propensity: f64,
    /// What every version that looked at the request says: the one that answered and those in shadow. A version
    /// that failed says nothing.
    pub scores: Vec<Score>,
}

/// A version that scores requests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Scorer {
    /// The model.
    pub model: Arc<str>,
    /// The version's number within it.
    pub number: u64,
}

/// What a version says of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Who says it.
    pub by: Scorer,
    /// What it says.
    pub value: f64,
}

/// A label that came back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feedback {
    /// The prediction that it labels.
    pub prediction_id: Arc<str>,
    /// The label: a number, or class 0 or 1.
    pub value: f64,
    /// When it became known.
    pub at: Timestamp,
    /// Where it stands in the log.
    pub position: Position,
}

/// A prediction and its label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelledPrediction {
    /// The prediction.
    pub prediction: Prediction,
    /// Its label.
    pub label: f64,
    /// When both were known. It never decreases from one joined pair to the next if times never decrease
    /// along the log.
    pub known_at: Timestamp,
    /// The position from which both were known: the later of the two. It increases from one joined pair to
    /// the next, unless several labels waited for one record.
    pub position: Position,
}

/// What became of a label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Joined {
    /// In time: a row to learn from and to judge by.
    Labelled(LabelledPrediction),
    /// It came after the time to give up: kept and flagged, neither trained on nor judged by.
    Late(LabelledPrediction),
    /// The same label again; it changes nothing.
    Duplicate,
    /// Another label for a prediction that has one; the first one stays.
    Conflict {
        /// The label that stays.
        first: f64,
    },
    /// No such prediction yet; the label waits for it.
    Parked,
}

/// What a client is told of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelStatus {
    /// It labels its prediction.
    Accepted,
    /// It came after the time to give up: kept and flagged.
    Late,
    /// The same label is there already.
    Duplicate,
    /// Another label is there already, and stays.
    Conflict,
    /// There is no such prediction yet; the label waits for it.
    UnknownPending,
}

/// The label join of one endpoint.
///
/// A prediction takes a label until `give_up_after` past its request, and a late one for as long again; a label
/// without a prediction waits for `give_up_after`. What is older is forgotten, judged by the newest time
/// that the join has seen, never by a clock. A label of a forgotten prediction is parked and then dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelJoin {
    give_up_after: TimeSpan,
    now: Timestamp,
    predictions: BTreeMap<Arc<str>, Answered>,
    /// The ids of `predictions` by the time of their requests, in the order of the log.
    predicted: VecDeque<(Timestamp, Arc<str>)>,
    parked: BTreeMap<Arc<str>, Feedback>,
    /// The ids of `parked` by the time of their labels, in the order of the log; some have left it.
    waiting: VecDeque<(Timestamp, Arc<str>)>,
}

/// A prediction that is remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Answered {
    Unlabelled(Prediction),
    Labelled(f64),
}

impl LabelJoin {
    /// An empty join.
    pub fn new(give_up_after: TimeSpan) -> Self {
        Self {
            give_up_after,
            now: Timestamp::MIN,
            predictions: BTreeMap::new(),
            predicted: VecDeque::new(),
            parked: BTreeMap::new(),
            waiting: VecDeque::new(),
        }
    }

    /// From now on give up after this time. What is forgotten already stays so.
    pub fn give_up_after(&mut self, give_up_after: TimeSpan) {
        self.give_up_after = give_up_after;
    }

    /// Take the next prediction of the log. If its label was there first, they are joined now. A prediction
    /// whose id is known changes nothing.
    pub fn predicted(&mut self, prediction: Prediction) -> Option<Joined> {
        self.advance(prediction.at);
        if self.predictions.contains_key(&prediction.id) {
            return None;
        }
        let id = Arc::clone(&prediction.id);
        self.predicted.push_back((prediction.at, Arc::clone(&id)));
        match self.parked.remove(&id) {
            Some(label) => {
                self.predictions.insert(id, Answered::Labelled(label.value));
                Some(self.join(prediction, &label))
            }
            None => {
                self.predictions.insert(id, Answered::Unlabelled(prediction));
                None
            }
        }
    }

    /// Take the next label of the log.
    pub fn labelled(&mut self, label: Feedback) -> Joined {
        self.advance(label.at);
        let Some(answered) = self.predictions.get_mut(&label.prediction_id) else {
            return self.park(label);
        };
        match std::mem::replace(answered, Answered::Labelled(label.value)) {
            Answered::Unlabelled(prediction) => self.join(prediction, &label),
            Answered::Labelled(first) => {
                *answered = Answered::Labelled(first);
                again(first, label.value)
            }
        }
    }

    /// What a label would become if it came next.
    pub fn status_of(&self, label: &Feedback) -> LabelStatus {
        let again = |first: f64| {
            if first.to_bits() == label.value.to_bits() {
                LabelStatus::Duplicate
            } else {
                LabelStatus::Conflict
            }
        };
        match (self.predictions.get(&label.prediction_id), self.parked.get(&label.prediction_id)) {
            (Some(Answered::Labelled(first)), _) => again(*first),
            (Some(Answered::Unlabelled(prediction)), _) if self.late(prediction, label) => LabelStatus::Late,
            (Some(Answered::Unlabelled(_)), _) => LabelStatus::Accepted,
            (None, Some(waiting)) => again(waiting.value),
            (None, None) => LabelStatus::UnknownPending,
        }
    }

    /// Whether a prediction of this id is remembered.
    pub fn knows(&self, prediction_id: &str) -> bool {
        self.predictions.contains_key(prediction_id)
    }

    /// How many predictions are remembered, labelled or not.
    pub fn remembered(&self) -> usize {
        self.predictions.len()
    }

    /// How many labels wait for their predictions.
    pub fn parked(&self) -> usize {
        self.parked.len()
    }

    fn park(&mut self, label: Feedback) -> Joined {
        if let Some(first) = self.parked.get(&label.prediction_id) {
            return again(first.value, label.value);
        }
        self.waiting.push_back((label.at, Arc::clone(&label.prediction_id)));
        self.parked.insert(Arc::clone(&label.prediction_id), label);
        Joined::Parked
    }

    fn join(&self, prediction: Prediction, label: &Feedback) -> Joined {
        let late = self.late(&prediction, label);
        let pair = LabelledPrediction {
            label: label.value,
            known_at: prediction.at.max(label.at),
            position: prediction.position.max(label.position),
            prediction,
        };
        if late { Joined::Late(pair) } else { Joined::Labelled(pair) }
    }

    fn late(&self, prediction: &Prediction, label: &Feedback) -> bool {
        label.at > prediction.at + self.give_up_after
    }

    /// Move on to `at` and forget what is too old.
    fn advance(&mut self, at: Timestamp) {
        self.now = self.now.max(at);
        let late_until = self.now - self.give_up_after - self.give_up_after;
        while let Some((_, id)) = self.predicted.pop_front_if(|(at, _)| *at < late_until) {
            self.predictions.remove(&id);
        }
        let park_until = self.now - self.give_up_after;
        while let Some((at, id)) = self.waiting.pop_front_if(|(at, _)| *at < park_until) {
            // The id may have been joined, forgotten and parked again since.
            if self.parked.get(&id).is_some_and(|label| label.at == at) {
                self.parked.remove(&id);
            }
        }
    }
}

/// Equality by bits, so that a label is a duplicate of itself whatever it is.
fn again(first: f64, value: f64) -> Joined {
    if first.to_bits() == value.to_bits() { Joined::Duplicate } else { Joined::Conflict { first } }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hour(hours: i64) -> Timestamp {
        Timestamp::from_micros(0) + TimeSpan::from_hours(hours)
    }

    fn prediction(id: &str, at: i64, position: u64) -> Prediction {
        Prediction {
            id: id.into(),
            at: hour(at),
            model: "m".into(),
            version: "v".into(),
            value: 1.0,
            fallback: false,
            exposure: Exposure::default(),
            position: Position(position),
        }
    }

    fn label(id: &str, value: f64, at: i64, position: u64) -> Feedback {
        Feedback { prediction_id: id.into(), value, at: hour(at), position: Position(position) }
    }

    fn ten_hours() -> LabelJoin {
        LabelJoin::new(TimeSpan::from_hours(10))
    }

    #[test]
    fn a_label_joins_its_prediction_once_and_the_first_one_stays() {
        let mut join = ten_hours();
        assert_eq!(join.predicted(prediction("a", 0, 1)), None);
        let Joined::Labelled(pair) = join.labelled(label("a", 3.0, 10, 2)) else { panic!("in time") };
        assert_eq!((pair.label, pair.position, pair.known_at), (3.0, Position(2), hour(10)));
        assert_eq!(join.labelled(label("a", 3.0, 10, 3)), Joined::Duplicate);
        assert_eq!(join.labelled(label("a", 4.0, 10, 4)), Joined::Conflict { first: 3.0 });
        assert_eq!(join.labelled(label("a", 3.0, 10, 5)), Joined::Duplicate);
    }

    #[test]
    fn a_label_after_the_time_to_give_up_is_late_and_once() {
        let mut join = ten_hours();
        join.predicted(prediction("a", 0, 1));
        assert!(matches!(join.labelled(label("a", 3.0, 11, 2)), Joined::Late(_)));
        assert_eq!(join.labelled(label("a", 4.0, 12, 3)), Joined::Conflict { first: 3.0 });
    }

    #[test]
    fn another_time_to_give_up_counts_for_the_labels_that_come_then() {
        let mut join = ten_hours();
        join.predicted(prediction("a", 0, 1));
        join.predicted(prediction("b", 1, 2));
        assert_eq!(join.status_of(&label("a", 3.0, 12, 3)), LabelStatus::Late);
        join.give_up_after(TimeSpan::from_hours(20));
        assert!(matches!(join.labelled(label("a", 3.0, 12, 3)), Joined::Labelled(_)));
        join.give_up_after(TimeSpan::from_hours(6));
        assert_eq!(
            join.labelled(label("b", 3.0, 13, 4)),
            Joined::Late(LabelledPrediction {
                prediction: prediction("b", 1, 2),
                label: 3.0,
                known_at: hour(13),
                position: Position(4),
            })
        );
        join.predicted(prediction("c", 14, 5));
        assert!(!join.knows("a"));
    }

    #[test]
    fn a_parked_label_joins_when_its_prediction_arrives() {
        let mut join = ten_hours();
        assert_eq!(join.labelled(label("a", 3.0, 1, 1)), Joined::Parked);
        assert_eq!(join.labelled(label("a", 3.0, 1, 2)), Joined::Duplicate);
        assert_eq!(join.labelled(label("a", 5.0, 1, 3)), Joined::Conflict { first: 3.0 });
        let Some(Joined::Labelled(pair)) = join.predicted(prediction("a", 2, 4)) else { panic!("joined") };
        assert_eq!((pair.label, pair.position, pair.known_at), (3.0, Position(4), hour(2)));
        assert_eq!(join.parked(), 0);
        assert_eq!(join.labelled(label("a", 3.0, 3, 5)), Joined::Duplicate);
    }

    #[test]
    fn memory_ends_with_the_time_to_give_up() {
        let mut join = ten_hours();
        for i in 0..1_000_i64 {
            join.predicted(prediction(&format!("p{i}"), i, 2 * i as u64 + 1));
            join.labelled(label(&format!("stranger{i}"), 1.0, i, 2 * i as u64 + 2));
        }
        assert_eq!((join.remembered(), join.parked()), (21, 11));
        assert_eq!((join.predicted.len(), join.waiting.len()), (21, 11));
        assert_eq!(join.labelled(label("p0", 1.0, 999, 9_999)), Joined::Parked);
    }

    #[test]
    fn a_prediction_sent_twice_keeps_its_label() {
        let mut join = ten_hours();
        join.predicted(prediction("a", 0, 1));
        join.labelled(label("a", 3.0, 1, 2));
        assert_eq!(join.predicted(prediction("a", 2, 3)), None);
        assert_eq!(join.labelled(label("a", 3.0, 3, 4)), Joined::Duplicate);
    }

    /// One record of a log: which id, how many hours after the last record, a label or a prediction.
    fn records() -> impl Strategy<Value = Vec<(u8, i64, Option<u8>)>> {
        prop::collection::vec((0..6_u8, 0..5_i64, prop::option::of(0..2_u8)), 0..80)
    }

    /// The join by looking through the whole log: the first label of each id that was predicted.
    fn slow_pairs(log: &[(u8, i64, Option<u8>)]) -> Vec<(u8, u8)> {
        (0..6)
            .filter(|id| log.iter().any(|(other, _, label)| other == id && label.is_none()))
            .filter_map(|id| {
                let label = log.iter().find_map(|(other, _, label)| label.filter(|_| *other == id));
                label.map(|label| (id, label))
            })
            .collect()
    }

    proptest! {
        #[test]
        fn without_forgetting_the_first_label_of_each_prediction_is_joined_once(log in records()) {
            let mut join = LabelJoin::new(TimeSpan::from_hours(1_000));
            let (mut at, mut pairs) = (0, Vec::new());
            for (position, (id, wait, given)) in log.iter().enumerate() {
                at += wait;
                let joined = match given {
                    Some(value) => Some(join.labelled(label(&id.to_string(), f64::from(*value), at, position as u64))),
                    None => join.predicted(prediction(&id.to_string(), at, position as u64)),
                };
                if let Some(Joined::Labelled(pair)) = joined {
                    pairs.push((pair.prediction.id.parse().unwrap(), pair.label as u8));
                }
            }
            pairs.sort_unstable();
            prop_assert_eq!(pairs, slow_pairs(&log));
        }

        #[test]
        fn a_saved_and_loaded_join_goes_on_with_the_same_bytes(log in records(), cut in 0..80_usize) {
            let mut whole = ten_hours();
            let mut resumed = ten_hours();
            let mut at = 0;
            for (position, (id, wait, given)) in log.iter().enumerate() {
                if position == cut {
                    resumed = postcard::from_bytes(&postcard::to_stdvec(&resumed).unwrap()).unwrap();
                }
                at += wait;
                for join in [&mut whole, &mut resumed] {
                    match given {
                        Some(value) => {
                            join.labelled(label(&id.to_string(), f64::from(*value), at, position as u64));
                        }
                        None => {
                            join.predicted(prediction(&id.to_string(), at, position as u64));
                        }
                    }
                }
            }
            prop_assert_eq!(postcard::to_stdvec(&whole).unwrap(), postcard::to_stdvec(&resumed).unwrap());
        }
    }
}
