//! Reads how a policy trains.

use std::sync::Arc;

use perennial_policy::{Action, ActionsSpec, AdaptSpec, FineTuneSpec, RetrainSpec};
use perennial_types::TimeSpan;

use super::DEFAULT_WINDOW;
use crate::fields::Item;
use crate::read::model;

pub(super) fn actions(item: &Item<'_>) -> ActionsSpec {
    let mut fields = item.fields();
    let fine_tune = fields.optional("fine_tune").map(|item| fine_tune(&item)).unwrap_or_default();
    let retrain = fields.optional("retrain").map(|item| retrain(&item)).unwrap_or_default();
    let adapt = fields.optional("adapt").map(|item| adapt(&item));
    fields.finish();
    ActionsSpec { fine_tune, retrain, adapt }
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

fn adapt(item: &Item<'_>) -> AdaptSpec {
    let mut fields = item.fields();
    let actions = [("fine_tune", Action::FineTune), ("retrain", Action::Retrain)];
    let repeat = fields.required("repeat").and_then(|item| item.one_of(&actions, &[]));
    let every = fields.required("every").and_then(|item| item.span());
    let until = fields.required("until").and_then(|item| item.text());
    let at_most = fields.required("at_most").and_then(|item| times(&item));
    fields.finish();
    AdaptSpec {
        repeat: repeat.unwrap_or_else(|| item.guess(&[Action::FineTune, Action::Retrain])),
        every: every.unwrap_or(TimeSpan::from_days(1)),
        until: until.unwrap_or_else(|| Arc::from("")),
        at_most: at_most.unwrap_or(1),
    }
}

/// How often something is done, at least once.
fn times(item: &Item<'_>) -> Option<u32> {
    let number = item.whole(1)?;
    if let Ok(number) = u32::try_from(number) {
        return Some(number);
    }
    item.refuse(format!("{number} times are too many"), "");
    None
}
