//! The verdict on a run that ended.

use crate::model::InFlight;
use crate::{Outcome, RunAction, RunVerdict};

/// What becomes of a run with an outcome, and why: a failed gate refuses the candidate; one that passed goes through
/// its rollout, or is promoted at once where there is none.
pub(crate) fn verdict(run: &InFlight) -> (RunVerdict, String) {
    match &run.outcome {
        Some(Outcome::Failed { reason }) => (RunVerdict::Failed, format!("the run failed: {reason}")),
        Some(Outcome::Succeeded(trained)) => match trained.gates.iter().find(|gate| !gate.passed) {
            Some(gate) => (RunVerdict::Refused, gate.sentence.clone()),
            None => {
                let sentences: Vec<&str> = trained.gates.iter().map(|gate| gate.sentence.as_str()).collect();
                let admitted = run.terms.as_ref().is_some_and(|terms| !terms.promotes_at_once());
                let verdict = if admitted { RunVerdict::Admitted } else { RunVerdict::Promoted };
                let reason = match sentences.as_slice() {
                    [] if run.request.action == RunAction::FirstFit => {
                        "it is the first version, which has no gate".to_owned()
                    }
                    [] => format!("{} without a gate", verdict.name()),
                    _ => sentences.join("; "),
                };
                (verdict, reason)
            }
        },
        None => (RunVerdict::Failed, "the run has no outcome".to_owned()),
    }
}
