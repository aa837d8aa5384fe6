//! A policy: what it names is there, fits, and can lead to a trained model in service.

mod data;
mod rollout;
mod rows;
mod signals;

use perennial_expr::Expr;
use perennial_policy::{GateSpec, PolicySpec};

use crate::fault::owner;
use crate::model::CompiledModel;
use crate::scope::Scope;

/// Check one policy; `compiled` are the models without fault.
pub(crate) fn policy(scope: &Scope<'_>, policy: &PolicySpec, compiled: &[CompiledModel]) {
    let owner = owner("Policy", &policy.name);
    let mut models = Vec::new();
    for (i, name) in policy.models.iter().enumerate() {
        models.extend(scope.model(name, &format!("{owner}: models[{i}]")));
    }
    for (path, message) in perennial_policy::check(policy) {
        if !names_unread_signals(scope, &owner, policy, &path)
            && !asks_for_unread_action(scope, &owner, &path)
        {
            scope.refuse_as_told(format!("{owner}: {path}"), &message);
        }
    }
    signals::signals(scope, &owner, policy, &models, compiled);
    for (i, gate) in policy.gates.iter().enumerate() {
        match gate {
            GateSpec::NotWorse { metric, .. } => {
                signals::metric(scope, format!("{owner}: gates[{i}].not_worse"), metric, &models);
            }
        }
    }
    for (i, trigger) in policy.triggers.iter().enumerate() {
        let path = format!("{owner}: triggers[{i}]");
        rows::data_beyond_holdout(scope, &path, policy, trigger);
        rows::affordable(scope, &path, policy, trigger, &models);
    }
    if let Some(adapt) = &policy.actions.adapt {
        scope.whole_ticks(adapt.every, &format!("{owner}: actions.adapt.every"));
    }
    rollout::rollout(scope, &owner, policy);
    rollout::rollback(scope, &owner, policy);
}

/// Whether a field is a condition over a signal that could not be read.
fn names_unread_signals(scope: &Scope<'_>, owner: &str, policy: &PolicySpec, path: &str) -> bool {
    let signals = format!("{owner}: signals");
    let unread = |name: &String| {
        let signal = name.split_once('.').map_or(name.as_str(), |(signal, _)| signal);
        let declared = policy.signals.iter().any(|other| *other.name == *signal);
        scope.marks.is_open(&if declared { format!("{signals}.{signal}") } else { signals.clone() })
    };
    let names_unread = |sql: &str| Expr::names(sql).unwrap_or_default().iter().any(unread);
    let adapt = policy.actions.adapt.iter().map(|adapt| ("actions.adapt.until".to_owned(), &adapt.until));
    let triggers = policy.triggers.iter().enumerate();
    let triggers =
        triggers.filter_map(|(i, trigger)| Some((format!("triggers[{i}].when"), trigger.when.as_ref()?)));
    triggers.chain(adapt).any(|(field, sql)| path == field && names_unread(sql))
}

/// Whether a field names an action that may be described where nothing could be read. That a trigger names an
/// action is found by reading.
fn asks_for_unread_action(scope: &Scope<'_>, owner: &str, path: &str) -> bool {
    path.ends_with("].action") && scope.marks.is_open(&format!("{owner}: actions"))
}
