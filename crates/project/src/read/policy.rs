//! Reads a Policy.

use perennial_policy::{
    Action, ActionsSpec, CooldownSpec, FineTuneSpec, GateSpec, GuardSpec, OnUnknown, PolicySpec, Quota,
    RetrainSpec, SignalKind, SignalSpec, StageSpec, TriggerSpec,
};
use perennial_types::TimeSpan;

use super::{model, open};
use crate::fields::{Fields, Item};

/// Signals are NULL below this many rows unless said.
const DEFAULT_MIN_ROWS: u64 = 100;

/// The window in place of one that could not be read.
const DEFAULT_WINDOW: TimeSpan = TimeSpan::from_days(1);

/// Read a policy.
pub(super) fn read(item: &Item<'_>) -> PolicySpec {
    let (mut fields, name) = open(item, Item::name);
    fields.later(&["use", "rollback"]);
    let models = fields.required("models").map(|item| item.list()).unwrap_or_default();
    let models = models.iter().map(|item| item.name().unwrap_or_else(|| item.raw())).collect();
    let signals = fields.optional("signals").map(|item| item.named_items()).unwrap_or_default();
    let signals = signals.into_iter().map(|(name, item)| SignalSpec { name, kind: signal(&item) }).collect();
    let triggers = fields.required("triggers").map(|item| item.list()).unwrap_or_default();
    let triggers = triggers.iter().map(trigger).collect();
    if let Some(item) = fields.optional("on_unknown") {
        item.one_of(&[("hold", ())], &[]);
    }
    let guards = fields.optional("guards").map(|item| guards(&item)).unwrap_or_default();
    let actions = fields.optional("actions").map(|item| actions(&item)).unwrap_or_default();
    let gates = fields.optional("gates").map(|item| item.list()).unwrap_or_default();
    let gates = gates.iter().map(gate).collect();
    if let Some(item) = fields.optional("rollout") {
        rollout(&item);
    }
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
        rollout: vec![StageSpec::Promote],
        rollback: None,
    }
}

fn signal(item: &Item<'_>) -> SignalKind {
    let mut fields = item.fields();
    let later = ["drift", "detector", "cost", "freshness", "skew", "quality"];
    if item.has_any(&later) {
        // The other fields belong to a kind of signal that is not read.
        fields.later(&later);
        return any_kind(item);
    }
    let performance = fields.optional("performance");
    let staleness = fields.optional("staleness");
    let labels = fields.optional("labels");
    let kind = match (performance, staleness, labels) {
        (Some(metric), None, None) => performance_signal(&metric, &mut fields),
        (None, Some(of), None) => {
            let _ = of.one_of(&[("training_end", ())], &[]);
            SignalKind::Staleness
        }
        (None, None, Some(of)) => {
            let _ = of.one_of(&[("since_training", ())], &[]);
            SignalKind::Labels
        }
        _ => {
            fields.refuse("a signal is one of performance, staleness and labels", "");
            any_kind(item)
        }
    };
    fields.finish();
    kind
}

/// A kind of signal in place of one that could not be read.
fn any_kind(item: &Item<'_>) -> SignalKind {
    item.open();
    let performance = SignalKind::Performance {
        metric: item.guess(&["mae", "log_loss"]).into(),
        window: DEFAULT_WINDOW,
        min_rows: DEFAULT_MIN_ROWS,
    };
    item.guess(&[performance, SignalKind::Staleness, SignalKind::Labels])
}

fn performance_signal(metric: &Item<'_>, fields: &mut Fields<'_>) -> SignalKind {
    let unknown = metric.guess(&["mae", "log_loss"]);
    let metric = metric.text();
    let window = fields.required("window").and_then(|item| item.span());
    let min_rows = fields.optional("min_rows").map_or(Some(DEFAULT_MIN_ROWS), |item| item.whole(1));
    if let Some(item) = fields.optional("baseline") {
        let _ = item.one_of(&[("at_promotion", ())], &["fixed", "parent"]);
    }
    SignalKind::Performance {
        metric: metric.unwrap_or_else(|| unknown.into()),
        window: window.unwrap_or(DEFAULT_WINDOW),
        min_rows: min_rows.unwrap_or(DEFAULT_MIN_ROWS),
    }
}

fn trigger(item: &Item<'_>) -> TriggerSpec {
    let mut fields = item.fields();
    let name = fields.required("name").and_then(|item| item.identifier());
    let when = fields.optional("when").map(|item| item.text().unwrap_or_default());
    let hold = fields.optional("for").and_then(|item| item.span());
    let schedule = fields.optional("schedule").map(|item| item.text().unwrap_or_default());
    let actions = [("fine_tune", Action::FineTune), ("retrain", Action::Retrain)];
    let action = fields.required("action").and_then(|item| item.one_of(&actions, &["adapt"]));
    fields.finish();
    let action = action.unwrap_or_else(|| item.guess(&[Action::FineTune, Action::Retrain]));
    TriggerSpec { name: name.unwrap_or_default(), when, hold, schedule, action }
}

fn guards(item: &Item<'_>) -> GuardSpec {
    let mut fields = item.fields();
    fields.later(&["approval", "data_quality", "deadline"]);
    let cooldown = fields.optional("cooldown").and_then(|item| cooldown(&item)).unwrap_or_default();
    let at_most = fields.optional("at_most").and_then(|item| quota(&item, "5 per week", false));
    let budget_rows = fields.optional("budget").and_then(|item| quota(&item, "20000 rows per week", true));
    fields.finish();
    GuardSpec { cooldown, at_most, budget_rows }
}

fn cooldown(item: &Item<'_>) -> Option<CooldownSpec> {
    if item.as_text().is_some() {
        return item.span_or_zero().map(|span| CooldownSpec { success: span, failure: span });
    }
    let mut fields = item.fields();
    let mut rest = |name| fields.optional(name).map_or(Some(TimeSpan::ZERO), |item| item.span_or_zero());
    let (success, failure) = (rest("success"), rest("failure"));
    fields.finish();
    Some(CooldownSpec { success: success?, failure: failure? })
}

/// `5 per week`, `20000 rows per 30d`: a positive amount in a stretch of time.
fn quota(item: &Item<'_>, example: &str, rows: bool) -> Option<Quota> {
    let text = item.text()?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let (amount, per) = match (words.as_slice(), rows) {
        ([amount, "rows", "per", per], true) | ([amount, "per", per], false) => (*amount, *per),
        _ => {
            item.refuse(format!("{text:?} is no amount per time"), &format!("write it as {example}"));
            return None;
        }
    };
    let per = match per {
        "hour" => Ok(TimeSpan::from_hours(1)),
        "day" => Ok(TimeSpan::from_days(1)),
        "week" => Ok(TimeSpan::from_days(7)),
        other => TimeSpan::parse(other),
    };
    match (amount.parse(), per) {
        (Ok(amount), Ok(per)) if amount > 0 && per > TimeSpan::ZERO => Some(Quota { amount, per }),
        _ => {
            let help = format!("write it as {example}; after per stands hour, day, week or a duration");
            item.refuse(format!("{text:?} is no amount per time"), &help);
            None
        }
    }
}

fn actions(item: &Item<'_>) -> ActionsSpec {
    let mut fields = item.fields();
    fields.later(&["adapt"]);
    let fine_tune = fields.optional("fine_tune").map(|item| fine_tune(&item)).unwrap_or_default();
    let retrain = fields.optional("retrain").map(|item| retrain(&item)).unwrap_or_default();
    fields.finish();
    ActionsSpec { fine_tune, retrain, adapt: None }
}

fn fine_tune(item: &Item<'_>) -> FineTuneSpec {
    let mut fields = item.fields();
    let default = FineTuneSpec::default();
    if let Some(item) = fields.optional("data") {
        let _ = item.one_of(&[("since_training", ())], &[]);
    }
    let replay_rows = fields.optional("replay").map_or(Some(default.replay_rows), |item| {
        let mut fields = item.fields();
        let rows = fields.required("rows").and_then(|item| item.whole(0));
        fields.finish();
        rows
    });
    let epochs = fields.optional("epochs").map_or(Some(default.epochs), |item| model::epochs(&item));
    fields.finish();
    FineTuneSpec {
        replay_rows: replay_rows.unwrap_or_else(|| item.guess(&[0, 1_000_000_000])),
        epochs: epochs.unwrap_or_else(|| item.guess(&[1, 1_000])),
    }
}

fn retrain(item: &Item<'_>) -> RetrainSpec {
    let mut fields = item.fields();
    let data = fields.optional("data").map_or(Some(None), |item| item.span().map(Some));
    fields.finish();
    RetrainSpec { data: data.unwrap_or_else(|| item.guess(&[None, Some(DEFAULT_WINDOW)])) }
}

fn gate(item: &Item<'_>) -> GateSpec {
    let mut fields = item.fields();
    fields.later(&["better", "slices", "golden"]);
    let metric = fields.required("not_worse").and_then(|item| item.text());
    let margin = fields.optional("margin").map_or(Some(0.0), |item| item.number_in(0.0, 10.0));
    let confidence = fields.optional("confidence").map_or(Some(0.95), |item| item.number_in(0.5, 0.9999));
    let holdout_rows = fields.required("holdout").and_then(|item| rows(&item));
    fields.finish();
    GateSpec::NotWorse {
        metric: metric.unwrap_or_else(|| item.guess(&["mae", "log_loss"]).into()),
        margin: margin.unwrap_or(0.0),
        confidence: confidence.unwrap_or(0.95),
        holdout_rows: holdout_rows.unwrap_or_else(|| item.guess(&[2, 1_000_000_000])),
    }
}

/// `48 rows`, at least one.
fn rows(item: &Item<'_>) -> Option<u64> {
    let text = item.text()?;
    match text.strip_suffix("rows").map(|number| number.trim().parse()) {
        Some(Ok(number)) if number > 0 => Some(number),
        _ => {
            item.refuse(format!("{text:?} is no number of rows"), "write it as 48 rows");
            None
        }
    }
}

/// Today a candidate that passed its gates takes all of its model's traffic.
fn rollout(item: &Item<'_>) {
    let stages = item.list();
    for stage in &stages {
        if stage.is_map() {
            let mut fields = stage.fields();
            fields.later(&["shadow", "ab", "bandit"]);
            if !stage.has_any(&["shadow", "ab", "bandit"]) {
                fields.finish();
            }
        } else {
            let _ = stage.one_of(&[("promote", ())], &["shadow", "ab", "bandit"]);
        }
    }
    if item.is_list() && stages.len() != 1 {
        item.refuse("a rollout of other than the one stage [promote] is not supported yet", "");
    }
}
