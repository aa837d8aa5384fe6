//! A rollout and its rollback: each stage can be left, and something is known by then.

use perennial_evaluate::{EndpointSpec, Outcome};
use perennial_expr::Expr;
use perennial_policy::{Otherwise, PolicySpec, StageSpec};
use perennial_types::TimeSpan;

use crate::fault::owner;
use crate::scope::Scope;

/// Check how the policy's candidates reach traffic; what it takes without models is a matter of the policy's
/// core.
pub(super) fn rollout(scope: &Scope<'_>, owner: &str, policy: &PolicySpec) {
    let path = format!("{owner}: rollout");
    let gates_known = !scope.marks.is_open(&format!("{owner}: gates"));
    let check = Check { scope, policy, gates_known };
    let mut before = Elapsed::default();
    for (i, stage) in policy.rollout.iter().enumerate() {
        let path = format!("{path}[{i}]");
        match stage {
            StageSpec::Shadow { length } => {
                scope.whole_ticks(*length, &format!("{path}.shadow"));
                before.all = before.all.saturating_add(length.micros());
            }
            StageSpec::Bandit { at_most, .. } => {
                before.all = before.all.saturating_add(at_most.micros());
                before.served = before.served.saturating_add(at_most.micros());
                check.bandit(&path, stage, before);
            }
            StageSpec::Promote => {}
        }
    }
}

/// Check what takes a promotion back: it must be able to see a pair.
pub(super) fn rollback(scope: &Scope<'_>, owner: &str, policy: &PolicySpec) {
    let Some(rollback) = &policy.rollback else { return };
    for endpoint in endpoints(scope, policy) {
        let matures = endpoint.label.matures_after;
        if rollback.within <= matures {
            let message = format!(
                "within {} of a promotion no label of endpoint {:?} has matured, which takes {matures}",
                rollback.within, endpoint.name
            );
            return scope.refuse(format!("{owner}: rollback.within"), message, "give it longer");
        }
    }
}

/// The endpoints of the policy's models, each once.
fn endpoints<'a>(scope: &Scope<'a>, policy: &PolicySpec) -> Vec<&'a EndpointSpec> {
    let mut endpoints: Vec<&EndpointSpec> = Vec::new();
    for endpoint in policy.models.iter().filter_map(|model| scope.endpoint_of(model)) {
        if !endpoints.iter().any(|other| other.name == endpoint.name) {
            endpoints.push(endpoint);
        }
    }
    endpoints
}

/// How long a rollout lasts until the end of a stage, in microseconds.
#[derive(Clone, Copy, Default)]
struct Elapsed {
    /// Since the candidate scores requests.
    all: i64,
    /// While it may also answer them.
    served: i64,
}

struct Check<'a> {
    scope: &'a Scope<'a>,
    policy: &'a PolicySpec,
    /// Whether a gate that is not there is not declared.
    gates_known: bool,
}

impl Check<'_> {
    fn bandit(&self, path: &str, stage: &StageSpec, elapsed: Elapsed) {
        let StageSpec::Bandit { epoch, until, at_most, otherwise, .. } = stage else { return };
        self.scope.whole_ticks(*epoch, &format!("{path}.epoch"));
        self.scope.whole_ticks(*at_most, &format!("{path}.at_most"));
        let reads =
            Expr::names(until).is_ok_and(|names| names.iter().any(|name| name == "probability_better"));
        if reads {
            self.matures(path, elapsed);
        }
        if *otherwise == Otherwise::PromoteIfNotWorse && self.policy.gates.is_empty() && self.gates_known {
            let message = "promote_if_not_worse is the test of a gate, and the policy has none";
            self.scope.refuse(format!("{path}.otherwise"), message, "declare a gate not_worse, or refuse");
        }
        if self.gates_known {
            self.reward(path);
        }
    }

    /// Some pair can mature before the stage ends.
    fn matures(&self, path: &str, elapsed: Elapsed) {
        for endpoint in endpoints(self.scope, self.policy) {
            let outcome = format!("{}: outcome", owner("Endpoint", &endpoint.name));
            let shadow_counts =
                endpoint.outcome == Outcome::IndependentOfPrediction || self.scope.marks.covers(&outcome);
            let (time, since) = match shadow_counts {
                true => (elapsed.all, "the rollout began"),
                false => (elapsed.served, "the candidate answers"),
            };
            let matures = endpoint.label.matures_after;
            if time <= matures.micros() {
                let message = format!(
                    "it ends {} after {since}, when no label of endpoint {:?} has matured, which takes {matures}",
                    TimeSpan::from_micros(time),
                    endpoint.name
                );
                let help = "probability_better is never known; give it longer";
                return self.scope.refuse(format!("{path}.at_most"), message, help);
            }
        }
    }

    /// There is a reward: that of the endpoint's experiment, else minus the loss of the gate.
    fn reward(&self, path: &str) {
        if !self.policy.gates.is_empty() || self.scope.marks.kind_is_open("Experiment") {
            return;
        }
        for endpoint in endpoints(self.scope, self.policy) {
            let mut experiments = self.scope.project.experiments.iter();
            if !experiments.any(|experiment| experiment.endpoint == endpoint.name) {
                let message = format!(
                    "it compares rewards, but the policy has no gate and endpoint {:?} no experiment",
                    endpoint.name
                );
                return self.scope.refuse(format!("{path}.bandit"), message, "declare a gate not_worse");
            }
        }
    }
}
