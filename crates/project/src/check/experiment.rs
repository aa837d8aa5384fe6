//! An experiment: its arms can be compared, its reward is a number, and it can come to an end.

use std::sync::Arc;

use perennial_evaluate::{Algorithm, EndpointSpec, ExperimentSpec, Mode, Outcome, UnitSpec};
use perennial_expr::Expr;
use perennial_policy::experiment_schema;
use perennial_types::{Column, DataType, Schema, did_you_mean};

use crate::fault::owner;
use crate::scope::Scope;
use crate::spec::ModelSpec;

/// Check one experiment.
pub(crate) fn experiment(scope: &Scope<'_>, experiment: &ExperimentSpec) {
    let check = Check { scope, experiment, owner: owner("Experiment", &experiment.name) };
    let endpoint = scope.endpoint(&experiment.endpoint, &check.path("endpoint"));
    check.alone();
    let arms = check.arms(endpoint);
    check.unit(&arms);
    check.bandit();
    check.reward(endpoint);
    if let Some(until) = &experiment.until {
        scope.condition(until, &experiment_schema(), &check.path("until"));
        check.known(until);
    }
    if let Some(endpoint) = endpoint {
        check.shadow(endpoint);
        check.length(endpoint);
    }
}

struct Check<'a> {
    scope: &'a Scope<'a>,
    experiment: &'a ExperimentSpec,
    owner: String,
}

impl<'a> Check<'a> {
    fn path(&self, field: &str) -> String {
        format!("{}: {field}", self.owner)
    }

    /// Traffic is split once: an endpoint has one experiment.
    fn alone(&self) {
        let ExperimentSpec { name, endpoint, .. } = self.experiment;
        let mut others = self.scope.project.experiments.iter();
        if let Some(first) = others.find(|other| other.endpoint == *endpoint)
            && first.name != *name
        {
            let message = format!("endpoint {endpoint:?} already has experiment {:?}", first.name);
            self.scope.refuse(self.path("endpoint"), message, "an endpoint runs one experiment at a time");
        }
    }

    /// The models that are arms, as far as they are declared.
    fn arms(&self, endpoint: Option<&EndpointSpec>) -> Vec<&'a ModelSpec> {
        let arms = &self.experiment.arms;
        let mut models: Vec<&ModelSpec> = Vec::new();
        for (i, arm) in arms.iter().enumerate() {
            let path = self.path(&format!("arms[{i}]"));
            if arms[..i].contains(arm) {
                self.scope.refuse(&path, format!("model {arm:?} is named twice"), "");
                continue;
            }
            let declared = self.scope.project.models.iter().find(|model| model.name == *arm);
            models.extend(declared);
            let Some(endpoint) = endpoint.filter(|endpoint| !endpoint.models.contains(arm)) else { continue };
            // A model that is declared is rightly named here, and is missing or misspelt in the list.
            let list = format!("{}: models", owner("Endpoint", &endpoint.name));
            let known = |name: &Arc<str>| self.scope.project.models.iter().any(|model| model.name == *name);
            let meant = self.scope.marks.touches(&list) || !endpoint.models.iter().all(known);
            let excused = meant && declared.is_some() || self.scope.marks.may_be_declared("Model", arm);
            if !excused {
                let help = did_you_mean(arm, endpoint.models.iter().map(|name| &**name));
                let message = format!("{arm:?} is none of the models of endpoint {:?}", endpoint.name);
                self.scope.refuse(&path, message, &help);
            }
        }
        if arms.len() < 2 {
            let message = format!("an experiment compares at least two models, found {}", arms.len());
            self.scope.refuse(self.path("arms"), message, "name another model of the endpoint");
        }
        models
    }

    /// The unit is a column of every arm's request, of a type that identifies something. That its type is the
    /// same everywhere is a matter of the endpoint.
    fn unit(&self, arms: &[&ModelSpec]) {
        let UnitSpec::Column(name) = &self.experiment.unit else { return };
        for model in arms {
            let path = self.path("unit");
            match model.request.column(name) {
                Some(column) if matches!(column.data_type, DataType::Int64 | DataType::String) => {}
                Some(column) => {
                    let message =
                        format!("column {name:?} is {}, which identifies nothing", column.data_type);
                    return self.scope.refuse(path, message, "use an int64 or string column, or request");
                }
                None if self.scope.marks.touches(&format!("{}: request", owner("Model", &model.name))) => {}
                None => {
                    let known = model.request.names().chain(["request"]);
                    let message = format!("the request of model {:?} has no column {name:?}", model.name);
                    return self.scope.refuse(path, message, &did_you_mean(name, known));
                }
            }
        }
    }

    fn bandit(&self) {
        let Mode::Bandit { algorithm, epoch, floor, .. } = &self.experiment.mode else { return };
        let arms = self.experiment.arms.len().max(2);
        self.scope.whole_ticks(*epoch, &self.path("algorithm.epoch"));
        if *floor * arms as f64 >= 1.0 {
            let message = format!("a floor of {floor} for each of {arms} arms leaves nothing to decide");
            let help = format!("it is below {}", 1.0 / arms as f64);
            self.scope.refuse(self.path("algorithm.floor"), message, &help);
        }
        let (least, most) = self.experiment.reward.range;
        if *algorithm == Algorithm::BetaThompson && !(least >= 0.0 && most <= 1.0) {
            let message =
                format!("beta_thompson wants rewards from 0 to 1, found a range of [{least}, {most}]");
            let help = "scale the reward, or use gaussian_thompson";
            self.scope.refuse(self.path("reward.range"), message, help);
        }
    }

    /// The shares of a bandit follow its rewards, so that it has no p-value.
    fn known(&self, until: &str) {
        let bandit = matches!(self.experiment.mode, Mode::Bandit { .. });
        if bandit && Expr::names(until).is_ok_and(|names| names.iter().any(|name| name == "p_value")) {
            let message = "p_value is never known in a bandit, whose shares follow its rewards";
            self.scope.refuse(self.path("until"), message, "use probability_best, or mode: ab");
        }
    }

    /// The reward is a number that depends on what was answered.
    fn reward(&self, endpoint: Option<&EndpointSpec>) {
        let (sql, path) = (&self.experiment.reward.of, self.path("reward.of"));
        let expr = match Expr::compile(sql, &reward_schema()) {
            Ok(expr) => expr,
            Err(error) => return self.scope.refuse_expression(path, &error),
        };
        match expr.data_type() {
            Some(DataType::Double | DataType::Int64) => {}
            Some(other) => {
                let help = "write a condition as CAST(… AS DOUBLE)";
                return self.scope.refuse(path, format!("a reward is a number, found {other}"), help);
            }
            None => return self.scope.refuse(path, "the reward is always NULL", ""),
        }
        if expr.columns().is_empty() {
            let help = "name prediction or label";
            return self.scope.refuse(path, "the reward is the same for every answer", help);
        }
        let names_prediction =
            Expr::names(sql).is_ok_and(|names| names.iter().any(|name| name == "prediction"));
        let Some(endpoint) = endpoint.filter(|endpoint| self.outcome_known(endpoint)) else { return };
        if endpoint.outcome == Outcome::IndependentOfPrediction && !names_prediction {
            let message = "the label is the same whatever was answered, so all arms earn the same";
            self.scope.refuse(path, message, "name prediction, or declare outcome: depends_on_prediction");
        }
    }

    /// What was not served can be scored only against a label that would have been the same.
    fn shadow(&self, endpoint: &EndpointSpec) {
        let independent = endpoint.outcome == Outcome::IndependentOfPrediction;
        if self.experiment.mode == Mode::Shadow && !independent && self.outcome_known(endpoint) {
            let message = "the labels follow from the served answers and say nothing of the others";
            let help = "use ab or bandit, or declare outcome: independent_of_prediction for the endpoint";
            self.scope.refuse(self.path("mode"), message, help);
        }
    }

    fn outcome_known(&self, endpoint: &EndpointSpec) -> bool {
        !self.scope.marks.covers(&format!("{}: outcome", owner("Endpoint", &endpoint.name)))
    }

    /// Some reward can mature before the end.
    fn length(&self, endpoint: &EndpointSpec) {
        let (at_most, matures) = (self.experiment.at_most, endpoint.label.matures_after);
        if at_most <= matures {
            let message =
                format!("it ends after {at_most}, but a reward is known {matures} after its request");
            self.scope.refuse(self.path("at_most"), message, "give it longer");
            return;
        }
        let Mode::Bandit { epoch, .. } = &self.experiment.mode else { return };
        if self.experiment.until.is_some()
            && at_most.micros() < matures.micros().saturating_add(epoch.micros())
        {
            let message = format!(
                "it ends after {at_most}, but `until` must hold at two epochs of {epoch} and rewards take {matures}"
            );
            self.scope.refuse(self.path("at_most"), message, "give it longer, or shorter epochs");
        }
    }
}

/// What a reward may name.
fn reward_schema() -> Schema {
    let column = |name: &str| Column { name: name.into(), data_type: DataType::Double, nullable: false };
    // Two names that differ are a schema.
    Schema::new(vec![column("prediction"), column("label")]).unwrap_or_default()
}
