//! Signals: what they watch is there, and fits the task.

use std::collections::BTreeSet;
use std::sync::Arc;

use perennial_evaluate::Metric;
use perennial_learn::Task;
use perennial_policy::{DetectedLoss, PolicySpec, SignalKind};
use perennial_types::did_you_mean;

use super::data;
use crate::model::CompiledModel;
use crate::pattern::{is_pattern, matches};
use crate::scope::Scope;
use crate::spec::ModelSpec;

/// Check the signals of a policy that keeps `models`. Of these, `compiled` are without fault.
pub(super) fn signals(
    scope: &Scope<'_>,
    owner: &str,
    policy: &PolicySpec,
    models: &[&ModelSpec],
    compiled: &[CompiledModel],
) {
    for signal in &policy.signals {
        let path = |field: &str| format!("{owner}: signals.{}.{field}", signal.name);
        match &signal.kind {
            SignalKind::Performance { metric: name, .. } => metric(scope, path("performance"), name, models),
            SignalKind::Drift { columns, every, .. } => {
                scope.whole_ticks(*every, &path("every"));
                drift_columns(scope, &path("drift"), columns, &watched(policy, compiled));
            }
            SignalKind::Detector { of, range, .. } => {
                detected_loss(scope, path("of"), *of, models);
                if range.1 <= 0.0 {
                    let message = format!("no loss is below 0, found a range of [{}, {}]", range.0, range.1);
                    scope.refuse(path("range"), message, "give the least and the largest loss of a row");
                }
            }
            SignalKind::Data { figure, of, window: _, every, limit } => {
                let declared = data::Declared { figure: *figure, of, every: *every, limit: *limit };
                data::check(scope, &format!("{owner}: signals.{}", signal.name), &declared);
            }
            SignalKind::Staleness | SignalKind::Labels => {}
        }
    }
}

/// The inputs of the policy's models; nothing if some of the models cannot be compiled, or transform what a view with
/// a fault would have.
fn watched(policy: &PolicySpec, compiled: &[CompiledModel]) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for name in &policy.models {
        let model = compiled.iter().find(|model| model.spec.name == *name)?;
        let mut transformed = model.fit.transforms.iter().flat_map(|transform| &transform.of);
        if !transformed.all(|input| model.fit.inputs.contains(input)) {
            return None;
        }
        names.extend(model.inputs.iter().map(|input| input.qualified()));
    }
    Some(names)
}

/// Each pattern matches an input of at least one model.
fn drift_columns(scope: &Scope<'_>, path: &str, patterns: &[Arc<str>], names: &Option<BTreeSet<String>>) {
    let Some(names) = names else { return };
    for (i, pattern) in patterns.iter().enumerate() {
        if names.iter().any(|name| matches(pattern, name)) {
            continue;
        }
        let groups = names.iter().filter_map(|name| Some(format!("{}.*", name.split_once('.')?.0)));
        let known: BTreeSet<String> =
            if is_pattern(pattern) { groups.collect() } else { names.iter().cloned().collect() };
        let help = did_you_mean(pattern, known.iter().map(String::as_str));
        scope.refuse(
            format!("{path}[{i}]"),
            format!("no model of the policy has an input {pattern:?}"),
            &help,
        );
    }
}

fn detected_loss(scope: &Scope<'_>, path: String, loss: DetectedLoss, models: &[&ModelSpec]) {
    let (task, loss, help) = match loss {
        DetectedLoss::AbsError => (Task::Regression, "abs_error", "use log_loss or error"),
        DetectedLoss::SquaredError => (Task::Regression, "squared_error", "use log_loss or error"),
        DetectedLoss::LogLoss => (Task::Binary, "log_loss", "use abs_error or squared_error"),
        DetectedLoss::Error => (Task::Binary, "error", "use abs_error or squared_error"),
    };
    if let Some(model) = models.iter().find(|model| model.task != task) {
        let message = format!("{loss} is a loss of {}, which model {:?} is not", name_of(task), model.name);
        scope.refuse(path, message, help);
    }
}

fn name_of(task: Task) -> &'static str {
    match task {
        Task::Regression => "regression",
        Task::Binary => "binary",
    }
}

/// The metric is one of each model's task; that it is known was checked by the policy's core.
pub(super) fn metric(scope: &Scope<'_>, path: String, name: &str, models: &[&ModelSpec]) {
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
