//! Reads an Endpoint.

use std::sync::Arc;

use perennial_evaluate::{EndpointSpec, LabelSpec, OnFailure, Outcome};
use perennial_types::TimeSpan;

use super::open;
use crate::fields::Item;

/// How long a model may take unless said.
const DEFAULT_DEADLINE: TimeSpan = TimeSpan::from_micros(20_000);

pub(super) fn read(item: &Item<'_>) -> EndpointSpec {
    let (mut fields, name) = open(item, Item::name);
    let list = fields.required("models");
    let models = list.as_ref().map(Item::list).unwrap_or_default();
    let models: Vec<Arc<str>> = models.iter().map(|item| item.name().unwrap_or_else(|| item.raw())).collect();
    if let Some(list) = list.filter(|list| list.is_list() && models.is_empty()) {
        list.refuse("an endpoint has at least one model", "");
    }
    let initial = match fields.optional("initial") {
        Some(item) => item.name(),
        None => models.first().cloned(),
    };
    let label = fields.required("label").and_then(|item| label(&item));
    let outcomes = [
        ("independent_of_prediction", Outcome::IndependentOfPrediction),
        ("depends_on_prediction", Outcome::DependsOnPrediction),
    ];
    let outcome = match fields.optional("outcome") {
        Some(item) => item.one_of(&outcomes, &[]),
        None => Some(Outcome::DependsOnPrediction),
    };
    let on_failure = match fields.optional("on_failure") {
        Some(item) => on_failure(&item),
        None => Some(OnFailure { deadline: DEFAULT_DEADLINE, default: 0.0 }),
    };
    fields.finish();
    EndpointSpec {
        name,
        models,
        initial: initial.unwrap_or_default(),
        label: label.unwrap_or_else(|| LabelSpec {
            name: "".into(),
            matures_after: TimeSpan::ZERO,
            give_up_after: TimeSpan::ZERO,
        }),
        outcome: outcome.unwrap_or(Outcome::DependsOnPrediction),
        on_failure: on_failure.unwrap_or(OnFailure { deadline: DEFAULT_DEADLINE, default: 0.0 }),
    }
}

fn label(item: &Item<'_>) -> Option<LabelSpec> {
    let mut fields = item.fields();
    let name = fields.required("name").and_then(|item| item.identifier());
    let matures = fields.required("matures_after").and_then(|item| item.span_or_zero());
    let give_up = match fields.optional("give_up_after") {
        Some(item) => item.span_or_zero(),
        None => matures.map(|span| TimeSpan::from_micros(span.micros().saturating_mul(7))),
    };
    if let (Some(matures), Some(give_up)) = (matures, give_up)
        && give_up < matures
    {
        fields.refuse(format!("give_up_after {give_up} is before matures_after {matures}"), "");
    }
    fields.finish();
    Some(LabelSpec { name: name?, matures_after: matures?, give_up_after: give_up? })
}

fn on_failure(item: &Item<'_>) -> Option<OnFailure> {
    let mut fields = item.fields();
    let deadline = fields.optional("deadline").map_or(Some(DEFAULT_DEADLINE), |item| item.span());
    let default = fields.optional("default").map_or(Some(0.0), |item| item.number());
    fields.finish();
    Some(OnFailure { deadline: deadline?, default: default? })
}
