//! Reads a Policy.

mod actions;
mod guards;
mod rollout;
mod signal;

use perennial_policy::{Action, GateSpec, OnUnknown, PolicySpec, SignalSpec, StageSpec, TriggerSpec};
use perennial_types::TimeSpan;

use super::open;
use crate::fields::Item;

/// The window in place of one that could not be read.
const DEFAULT_WINDOW: TimeSpan = TimeSpan::from_days(1);

/// Read a policy, whose ready one is filled in; `whole` says that this is there. Times that are not given are
/// rounded up to ticks.
pub(super) fn read(item: &Item<'_>, tick: TimeSpan, whole: bool) -> PolicySpec {
    let (mut fields, name) = open(item, Item::name);
    if let Some(used) = fields.optional("use") {
        used.text();
    }
    if !whole {
        fields.may_stand_elsewhere();
    }
    let models = fields.required("models").map(|item| item.list()).unwrap_or_default();
    let models = models.iter().map(|item| item.name().unwrap_or_else(|| item.raw())).collect();
    let signals = fields.optional("signals").map(|item| item.named_items()).unwrap_or_default();
    let signals = signals
        .into_iter()
        .map(|(name, item)| SignalSpec { name, kind: signal::signal(&item, tick) })
        .collect();
    let triggers = fields.required("triggers").map(|item| item.list()).unwrap_or_default();
    let triggers = triggers.iter().map(trigger).collect();
    if let Some(item) = fields.optional("on_unknown") {
        item.one_of(&[("hold", ())], &[]);
    }
    let guards = fields.optional("guards").map(|item| guards::guards(&item)).unwrap_or_default();
    let actions = fields.optional("actions").map(|item| actions::actions(&item)).unwrap_or_default();
    let gates = fields.optional("gates").map(|item| item.list()).unwrap_or_default();
    let gates = gates.iter().map(gate).collect();
    let rollout = fields.optional("rollout").map(|item| rollout::rollout(&item, tick));
    let rollback = fields.optional("rollback").map(|item| rollout::rollback(&item));
    fields.finish();
    PolicySpec {
        name,
        models,
        signals,
        triggers,
        on_unknown: OnUnknown::Hold,
        guards,
        actions,
        gates,
        rollout: rollout.unwrap_or_else(|| vec![StageSpec::Promote]),
        rollback,
    }
}

fn trigger(item: &Item<'_>) -> TriggerSpec {
    let mut fields = item.fields();
    let name = fields.required("name").and_then(|item| item.identifier());
    let when = fields.optional("when").map(|item| item.text().unwrap_or_default());
    let hold = fields.optional("for").and_then(|item| item.span());
    let schedule = fields.optional("schedule").map(|item| item.text().unwrap_or_default());
    let actions = [("fine_tune", Action::FineTune), ("retrain", Action::Retrain), ("adapt", Action::Adapt)];
    let action = fields.required("action").and_then(|item| item.one_of(&actions, &[]));
    fields.finish();
    let action = action.unwrap_or_else(|| item.guess(&[Action::FineTune, Action::Retrain]));
    TriggerSpec { name: name.unwrap_or_default(), when, hold, schedule, action }
}

fn gate(item: &Item<'_>) -> GateSpec {
    let mut fields = item.fields();
    fields.later(&["better", "slices", "golden"]);
    let metric = fields.required("not_worse").and_then(|item| item.text());
    let margin = fields.optional("margin").map_or(Some(0.0), |item| item.number_in(0.0, 10.0));
    let confidence = fields.optional("confidence").map_or(Some(0.95), |item| item.number_in(0.0001, 0.9999));
    let holdout_rows = fields.required("holdout").and_then(|item| item.rows());
    fields.finish();
    GateSpec::NotWorse {
        metric: metric.unwrap_or_else(|| item.guess(&["mae", "log_loss"]).into()),
        margin: margin.unwrap_or(0.0),
        confidence: confidence.unwrap_or(0.95),
        holdout_rows: holdout_rows.unwrap_or_else(|| item.guess(&[2, 1_000_000_000])),
    }
}
