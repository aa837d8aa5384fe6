//! A candidate on its way to traffic.

use perennial_evaluate::{LabelledPrediction, Prediction};
use perennial_policy::{Otherwise, SignalValues, StageSpec, Truth};
use perennial_types::{Rounded, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::comparison::{Compared, Comparison, Proof, Seen};
use crate::compiled::{Compiled, Members};
use crate::terms::Terms;
use crate::{RolloutChange, VersionRef};

/// The part of the requests that a candidate may fail on.
const MOST_MISSED: f64 = 0.05;

/// A candidate in rollout, and what it has shown so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    version: VersionRef,
    comparison: Comparison,
    /// The stage, and when it was entered; nothing between the verdict on the run and the first stage.
    stage: Option<(usize, Timestamp)>,
    /// When the first stage was entered.
    since: Option<Timestamp>,
    /// Requests of the endpoint since then, and those that the candidate scored.
    asked: u64,
    scored: u64,
    /// Requests that the version it is held against scored, and those of them that the candidate did not.
    #[serde(default)]
    scored_by_reference: u64,
    #[serde(default)]
    missed: u64,
}

/// A move of a rollout that is due.
pub(crate) struct Move {
    pub(crate) change: RolloutChange,
    pub(crate) reason: String,
}

impl Rollout {
    pub(crate) fn admitted(version: VersionRef, current: u64, terms: &Terms) -> Self {
        let comparison = Comparison::new(version.number, current, terms);
        Self {
            version,
            comparison,
            stage: None,
            since: None,
            asked: 0,
            scored: 0,
            scored_by_reference: 0,
            missed: 0,
        }
    }

    /// The candidate.
    pub fn version(&self) -> &VersionRef {
        &self.version
    }

    /// The index of its stage, and when it was entered.
    pub fn stage(&self) -> Option<(usize, Timestamp)> {
        self.stage
    }

    /// When it entered its first stage.
    pub fn began(&self) -> Option<Timestamp> {
        self.since
    }

    /// What it has shown at an instant, held against the current version.
    pub fn compared(&self, now: Timestamp) -> Compared {
        self.comparison.compared(now)
    }

    /// The number of the version that it is held against.
    pub fn reference(&self) -> u64 {
        self.comparison.reference()
    }

    pub(crate) fn enter(&mut self, stage: usize, at: Timestamp) {
        self.stage = Some((stage, at));
        self.since.get_or_insert(at);
    }

    pub(crate) fn predicted(&mut self, model: &str, prediction: &Prediction) {
        if self.since.is_some_and(|since| prediction.at >= since) {
            let scored_by = |number: u64| {
                let mut scores = prediction.exposure.scores.iter();
                scores.any(|score| score.by.number == number && &*score.by.model == model)
            };
            let (candidate, reference) = (scored_by(self.version.number), scored_by(self.reference()));
            self.asked += 1;
            self.scored += u64::from(candidate);
            self.scored_by_reference += u64::from(reference);
            self.missed += u64::from(reference && !candidate);
        }
    }

    pub(crate) fn labelled(&mut self, row: &LabelledPrediction, model: &str, seen: Seen<'_>) {
        if self.since.is_some_and(|since| row.prediction.at >= since) {
            self.comparison.labelled(row, model, seen);
        }
    }

    pub(crate) fn mature(&mut self, now: Timestamp) {
        self.comparison.mature(now);
    }

    /// Its comparison, for the time in which the promotion may be taken back.
    pub(crate) fn into_comparison(self) -> Comparison {
        self.comparison
    }

    /// How a busy policy names it.
    pub(crate) fn sentence(&self, terms: &Terms) -> String {
        let number = self.version.number;
        match self.stage {
            Some((stage, since)) => {
                format!("candidate {number} is in rollout: {} since {since}", stage_in_words(terms, stage))
            }
            None => format!("candidate {number} is about to enter its rollout"),
        }
    }

    /// The candidate's part of its model's share in a new epoch: the probability that it is better, floored;
    /// one half while that is unknown. Nothing outside a bandit stage.
    pub(crate) fn split(&self, terms: &Terms, now: Timestamp) -> Option<f64> {
        match self.stage.and_then(|(stage, _)| terms.stages.get(stage))? {
            StageSpec::Bandit { floor, .. } => {
                let better = self.compared(now).probability_better.unwrap_or(0.5);
                Some(better.clamp(*floor, 1.0 - *floor))
            }
            StageSpec::Shadow { .. } | StageSpec::Promote => None,
        }
    }

    /// Whether an epoch of a bandit stage begins in `(since, at]`.
    pub(crate) fn epoch_begins(&self, terms: &Terms, since: Option<Timestamp>, at: Timestamp) -> bool {
        let Some((stage, entered)) = self.stage else { return false };
        match terms.stages.get(stage) {
            Some(StageSpec::Bandit { epoch, .. }) => crate::epoch::begins(entered, *epoch, since, at),
            Some(StageSpec::Shadow { .. } | StageSpec::Promote) | None => false,
        }
    }

    /// What is due at an instant. A stage takes a tick at least.
    pub(crate) fn due(&self, terms: &Terms, at: Timestamp, compiled: &Compiled) -> Option<Move> {
        let (place, entered) = self.stage?;
        if at <= entered {
            return None;
        }
        match terms.stages.get(place) {
            Some(StageSpec::Shadow { length }) => {
                (at >= entered + *length).then(|| self.after_shadow(terms, place, at))
            }
            Some(StageSpec::Bandit { until, at_most, otherwise, .. }) => {
                let compared = self.compared(at);
                let (truth, explanation) = compiled.truth(Members::Rollout, until, &values(&compared));
                let figures = compared.sentence(terms.metric);
                if truth == Truth::True {
                    let answers = self.answers();
                    return Some(
                        answers
                            .err()
                            .unwrap_or_else(|| next(terms, place, format!("{explanation}; {figures}"))),
                    );
                }
                let over = format!("its {at_most} in {} are over", stage_in_words(terms, place));
                (at >= entered + *at_most)
                    .then(|| self.otherwise(terms, place, at, *otherwise, &format!("{over} ({explanation})")))
            }
            Some(StageSpec::Promote) | None => {
                Some(Move { change: RolloutChange::Promoted, reason: "no stage is left".to_owned() })
            }
        }
    }

    fn after_shadow(&self, terms: &Terms, place: usize, at: Timestamp) -> Move {
        if let Err(refused) = self.answers() {
            return refused;
        }
        let figures = self.compared(at).sentence(terms.metric);
        let (scored, asked) = (self.scored, self.asked);
        next(terms, place, format!("in shadow it scored {scored} of {asked} requests; {figures}"))
    }

    /// Whether it scores what it is asked: rows that it fails on stand in no comparison, so that a candidate which
    /// fails on what is hard would be judged by what is easy.
    fn answers(&self) -> Result<(), Move> {
        let refused = |reason: String| Err(Move { change: RolloutChange::Refused, reason });
        if self.scored == 0 && self.asked > 0 {
            return refused(format!("it scored none of the {} requests of its rollout", self.asked));
        }
        let (missed, of) = (self.missed, self.scored_by_reference);
        if missed as f64 > MOST_MISSED * of as f64 {
            return refused(format!(
                "it failed on {missed} of the {of} requests that version {} scored, more than the {} % that are tolerated",
                self.reference(),
                Rounded(100.0 * MOST_MISSED)
            ));
        }
        Ok(())
    }

    fn otherwise(
        &self,
        terms: &Terms,
        place: usize,
        at: Timestamp,
        otherwise: Otherwise,
        over: &str,
    ) -> Move {
        let refused = |why: &str| Move { change: RolloutChange::Refused, reason: format!("{over}; {why}") };
        if let (Otherwise::Promote | Otherwise::PromoteIfNotWorse, Err(fails)) = (otherwise, self.answers()) {
            return refused(&fails.reason);
        }
        match otherwise {
            Otherwise::Promote => next(terms, place, format!("{over}; it goes on as declared")),
            Otherwise::Refuse => refused("it is refused as declared"),
            Otherwise::PromoteIfNotWorse => match self.comparison.proof(at, terms) {
                Proof::NotWorse(why) => next(terms, place, format!("{over}; {why}")),
                Proof::Worse(why) | Proof::Unknown(why) => refused(&why),
            },
        }
    }
}

fn next(terms: &Terms, place: usize, reason: String) -> Move {
    let change = match terms.stages.get(place + 1) {
        Some(StageSpec::Shadow { .. } | StageSpec::Bandit { .. }) => RolloutChange::Entered(place + 1),
        Some(StageSpec::Promote) | None => RolloutChange::Promoted,
    };
    Move { change, reason }
}

/// A stage for people: its place, how many there are, and its kind.
pub(crate) fn stage_in_words(terms: &Terms, stage: usize) -> String {
    words(stage + 1, terms.stages.len(), stage_name(terms, stage))
}

/// A stage for records; [`stage_of`] reads it.
pub(crate) fn stage_to_json(terms: &Terms, stage: usize) -> Json {
    json!({"name": stage_name(terms, stage), "number": stage + 1, "of": terms.stages.len()})
}

/// The stage in the evidence of a [`RolloutMoved`](crate::RolloutMoved), for people: `stage 2 of 3 (bandit)`;
/// nothing if the evidence names none.
pub fn stage_of(evidence: &Json) -> Option<String> {
    let stage = evidence.get("stage")?;
    let number = |member| usize::try_from(stage.get(member)?.as_u64()?).ok();
    Some(words(number("number")?, number("of")?, stage.get("name")?.as_str()?))
}

fn words(number: usize, of: usize, name: &str) -> String {
    format!("stage {number} of {of} ({name})")
}

/// What a stage is called: its kind.
fn stage_name(terms: &Terms, stage: usize) -> &'static str {
    match terms.stages.get(stage) {
        Some(StageSpec::Shadow { .. }) => "shadow",
        Some(StageSpec::Bandit { .. }) => "bandit",
        Some(StageSpec::Promote) | None => "promote",
    }
}

fn values(compared: &Compared) -> SignalValues {
    let mut values = SignalValues::default();
    let least = perennial_evaluate::LEAST_PAIRS;
    let better =
        compared.probability_better.ok_or_else(|| format!("fewer than {least} rows ({})", compared.rows));
    values.rollout(better, compared.rows);
    values
}
