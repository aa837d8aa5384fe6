//! What a performance signal is compared with: the first full window after a promotion.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_evaluate::{EndpointSpec, Metric};
use perennial_policy::{PolicySpec, SignalKind};
use perennial_types::{TimeSpan, Timestamp};

use crate::Goal;
use crate::endpoint::EndpointState;
use crate::model::ModelState;

/// Names the baseline of a metric over a window.
pub(crate) fn key(metric: &str, window: TimeSpan) -> Arc<str> {
    format!("{metric} over {window}").into()
}

/// The endpoint that a model of the goal belongs to.
pub(crate) fn endpoint_of<'a>(goal: &'a Goal, model: &str) -> Option<&'a EndpointSpec> {
    let model = goal.models.iter().find(|candidate| &*candidate.name == model)?;
    goal.endpoints.iter().find(|endpoint| endpoint.name == model.endpoint)
}

/// The baselines of a model's current version that are complete at `now` and were not kept yet: of the
/// requests of the first full window after its promotion, once all of them have matured.
pub(crate) fn completed(
    goal: &Goal,
    endpoints: &BTreeMap<Arc<str>, EndpointState>,
    models: &BTreeMap<Arc<str>, ModelState>,
    model: &str,
    policy: &PolicySpec,
    now: Timestamp,
) -> Option<Vec<(Arc<str>, f64)>> {
    let endpoint = endpoint_of(goal, model)?;
    let version = models.get(model)?.current()?;
    let performance = endpoints.get(&endpoint.name)?.performance(model)?;
    let from = version.promoted_at? + endpoint.label.matures_after;
    let mut complete = Vec::new();
    for signal in &policy.signals {
        let SignalKind::Performance { metric, window, min_rows } = &signal.kind else { continue };
        let key = key(metric, *window);
        let kept = version.baselines.get(&key).is_some_and(|baseline| !baseline.inherited);
        let to = from + *window;
        if kept || now < to {
            continue;
        }
        // The first look after the window's end is at most a tick late, unless the service was away: then
        // what it had to forget of that window is gone, and the newest full window stands for it.
        let (from, to) = if now < to + goal.tick { (from, to) } else { (now - *window, now) };
        let figure =
            Metric::from_name(metric).and_then(|metric| performance.metric_between(metric, from, to));
        if let Some(figure) = figure.filter(|figure| figure.rows >= *min_rows) {
            complete.push((key, figure.value));
        }
    }
    Some(complete)
}
