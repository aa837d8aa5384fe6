//! Rows that a policy waits for, holds out and pays for.

use perennial_expr::Expr;
use perennial_policy::{Action, GateSpec, PolicySpec, SignalKind, TriggerSpec, labels_schema};
use perennial_types::{Column, DataType, Schema, Value};

use crate::scope::Scope;
use crate::spec::ModelSpec;

/// The rows that the gates of a policy hold out of a run.
fn holdout(policy: &PolicySpec) -> u64 {
    let rows = policy.gates.iter().map(|gate| match gate {
        GateSpec::NotWorse { holdout_rows, .. } => *holdout_rows,
    });
    rows.max().unwrap_or(0)
}

/// A trigger that waits for a number of labels waits for more than the gates hold out.
pub(super) fn data_beyond_holdout(scope: &Scope<'_>, path: &str, policy: &PolicySpec, trigger: &TriggerSpec) {
    let holdout = holdout(policy);
    let fires = waits_for_rows(policy, trigger).and_then(|condition| condition.at(holdout));
    if holdout > 0 && fires == Some(true) {
        let message = format!("fires with {holdout} labelled rows already, all of which the gates hold out");
        scope.refuse(format!("{path}.when"), message, "wait for more rows or hold fewer out");
    }
}

/// What a trigger runs: of an adaptation what it repeats.
fn run_of(policy: &PolicySpec, trigger: &TriggerSpec) -> Action {
    match (trigger.action, &policy.actions.adapt) {
        (Action::Adapt, Some(adapt)) => adapt.repeat,
        (action, _) => action,
    }
}

/// The cheapest run that a trigger can start fits into the budget.
pub(super) fn affordable(
    scope: &Scope<'_>,
    path: &str,
    policy: &PolicySpec,
    trigger: &TriggerSpec,
    models: &[&ModelSpec],
) {
    let Some(budget) = policy.guards.budget_rows else { return };
    for model in models {
        let (epochs, condition, replayed) = match run_of(policy, trigger) {
            Action::FineTune | Action::Adapt => {
                let fine_tune = &policy.actions.fine_tune;
                (fine_tune.epochs, waits_for_rows(policy, trigger), fine_tune.replay_rows)
            }
            // The rows of a stretch of time are not known; all rows are at least those of the first version.
            Action::Retrain if policy.actions.retrain.data.is_some() => continue,
            Action::Retrain => (model.epochs(), first_version(model), 0),
        };
        let most = (budget.amount / u64::from(epochs.max(1)))
            .saturating_add(holdout(policy))
            .saturating_sub(replayed);
        let Some(condition) = condition else { continue };
        if condition.at(most) == Some(false) && condition.at(i64::MAX as u64) == Some(true) {
            let message = format!(
                "training model {:?} always costs more than the budget of {} rows per {}: {epochs} passes over more than {} rows",
                model.name,
                budget.amount,
                budget.per,
                budget.amount / u64::from(epochs.max(1)),
            );
            scope.refuse(path, message, "raise guards.budget or train with fewer epochs");
        }
    }
}

/// A condition on nothing but a number of labelled rows.
struct RowsCondition(Expr);

impl RowsCondition {
    fn parse(sql: &str, column: &str) -> Option<Self> {
        let names = Expr::names(sql).ok()?;
        if names.is_empty() || names.iter().any(|name| name != column) {
            return None;
        }
        let column = Column { name: column.into(), data_type: DataType::Int64, nullable: true };
        Expr::compile(sql, &Schema::new(vec![column]).ok()?).ok().map(Self)
    }

    /// Whether it is true at this number of rows; nothing if it is NULL.
    fn at(&self, rows: u64) -> Option<bool> {
        match self.0.evaluate(&[Value::Int64(i64::try_from(rows).unwrap_or(i64::MAX))]) {
            Value::Boolean(truth) => Some(truth),
            _ => None,
        }
    }
}

/// The condition of a trigger, if it names nothing but the rows of one labels signal.
fn waits_for_rows(policy: &PolicySpec, trigger: &TriggerSpec) -> Option<RowsCondition> {
    let when = trigger.when.as_deref()?;
    let labels = policy.signals.iter().filter(|signal| signal.kind == SignalKind::Labels);
    labels.into_iter().find_map(|signal| RowsCondition::parse(when, &format!("{}.rows", signal.name)))
}

/// The condition of a first version, if it names nothing but rows.
fn first_version(model: &ModelSpec) -> Option<RowsCondition> {
    labels_schema()
        .column("labels.rows")
        .and_then(|column| RowsCondition::parse(&model.first_version, &column.name))
}
