//! What policies see of models, for those who watch.

use perennial_policy::{SignalValues, TriggerEvaluation};
use perennial_types::Timestamp;

use crate::State;

/// What a policy sees of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The instant that it is looked at from.
    pub at: Timestamp,
    /// The signals, and why some are unknown.
    pub signals: SignalValues,
    /// Every trigger, in the declared order. No schedule is due: the instant is over.
    pub triggers: Vec<TriggerEvaluation>,
}

impl State {
    /// What a policy sees of a model at the last instant that is done, by what is known now. Nothing before the
    /// first one, while the model has no version, and of a model that is none of the policy's.
    pub fn seen(&self, policy: &str, model: &str) -> Option<Seen> {
        let (goal, at) = (self.goal()?, self.done()?);
        let place = goal.policies.iter().position(|known| &*known.spec.name == policy)?;
        let policy = &goal.policies[place];
        let model = goal.models.iter().find(|known| &*known.name == model)?;
        if !policy.spec.models.contains(&model.name) {
            return None;
        }
        let evaluated = self.evaluated(goal, place, policy, model, at)?;
        Some(Seen { at, signals: evaluated.signals, triggers: evaluated.verdict.evaluations })
    }
}
