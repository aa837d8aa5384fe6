//! Reads an Experiment.

use std::sync::Arc;

use perennial_evaluate::{
    Algorithm, Conclusion, ExperimentSpec, GuardrailMetric, GuardrailSpec, Mode, RewardSpec, UnitSpec,
};
use perennial_types::{TimeSpan, did_you_mean};

use super::{in_ticks, named, open};
use crate::fields::{Fields, Item};

/// How long a vector holds unless said.
const DEFAULT_EPOCH: TimeSpan = TimeSpan::from_hours(6);

/// The least probability of an arm unless said.
const DEFAULT_FLOOR: f64 = 0.01;

/// A time in place of one that could not be read: nothing is too short for it.
const LONG: TimeSpan = TimeSpan::from_days(100_000);

/// Rewards of 0 and 1, the only ones that a beta posterior is of.
const SHARES: (f64, f64) = (0.0, 1.0);

/// The words for a mode.
#[derive(Clone, Copy)]
enum ModeName {
    Shadow,
    Ab,
    Bandit,
}

/// Read an experiment. Times that are not given are rounded up to ticks.
pub(super) fn read(item: &Item<'_>, tick: TimeSpan) -> ExperimentSpec {
    let (mut fields, name) = open(item, Item::name);
    let endpoint = fields.required("endpoint").map(|item| item.name().unwrap_or_else(|| item.raw()));
    let arms = fields.required("arms").map(|item| item.list()).unwrap_or_default();
    let arms: Vec<Arc<str>> = arms.iter().map(|item| item.name().unwrap_or_else(|| item.raw())).collect();
    let modes = [("shadow", ModeName::Shadow), ("ab", ModeName::Ab), ("bandit", ModeName::Bandit)];
    let mode_name = fields.required("mode").and_then(|item| item.one_of(&modes, &[]));
    let (mode, mode_known) = match mode_name {
        Some(ModeName::Shadow) => (Mode::Shadow, true),
        Some(ModeName::Ab) => (Mode::Ab { split: split(&mut fields, &arms) }, true),
        Some(ModeName::Bandit) => match fields.optional("algorithm") {
            Some(item) => algorithm(&item, tick),
            None => (default_bandit(tick), true),
        },
        // What is given for a mode is read, whichever is meant.
        None => match (fields.optional("algorithm"), fields.has("split")) {
            (Some(item), _) => (algorithm(&item, tick).0, false),
            (None, true) => (Mode::Ab { split: split(&mut fields, &arms) }, false),
            (None, false) => (item.guess(&[Mode::Shadow, equal_split(&arms)]), false),
        },
    };
    let unit = match fields.optional("unit").and_then(|item| item.identifier()) {
        Some(column) if &*column != "request" => UnitSpec::Column(column),
        Some(_) | None => UnitSpec::Request,
    };
    let reward = fields.required("reward").map(|item| reward(&item, &mode, mode_known));
    let guardrails = fields.optional("guardrails").map(|item| item.list()).unwrap_or_default();
    let guardrails = guardrails.iter().filter_map(guardrail).collect();
    let until = fields.optional("until").map(|item| item.text().unwrap_or_default());
    let at_most = fields.required("at_most").and_then(|item| item.span());
    let then = conclusion(&mut fields, "then", Conclusion::PromoteBest);
    let otherwise = conclusion(&mut fields, "otherwise", Conclusion::KeepInitial);
    match mode_name {
        Some(_) => fields.finish(),
        // Which fields there may be depends on the mode.
        None => fields.finish_unknown(),
    }
    ExperimentSpec {
        name,
        endpoint: endpoint.unwrap_or_default(),
        mode,
        arms,
        unit,
        reward: reward.unwrap_or_else(|| RewardSpec { of: "".into(), range: SHARES }),
        guardrails,
        until,
        at_most: at_most.unwrap_or(LONG),
        then,
        otherwise,
    }
}

fn equal_split(arms: &[Arc<str>]) -> Mode {
    Mode::Ab { split: vec![1.0 / arms.len().max(1) as f64; arms.len()] }
}

/// The shares by the names of the arms, in the order of the arms; equal ones unless said.
fn split(fields: &mut Fields<'_>, arms: &[Arc<str>]) -> Vec<f64> {
    let equal = 1.0 / arms.len().max(1) as f64;
    let Some(item) = fields.optional("split") else { return vec![equal; arms.len()] };
    let mut shares: Vec<(Arc<str>, f64)> = Vec::new();
    let mut readable = item.is_map();
    for (name, item) in item.entries() {
        if !arms.contains(&name) {
            let help = did_you_mean(&name, arms.iter().map(|arm| &**arm));
            item.refuse(format!("{name:?} is no arm"), &help);
            readable = false;
        }
        let share = item.number_in(f64::MIN_POSITIVE, 1.0);
        readable &= share.is_some();
        shares.push((name, share.unwrap_or(equal)));
    }
    let missing = arms.iter().find(|arm| !shares.iter().any(|(name, _)| name == *arm));
    let sum: f64 = shares.iter().map(|(_, share)| share).sum();
    if let (true, Some(missing)) = (readable, missing) {
        item.refuse(format!("arm {missing:?} has no share"), "give each arm one, together 1");
    } else if readable && (sum - 1.0).abs() > 1e-9 {
        item.refuse(format!("the shares sum to {sum}"), "together they are 1");
    }
    let share = |arm: &Arc<str>| shares.iter().find(|(name, _)| name == arm).map(|(_, share)| *share);
    arms.iter().map(|arm| share(arm).unwrap_or(equal)).collect()
}

fn default_bandit(tick: TimeSpan) -> Mode {
    Mode::Bandit {
        algorithm: Algorithm::GaussianThompson,
        epoch: in_ticks(DEFAULT_EPOCH.micros(), tick),
        floor: DEFAULT_FLOOR,
        reset_on_change: false,
    }
}

/// The bandit's mode, and whether its kind could be read.
fn algorithm(item: &Item<'_>, tick: TimeSpan) -> (Mode, bool) {
    let mut fields = item.fields();
    let kind = fields
        .required("kind")
        .and_then(|item| item.one_of(&named(&Algorithm::ALL, Algorithm::name), &LATER));
    let epoch = match fields.optional("epoch") {
        Some(item) => item.span(),
        None => Some(in_ticks(DEFAULT_EPOCH.micros(), tick)),
    };
    let floor = fields.optional("floor").and_then(|item| item.number_in(0.0, 1.0));
    let reset = fields.optional("reset_on_change").and_then(|item| item.boolean());
    fields.finish();
    let mode = Mode::Bandit {
        algorithm: kind.unwrap_or_else(|| item.guess(&Algorithm::ALL)),
        epoch: epoch.unwrap_or(tick),
        floor: floor.unwrap_or(DEFAULT_FLOOR),
        reset_on_change: reset.unwrap_or(false),
    };
    (mode, kind.is_some())
}

/// Algorithms that are known elsewhere and do nothing here yet.
const LATER: [&str; 3] = ["linucb", "linear_thompson", "epsilon_greedy"];

/// What an answer was worth. A beta posterior has one range, which need not be said.
fn reward(item: &Item<'_>, mode: &Mode, mode_known: bool) -> RewardSpec {
    let mut fields = item.fields();
    let of = fields.required("of").and_then(|item| item.text());
    let shares = matches!(mode, Mode::Bandit { algorithm: Algorithm::BetaThompson, .. });
    let range = match (shares, mode_known) {
        (true, _) => fields.optional("range").map_or(Some(SHARES), |item| item.range()),
        (false, true) => fields.required("range").and_then(|item| item.range()),
        (false, false) => fields.optional("range").and_then(|item| item.range()),
    };
    fields.finish();
    RewardSpec {
        of: of.unwrap_or_default(),
        range: range.unwrap_or_else(|| item.guess(&[SHARES, (-1000.0, 0.0)])),
    }
}

fn guardrail(item: &Item<'_>) -> Option<GuardrailSpec> {
    let mut fields = item.fields();
    let metrics = [("error_rate", GuardrailMetric::ErrorRate)];
    let of = fields.required("of").and_then(|item| item.one_of(&metrics, &["latency_p99", "latency"]));
    let max = fields.required("max").and_then(|item| item.number_in(0.0, 1.0));
    fields.finish();
    Some(GuardrailSpec { of: of?, max: max? })
}

fn conclusion(fields: &mut Fields<'_>, name: &'static str, default: Conclusion) -> Conclusion {
    let choices = [("promote_best", Conclusion::PromoteBest), ("keep_initial", Conclusion::KeepInitial)];
    fields.optional(name).and_then(|item| item.one_of(&choices, &[])).unwrap_or(default)
}
