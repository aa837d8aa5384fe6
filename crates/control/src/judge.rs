//! The verdict on a run that ended.

use crate::model::InFlight;
use crate::{Outcome, RunVerdict};

/// What becomes of a run with an outcome, and why: a failed gate refuses the candidate, anything else
/// promotes it.
pub(crate) fn verdict(run: &InFlight) -> (RunVerdict, String) {
    match &run.outcome {
        Some(Outcome::Failed { reason }) => (RunVerdict::Failed, format!("the run failed: {reason}")),
        Some(Outcome::Succeeded(trained)) => match trained.gates.iter().find(|gate| !gate.passed) {
            Some(gate) => (RunVerdict::Refused, gate.sentence.clone()),
            None => {
                let sentences: Vec<&str> = trained.gates.iter().map(|gate| gate.sentence.as_str()).collect();
                let reason = match sentences.as_slice() {
                    [] => "promoted without a gate".to_owned(),
                    _ => sentences.join("; "),
                };
                (RunVerdict::Promoted, reason)
            }
        },
        None => (RunVerdict::Failed, "the run has no outcome".to_owned()),
    }
}
