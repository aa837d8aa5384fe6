//! An experiment between models of an endpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use perennial_evaluate::{
    Algorithm, Choice, Choices, Conclusion, Earning, ErrorRate, Evidence, ExperimentSpec, GuardrailMetric,
    LabelledPrediction, Mode, Outcome, Prediction, Rewards, UnitSpec,
};
use perennial_policy::{SignalValues, Truth};
use perennial_stats::sequential::Design;
use perennial_types::{ContentHash, Rounded, TimeSpan, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::compiled::{Compiled, Members};
use crate::model::ModelState;
use crate::{ExperimentChange, ExperimentGoal, Goal, Routed, epoch};

/// An experiment and what it has shown so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    version: ContentHash,
    spec: ExperimentSpec,
    began: Option<Timestamp>,
    rewards: Rewards,
    /// Of each arm in order of declaration.
    errors: Vec<ErrorRate>,
    choices: Choices,
    removed: BTreeSet<Arc<str>>,
    /// Whether every arm earns by what it says of a request, whoever answers it.
    #[serde(default)]
    all_earn: bool,
    /// Whether `until` held when the last epoch began.
    leads: bool,
    concluded: Option<Concluded>,
}

/// How an experiment ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concluded {
    /// When.
    pub at: Timestamp,
    /// The champion since then.
    pub champion: Arc<str>,
    /// Why.
    pub reason: String,
}

/// A move of an experiment that is due.
pub(crate) struct Move {
    pub(crate) change: ExperimentChange,
    pub(crate) reason: String,
}

/// What an experiment needs to know of an instant.
#[derive(Clone, Copy)]
pub(crate) struct Instant<'a> {
    pub(crate) at: Timestamp,
    /// The last instant that is done.
    pub(crate) since: Option<Timestamp>,
    pub(crate) goal: &'a Goal,
    pub(crate) models: &'a BTreeMap<Arc<str>, ModelState>,
    pub(crate) initial: &'a Arc<str>,
    pub(crate) compiled: &'a Compiled,
}

impl Experiment {
    /// Where outcomes do not depend on answers, a bandit learns from what every arm says of a request, not from the
    /// one that answers it: rewards that move with time would otherwise count for the arm that had the traffic
    /// then. A/B shares do not move, so its arms earn by what they answer.
    pub(crate) fn new(goal: &ExperimentGoal, outcome: Outcome) -> Self {
        let spec = goal.spec.clone();
        let all_earn = all_earn(&spec, outcome);
        let (algorithm, reset_on_change) = match &spec.mode {
            Mode::Bandit { algorithm, reset_on_change, .. } => (*algorithm, *reset_on_change),
            Mode::Shadow | Mode::Ab { .. } => (Algorithm::GaussianThompson, false),
        };
        let earning = Earning { algorithm, range: spec.reward.range, reset_on_change };
        Self {
            version: goal.version,
            began: None,
            rewards: Rewards::new(earning, &spec.arms),
            errors: vec![ErrorRate::default(); spec.arms.len()],
            choices: Choices::default(),
            removed: BTreeSet::new(),
            all_earn,
            leads: false,
            concluded: None,
            spec,
        }
    }

    /// Whether it goes on where this is declared. One that has not ended begins anew if its endpoint's outcomes are
    /// said to be of another kind, since its arms would earn in another way.
    pub(crate) fn goes_on(&self, goal: &ExperimentGoal, outcome: Outcome) -> bool {
        let earns_alike = self.all_earn == all_earn(&goal.spec, outcome);
        self.version == goal.version && (earns_alike || self.concluded.is_some())
    }

    /// Hash of its declaration.
    pub fn version(&self) -> ContentHash {
        self.version
    }

    /// Its declaration.
    pub fn spec(&self) -> &ExperimentSpec {
        &self.spec
    }

    /// When every arm had a version of its declared definition; nothing before.
    pub fn began(&self) -> Option<Timestamp> {
        self.began
    }

    /// How it ended.
    pub fn concluded(&self) -> Option<&Concluded> {
        self.concluded.as_ref()
    }

    /// Whether it decides about traffic.
    pub fn is_running(&self) -> bool {
        self.began.is_some() && self.concluded.is_none()
    }

    /// The arms that a guardrail took out.
    pub fn removed(&self) -> &BTreeSet<Arc<str>> {
        &self.removed
    }

    /// The arms that are left, in order of declaration.
    pub fn arms(&self) -> impl Iterator<Item = &Arc<str>> {
        self.spec.arms.iter().filter(|arm| !self.removed.contains(*arm))
    }

    /// What the matured rewards of the arms that are left say.
    pub fn evidence(&self) -> Evidence {
        Evidence::of(&self.rewards, Design::default())
    }

    /// How often an arm was drawn and did not answer.
    pub fn errors(&self, arm: &str) -> Option<&ErrorRate> {
        let place = self.spec.arms.iter().position(|known| &**known == arm)?;
        self.errors.get(place)
    }

    /// Whether models were drawn as often as their shares say.
    pub fn choices(&self) -> &Choices {
        &self.choices
    }

    /// How many changes of the rewards began a new regime.
    pub fn regime(&self) -> u32 {
        self.rewards.regime()
    }

    /// The measured quantities, for records.
    pub fn to_json(&self) -> serde_json::Value {
        json!({
            "evidence": self.evidence(),
            "regime": self.regime(),
            "sample_ratio": self.sample_ratio(),
            "removed": self.removed,
        })
    }

    fn sample_ratio(&self) -> serde_json::Value {
        let arms: BTreeMap<Arc<str>, _> = self
            .choices
            .chosen()
            .map(|arm| (arm.model, json!({"chosen": arm.chosen, "expected": arm.expected})))
            .collect();
        json!({"arms": arms, "rows": self.choices.rows(), "p_value": self.choices.p_value()})
    }

    /// Take a request of the endpoint into account.
    pub(crate) fn predicted(&mut self, prediction: &Prediction, choice: &Choice) {
        if !self.counts(prediction) {
            return;
        }
        let Some(drawn) = &prediction.exposure.drawn else { return };
        let Some(place) = self.spec.arms.iter().position(|arm| *arm == drawn.model) else { return };
        if let Some(errors) = self.errors.get_mut(place) {
            errors.drew(prediction.earner().is_none());
        }
        self.choices.chose_model(choice, &drawn.model);
    }

    /// Take a labelled request of the endpoint into account.
    pub(crate) fn labelled(
        &mut self,
        row: &LabelledPrediction,
        matures_after: TimeSpan,
        compiled: &Compiled,
    ) {
        let prediction = &row.prediction;
        if self.counts(prediction) {
            let matured_at = prediction.at + matures_after;
            let reward = |value| compiled.reward_of(&self.spec.reward.of, value, row.label);
            if self.all_earn {
                // What a model answered comes before what it says in shadow, its current version before others.
                let said =
                    |arm: &Arc<str>| prediction.exposure.scores.iter().find(|score| score.by.model == *arm);
                for arm in &self.spec.arms {
                    if let Some(score) = said(arm) {
                        let (unit, reward) = (prediction.unit(), reward(score.value));
                        self.rewards.labelled(unit, arm, reward, matured_at, prediction.position);
                    }
                }
            } else if let Some(earner) = prediction.earner() {
                let (unit, reward) = (prediction.unit(), reward(prediction.value));
                self.rewards.labelled(unit, &earner.model, reward, matured_at, prediction.position);
            }
        }
        self.mature(row.known_at);
    }

    /// Whether every arm must say something of every request.
    pub(crate) fn all_earn(&self) -> bool {
        self.all_earn
    }

    /// Whether a request was split by this experiment, and by this declaration of it.
    fn counts(&self, prediction: &Prediction) -> bool {
        self.is_running()
            && self.began.is_some_and(|began| prediction.at >= began)
            && prediction.exposure.experiment.as_ref() == Some(&self.spec.name)
    }

    pub(crate) fn mature(&mut self, now: Timestamp) {
        self.rewards.mature(now);
    }

    /// An instant is over: keep in mind whether `until` held, if an epoch began with it.
    pub(crate) fn look(&mut self, instant: Instant<'_>) {
        if self.is_running() && self.epoch_begins(instant.since, instant.at) {
            self.leads = self.until(instant.compiled).is_some_and(|(truth, _)| truth == Truth::True);
        }
    }

    pub(crate) fn moved(&mut self, change: &ExperimentChange, at: Timestamp, reason: &str) {
        match change {
            ExperimentChange::Began => self.began = Some(at),
            ExperimentChange::ArmRemoved(arm) => {
                self.removed.insert(Arc::clone(arm));
                self.rewards.remove(arm);
            }
            ExperimentChange::Concluded { champion } => {
                let (champion, reason) = (Arc::clone(champion), reason.to_owned());
                self.concluded = Some(Concluded { at, champion, reason });
            }
        }
    }

    /// Whether an epoch begins in `(since, at]`; fixed shares have none.
    pub(crate) fn epoch_begins(&self, since: Option<Timestamp>, at: Timestamp) -> bool {
        match (&self.spec.mode, self.began) {
            (Mode::Bandit { epoch, .. }, Some(began)) => epoch::begins(began, *epoch, since, at),
            (Mode::Shadow | Mode::Ab { .. } | Mode::Bandit { .. }, _) => false,
        }
    }

    /// The models' shares: those of a new epoch if `anew`, else the last ones as long as the arms are the same.
    pub(crate) fn shares(
        &self,
        champion: &Arc<str>,
        last: Option<&Routed>,
        anew: bool,
    ) -> Vec<(Arc<str>, f64)> {
        let arms: Vec<Arc<str>> = self.arms().cloned().collect();
        let shares: Vec<f64> = match &self.spec.mode {
            Mode::Shadow => return vec![(Arc::clone(champion), 1.0)],
            Mode::Ab { split } => {
                let split = self.spec.arms.iter().zip(split);
                split.filter(|(arm, _)| !self.removed.contains(*arm)).map(|(_, share)| *share).collect()
            }
            Mode::Bandit { floor, .. } => {
                let kept = last.filter(|_| !anew).and_then(|last| self.kept(&arms, last));
                kept.unwrap_or_else(|| self.rewards.shares(*floor))
            }
        };
        let total: f64 = shares.iter().sum();
        arms.into_iter().zip(shares).map(|(arm, share)| (arm, share / total)).collect()
    }

    /// The shares of the last change of traffic, if it was of this experiment and these arms.
    fn kept(&self, arms: &[Arc<str>], last: &Routed) -> Option<Vec<f64>> {
        let ours = last.experiment.as_ref() == Some(&self.spec.name) && Some(last.at) >= self.began;
        let with_share = last.shares.iter().filter(|share| share.share > 0.0).count();
        if !ours || with_share != arms.len() {
            return None;
        }
        let share = |arm: &Arc<str>| {
            last.shares.iter().find(|share| share.model == *arm && share.share > 0.0).map(|share| share.share)
        };
        arms.iter().map(share).collect()
    }

    /// What is due at an instant.
    pub(crate) fn due(&self, instant: Instant<'_>) -> Option<Move> {
        if self.concluded.is_some() {
            return None;
        }
        let Some(began) = self.began else { return self.begin(instant).ok() };
        let mut arms = self.arms();
        if let (Some(last), None) = (arms.next(), arms.next()) {
            return Some(conclude(last, "it is the only arm left".to_owned()));
        }
        if instant.at <= began {
            return None;
        }
        self.guardrail().or_else(|| self.conclusion(began, instant))
    }

    /// Why it has not begun, if it has not.
    pub(crate) fn waits(&self, instant: Instant<'_>) -> Option<String> {
        if self.began.is_some() || self.concluded.is_some() {
            return None;
        }
        self.begin(instant).err()
    }

    /// Every arm has a version of the definition that is declared: one of an earlier definition is not what the
    /// experiment asks about, and would be replaced in its midst.
    fn begin(&self, instant: Instant<'_>) -> Result<Move, String> {
        let mut versions = Vec::new();
        for arm in &self.spec.arms {
            let current = instant.models.get(arm).and_then(ModelState::current);
            let current = current.ok_or_else(|| format!("{arm} has no version yet"))?;
            let number = current.id.number;
            let declared = instant.goal.models.iter().find(|model| model.name == *arm);
            if declared.is_none_or(|model| model.definition != current.id.definition) {
                return Err(format!(
                    "{arm} has changed since its version {number}: a retrain must be promoted first"
                ));
            }
            versions.push(format!("{arm} {number}"));
        }
        let reason = format!("every arm has a version: {}", versions.join(", "));
        Ok(Move { change: ExperimentChange::Began, reason })
    }

    fn guardrail(&self) -> Option<Move> {
        for guardrail in &self.spec.guardrails {
            match guardrail.of {
                GuardrailMetric::ErrorRate => {
                    for arm in self.arms() {
                        let evidence = self.errors(arm)?.evidence(guardrail.max);
                        if evidence.tripped {
                            let change = ExperimentChange::ArmRemoved(Arc::clone(arm));
                            return Some(Move { change, reason: format!("{arm}: {}", evidence.reason) });
                        }
                    }
                }
            }
        }
        None
    }

    /// Fixed shares are looked at always, since their p-value allows it; a bandit when an epoch begins, and it must
    /// lead twice in a row, so that one epoch is served with the shares that its lead gave it.
    fn conclusion(&self, began: Timestamp, instant: Instant<'_>) -> Option<Move> {
        let asked = match self.spec.mode {
            Mode::Bandit { .. } => self.leads && self.epoch_begins(instant.since, instant.at),
            Mode::Shadow | Mode::Ab { .. } => true,
        };
        if asked && let Some((Truth::True, explanation)) = self.until(instant.compiled) {
            return Some(self.concluded_by(self.spec.then, instant.initial, explanation));
        }
        if instant.at < began + self.spec.at_most {
            return None;
        }
        let explanation = self.until(instant.compiled).map(|(_, explanation)| format!(": {explanation}"));
        let over = format!("its {} are over{}", self.spec.at_most, explanation.unwrap_or_default());
        Some(self.concluded_by(self.spec.otherwise, instant.initial, over))
    }

    fn concluded_by(&self, conclusion: Conclusion, initial: &Arc<str>, why: String) -> Move {
        let evidence = self.evidence();
        let best = evidence.best.and_then(|best| evidence.arms.get(best));
        match (conclusion, best) {
            (Conclusion::PromoteBest, Some(best)) => {
                let (name, rows, mean) = (&best.name, best.rows, Rounded(best.mean.unwrap_or_default()));
                conclude(name, format!("{why}; {name} has the best mean reward, {mean} of {rows}"))
            }
            (Conclusion::PromoteBest, None) => {
                conclude(initial, format!("{why}; not every arm has a reward, so {initial} stays"))
            }
            (Conclusion::KeepInitial, _) => conclude(initial, format!("{why}; {initial} stays")),
        }
    }

    fn until(&self, compiled: &Compiled) -> Option<(Truth, String)> {
        let until = self.spec.until.as_ref()?;
        let evidence = self.evidence();
        let few = || {
            let least = perennial_evaluate::LEAST_REWARDS;
            let units: Vec<String> = evidence.arms.iter().map(|arm| arm.units.to_string()).collect();
            let what = match &self.spec.unit {
                UnitSpec::Request => format!("fewer than {least} matured rewards"),
                UnitSpec::Column(column) => {
                    format!("matured rewards of fewer than {least} values of {column}")
                }
            };
            format!("an arm has {what} ({})", units.join(", "))
        };
        let p_value = match self.spec.mode {
            Mode::Bandit { .. } => Err("the shares of a bandit follow its rewards".to_owned()),
            Mode::Shadow | Mode::Ab { .. } => evidence.p_value.ok_or_else(few),
        };
        let mut values = SignalValues::default();
        let probability_best = evidence.probability_best.ok_or_else(few);
        values.experiment(probability_best, p_value, evidence.rows());
        Some(compiled.truth(Members::Experiment, until, &values))
    }
}

fn all_earn(spec: &ExperimentSpec, outcome: Outcome) -> bool {
    match (&spec.mode, outcome) {
        (Mode::Shadow, _) | (Mode::Bandit { .. }, Outcome::IndependentOfPrediction) => true,
        (Mode::Ab { .. }, _) | (Mode::Bandit { .. }, Outcome::DependsOnPrediction) => false,
    }
}

fn conclude(champion: &Arc<str>, reason: String) -> Move {
    Move { change: ExperimentChange::Concluded { champion: Arc::clone(champion) }, reason }
}
