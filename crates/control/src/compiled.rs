//! What is made of a goal and of the terms of runs in flight: it says nothing that they do not, and so is not saved.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_evaluate::Metric;
use perennial_expr::Expr;
use perennial_policy::{
    Condition, Policy, Schedule, SignalValues, StageSpec, Truth, experiment_schema, paired_schema,
    rollout_schema,
};
use perennial_types::{Column, DataType, Schema, Value};

use crate::terms::{Terms, Worth};
use crate::{ControlError, Goal};

/// Compiled policies, schedules, conditions and rewards.
#[derive(Clone, Debug, Default)]
pub(crate) struct Compiled {
    policies: Vec<Arc<Policy>>,
    /// Of the goal's reports, by name.
    schedules: BTreeMap<Arc<str>, Schedule>,
    conditions: BTreeMap<(Members, Arc<str>), Condition>,
    rewards: BTreeMap<Arc<str>, Expr>,
}

/// Equal whenever the states are.
impl PartialEq for Compiled {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What a condition may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Members {
    Rollout,
    Experiment,
    Paired,
}

impl Members {
    fn schema(self) -> Schema {
        match self {
            Self::Rollout => rollout_schema(),
            Self::Experiment => experiment_schema(),
            Self::Paired => paired_schema(),
        }
    }
}

impl Compiled {
    /// Of a goal.
    pub(crate) fn of(goal: &Goal) -> Result<Self, ControlError> {
        let mut compiled = Self::default();
        for policy in &goal.policies {
            let named = |error: String| ControlError::Goal(format!("policy {:?}: {error}", policy.spec.name));
            let ready = Policy::compile(&policy.spec).map_err(|error| named(error.to_string()))?;
            compiled.policies.push(Arc::new(ready));
            compiled.stages(&policy.spec.rollout).map_err(named)?;
            if let Some(rollback) = &policy.spec.rollback {
                compiled.condition(Members::Paired, &rollback.when).map_err(named)?;
            }
        }
        for experiment in &goal.experiments {
            let spec = &experiment.spec;
            let named = |error| ControlError::Goal(format!("experiment {:?}: {error}", spec.name));
            compiled.reward(&spec.reward.of).map_err(named)?;
            if let Some(until) = &spec.until {
                compiled.condition(Members::Experiment, until).map_err(named)?;
            }
        }
        for report in &goal.reports {
            let schedule = Schedule::parse(&report.schedule)
                .map_err(|error| ControlError::Goal(format!("report {:?}: {error}", report.name)))?;
            compiled.schedules.insert(Arc::clone(&report.name), schedule);
        }
        Ok(compiled)
    }

    /// Also what a run in flight or a promotion that may be taken back was started under.
    pub(crate) fn add(&mut self, terms: &Terms) -> Result<(), ControlError> {
        let mut add = || {
            self.stages(&terms.stages)?;
            if let Some(rollback) = &terms.rollback {
                self.condition(Members::Paired, &rollback.when)?;
            }
            match &terms.worth {
                Worth::Reward(reward) => self.reward(&reward.of),
                Worth::Loss(_) => Ok(()),
            }
        };
        add().map_err(ControlError::Goal)
    }

    /// The goal's policies in order of declaration.
    pub(crate) fn policies(&self) -> &[Arc<Policy>] {
        &self.policies
    }

    /// The schedule of a report.
    pub(crate) fn schedule(&self, report: &str) -> Option<&Schedule> {
        self.schedules.get(report)
    }

    /// What a condition says of these values, and why.
    pub(crate) fn truth(&self, members: Members, sql: &Arc<str>, values: &SignalValues) -> (Truth, String) {
        match self.conditions.get(&(members, Arc::clone(sql))) {
            Some(condition) => condition.evaluate(values),
            None => (Truth::Unknown, format!("{sql:?} is not compiled")),
        }
    }

    /// The loss of an answer: for a reward, its negative.
    pub(crate) fn loss(&self, worth: &Worth, prediction: f64, label: f64) -> f64 {
        match worth {
            Worth::Loss(metric) => row_loss(*metric, prediction, label),
            Worth::Reward(reward) => {
                let (least, largest) = reward.range;
                -self.reward_of(&reward.of, prediction, label).clamp(least, largest)
            }
        }
    }

    /// What an answer was worth; not a number where the expression is NULL.
    pub(crate) fn reward_of(&self, sql: &str, prediction: f64, label: f64) -> f64 {
        let row = [Value::Double(prediction), Value::Double(label)];
        match self.rewards.get(sql).map(|expr| expr.evaluate(&row)) {
            Some(Value::Double(reward)) => reward,
            Some(Value::Int64(reward)) => reward as f64,
            Some(
                Value::Null
                | Value::Boolean(_)
                | Value::String(_)
                | Value::Timestamp(_)
                | Value::Duration(_)
                | Value::List(_)
                | Value::Map(_),
            )
            | None => f64::NAN,
        }
    }

    fn stages(&mut self, stages: &[StageSpec]) -> Result<(), String> {
        for stage in stages {
            match stage {
                StageSpec::Bandit { until, .. } => self.condition(Members::Rollout, until)?,
                StageSpec::Shadow { .. } | StageSpec::Promote => {}
            }
        }
        Ok(())
    }

    fn condition(&mut self, members: Members, sql: &Arc<str>) -> Result<(), String> {
        let condition = Condition::compile(sql, &members.schema())?;
        self.conditions.insert((members, Arc::clone(sql)), condition);
        Ok(())
    }

    fn reward(&mut self, sql: &Arc<str>) -> Result<(), String> {
        let columns = ["prediction", "label"].map(|name| Column {
            name: name.into(),
            data_type: DataType::Double,
            nullable: false,
        });
        let schema = Schema::new(columns.to_vec()).map_err(|error| error.to_string())?;
        let expr = Expr::compile(sql, &schema).map_err(|error| error.to_string())?;
        self.rewards.insert(Arc::clone(sql), expr);
        Ok(())
    }
}

/// The loss of one row; a metric without one is not declared where rows are compared.
fn row_loss(metric: Metric, prediction: f64, label: f64) -> f64 {
    metric.loss(prediction, label).unwrap_or(f64::NAN)
}
