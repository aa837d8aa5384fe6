//! Reads how a candidate reaches traffic, and what takes it back.

use std::sync::Arc;

use perennial_evaluate::Algorithm;
use perennial_policy::{Otherwise, RollbackSpec, StageSpec};
use perennial_types::TimeSpan;

use crate::fields::Item;
use crate::read::in_ticks;

/// How often the split of a bandit stage may change unless said.
const DEFAULT_EPOCH: TimeSpan = TimeSpan::from_hours(6);

/// The least part that current version and candidate get of the model's share unless said.
const DEFAULT_FLOOR: f64 = 0.05;

/// A time in place of one that could not be read: nothing is too short for it.
const LONG: TimeSpan = TimeSpan::from_days(100_000);

pub(super) fn rollout(item: &Item<'_>, tick: TimeSpan) -> Vec<StageSpec> {
    if !item.is_list() {
        let _ = item.list();
        return vec![StageSpec::Promote];
    }
    item.list().iter().map(|item| stage(item, tick)).collect()
}

/// One stage; another one in each round where it cannot be read.
fn stage(item: &Item<'_>, tick: TimeSpan) -> StageSpec {
    let any = || item.guess(&[StageSpec::Promote, StageSpec::Shadow { length: LONG }]);
    if !item.is_map() {
        let read = item.one_of(&[("promote", StageKind::Promote)], &["ab"]);
        return read.map_or_else(any, |StageKind::Promote| StageSpec::Promote);
    }
    let mut fields = item.fields();
    if item.has_any(&["ab"]) {
        fields.later(&["ab"]);
        return any();
    }
    match (fields.optional("shadow"), fields.optional("bandit")) {
        (Some(length), None) => {
            fields.finish();
            StageSpec::Shadow { length: length.span().unwrap_or(LONG) }
        }
        (None, Some(algorithm)) => bandit(item, &algorithm, tick),
        (Some(_), Some(_)) | (None, None) => {
            item.refuse("a stage is one of shadow, bandit and promote", "shadow: 24h, for example");
            any()
        }
    }
}

/// The stages that are written as one word.
#[derive(Clone, Copy)]
enum StageKind {
    Promote,
}

fn bandit(item: &Item<'_>, algorithm: &Item<'_>, tick: TimeSpan) -> StageSpec {
    let mut fields = item.fields();
    fields.optional("bandit");
    // Two versions are compared by normal posteriors of their mean losses, whatever the losses are.
    let gaussian = Algorithm::GaussianThompson.name();
    algorithm.one_of(&[(gaussian, ())], &[Algorithm::BetaThompson.name()]);
    let epoch = fields
        .optional("epoch")
        .map_or_else(|| Some(in_ticks(DEFAULT_EPOCH.micros(), tick)), |item| item.span());
    let floor = fields.optional("floor").map_or(Some(DEFAULT_FLOOR), |item| item.number_in(0.0, 1.0));
    let until = fields.required("until").and_then(|item| item.text());
    let at_most = fields.required("at_most").and_then(|item| item.span());
    let otherwise = match fields.optional("otherwise") {
        Some(item) => item.one_of(&OTHERWISE, &[]),
        None => Some(Otherwise::Refuse),
    };
    fields.finish();
    StageSpec::Bandit {
        algorithm: gaussian.into(),
        epoch: epoch.unwrap_or(LONG),
        floor: floor.unwrap_or(DEFAULT_FLOOR),
        until: until.unwrap_or_else(|| Arc::from("")),
        at_most: at_most.unwrap_or(LONG),
        otherwise: otherwise.unwrap_or(Otherwise::Refuse),
    }
}

const OTHERWISE: [(&str, Otherwise); 3] = [
    ("promote_if_not_worse", Otherwise::PromoteIfNotWorse),
    ("promote", Otherwise::Promote),
    ("refuse", Otherwise::Refuse),
];

pub(super) fn rollback(item: &Item<'_>) -> RollbackSpec {
    let mut fields = item.fields();
    let when = fields.required("when").and_then(|item| item.text());
    let within = fields.required("within").and_then(|item| item.span());
    fields.finish();
    RollbackSpec { when: when.unwrap_or_else(|| Arc::from("")), within: within.unwrap_or(LONG) }
}
