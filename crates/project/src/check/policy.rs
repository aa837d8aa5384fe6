//! A policy: what it names is there, fits, and can lead to a trained model.

use perennial_evaluate::Metric;
use perennial_expr::Expr;
use perennial_learn::Task;
use perennial_policy::{Action, GateSpec, PolicySpec, SignalKind, TriggerSpec, labels_schema};
use perennial_types::{Column, DataType, Schema, Value};

use crate::fault::owner;
use crate::scope::Scope;
use crate::spec::ModelSpec;

/// Check one policy.
pub(crate) fn policy(scope: &Scope<'_>, policy: &PolicySpec) {
    let owner = owner("Policy", &policy.name);
    let mut models = Vec::new();
    for (i, name) in policy.models.iter().enumerate() {
        models.extend(scope.model(name, &format!("{owner}: models[{i}]")));
    }
    for (path, message) in perennial_policy::check(policy) {
        if !names_unread_signals(scope, &owner, policy, &path) {
            scope.refuse_as_told(format!("{owner}: {path}"), &message);
        }
    }
    for signal in &policy.signals {
        match &signal.kind {
            SignalKind::Performance { metric: name, .. } => {
                metric(scope, format!("{owner}: signals.{}.performance", signal.name), name, &models);
            }
            SignalKind::Drift { .. } | SignalKind::Detector { .. } => {}
            SignalKind::Staleness | SignalKind::Labels => {}
        }
    }
    for (i, gate) in policy.gates.iter().enumerate() {
        match gate {
            GateSpec::NotWorse { metric: name, .. } => {
                metric(scope, format!("{owner}: gates[{i}].not_worse"), name, &models);
            }
        }
    }
    for (i, trigger) in policy.triggers.iter().enumerate() {
        let path = format!("{owner}: triggers[{i}]");
        data_beyond_holdout(scope, &path, policy, trigger);
        affordable(scope, &path, policy, trigger, &models);
    }
}

/// Whether a field is a condition over a signal that could not be read.
fn names_unread_signals(scope: &Scope<'_>, owner: &str, policy: &PolicySpec, path: &str) -> bool {
    let signals = format!("{owner}: signals");
    let unread = |name: &String| {
        let signal = name.split_once('.').map_or(name.as_str(), |(signal, _)| signal);
        let declared = policy.signals.iter().any(|other| *other.name == *signal);
        scope.marks.is_open(&if declared { format!("{signals}.{signal}") } else { signals.clone() })
    };
    policy.triggers.iter().enumerate().any(|(i, trigger)| {
        let names = trigger.when.as_deref().and_then(|sql| Expr::names(sql).ok()).unwrap_or_default();
        path == format!("triggers[{i}].when") && names.iter().any(unread)
    })
}

/// The metric is one of each model's task; that it is known was checked by the policy's core.
fn metric(scope: &Scope<'_>, path: String, name: &str, models: &[&ModelSpec]) {
    let Some(metric) = Metric::ALL.into_iter().find(|metric| metric.name() == name) else { return };
    let (task, task_name) = match metric {
        Metric::Mae | Metric::Rmse => (Task::Regression, "regression"),
        Metric::Accuracy | Metric::RocAuc | Metric::LogLoss => (Task::Binary, "binary"),
    };
    if let Some(model) = models.iter().find(|model| model.task != task) {
        let message = format!("{name} is a metric of {task_name}, which model {:?} is not", model.name);
        let help = match model.task {
            Task::Regression => "use mae or rmse",
            Task::Binary => "use accuracy, roc_auc or log_loss",
        };
        scope.refuse(path, message, help);
    }
}

/// The rows that the gates of a policy hold out of a run.
fn holdout(policy: &PolicySpec) -> u64 {
    let rows = policy.gates.iter().map(|gate| match gate {
        GateSpec::NotWorse { holdout_rows, .. } => *holdout_rows,
    });
    rows.max().unwrap_or(0)
}

/// A trigger that waits for a number of labels waits for more than the gates hold out.
fn data_beyond_holdout(scope: &Scope<'_>, path: &str, policy: &PolicySpec, trigger: &TriggerSpec) {
    let holdout = holdout(policy);
    let fires = waits_for_rows(policy, trigger).and_then(|condition| condition.at(holdout));
    if holdout > 0 && fires == Some(true) {
        let message = format!("fires with {holdout} labelled rows already, all of which the gates hold out");
        scope.refuse(format!("{path}.when"), message, "wait for more rows or hold fewer out");
    }
}

/// The cheapest run that a trigger can start fits into the budget.
fn affordable(
    scope: &Scope<'_>,
    path: &str,
    policy: &PolicySpec,
    trigger: &TriggerSpec,
    models: &[&ModelSpec],
) {
    let Some(budget) = policy.guards.budget_rows else { return };
    for model in models {
        let (epochs, condition, replayed) = match trigger.action {
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
