//! Reads a signal of a policy.

use perennial_policy::{DataFigure, DetectedLoss, DriftRule, SignalKind};
use perennial_types::TimeSpan;

use super::DEFAULT_WINDOW;
use crate::fields::{Fields, Item};
use crate::read::in_ticks;

/// Signals are NULL below this many rows unless said.
const DEFAULT_MIN_ROWS: u64 = 100;

/// A detector gives at most one false alarm in so many rows unless said.
const DEFAULT_FALSE_ALARM: u64 = 50_000;

/// An episode ends after so many rows without another alarm unless said.
const DEFAULT_STABLE_AFTER: u64 = 300;

/// The kinds of signals that are read, by the field that tells them apart.
const KINDS: [&str; 9] =
    ["performance", "drift", "detector", "staleness", "labels", "freshness", "skew", "loss", "quality"];

/// Kinds of the language that do nothing yet.
const LATER: [&str; 1] = ["cost"];

const LOSSES: [(&str, DetectedLoss); 4] = [
    ("abs_error", DetectedLoss::AbsError),
    ("squared_error", DetectedLoss::SquaredError),
    ("log_loss", DetectedLoss::LogLoss),
    ("error", DetectedLoss::Error),
];

pub(super) fn signal(item: &Item<'_>, tick: TimeSpan) -> SignalKind {
    let mut fields = item.fields();
    if item.has_any(&LATER) {
        // The other fields belong to a kind of signal that is not read.
        fields.later(&LATER);
        return any_kind(item);
    }
    let given: Vec<(&str, Item<'_>)> =
        KINDS.into_iter().filter_map(|kind| Some((kind, fields.optional(kind)?))).collect();
    let [(kind, of)] = given.as_slice() else {
        let known = KINDS.join(", ");
        fields
            .refuse(format!("a signal has one of the fields {known}"), "labels: since_training, for example");
        return any_kind(item);
    };
    let read = match *kind {
        "performance" => performance(of, &mut fields),
        "drift" => drift(of, &mut fields, tick),
        "detector" => detector(item, of, &mut fields),
        "staleness" => {
            let _ = of.one_of(&[("training_end", ())], &[]);
            SignalKind::Staleness
        }
        "labels" => {
            let _ = of.one_of(&[("since_training", ())], &[]);
            SignalKind::Labels
        }
        "freshness" => data(DataFigure::Freshness, of, &mut fields, tick),
        "skew" => data(DataFigure::Skew, of, &mut fields, tick),
        "loss" => data(DataFigure::Loss, of, &mut fields, tick),
        _ => {
            let figure = fields.optional("of").map_or(Some(DataFigure::NullRate), |item| {
                item.one_of(&QUALITIES.map(|figure| (figure.name(), figure)), &[])
            });
            data(figure.unwrap_or_else(|| item.guess(&QUALITIES)), of, &mut fields, tick)
        }
    };
    fields.finish();
    read
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

fn performance(metric: &Item<'_>, fields: &mut Fields<'_>) -> SignalKind {
    let unknown = metric.guess(&["mae", "log_loss"]);
    let metric = metric.text();
    let window = fields.required("window").and_then(|item| item.span());
    let min_rows = min_rows(fields);
    if let Some(item) = fields.optional("baseline") {
        let _ = item.one_of(&[("at_promotion", ())], &["fixed", "parent"]);
    }
    SignalKind::Performance {
        metric: metric.unwrap_or_else(|| unknown.into()),
        window: window.unwrap_or(DEFAULT_WINDOW),
        min_rows,
    }
}

fn min_rows(fields: &mut Fields<'_>) -> u64 {
    let given = fields.optional("min_rows").map_or(Some(DEFAULT_MIN_ROWS), |item| item.whole(1));
    given.unwrap_or(DEFAULT_MIN_ROWS)
}

fn drift(columns: &Item<'_>, fields: &mut Fields<'_>, tick: TimeSpan) -> SignalKind {
    let patterns = columns.list();
    if columns.is_list() && patterns.is_empty() {
        columns.refuse("no column is watched", "request.* watches all inputs from the request");
    }
    let columns = patterns.iter().map(|item| item.text().unwrap_or_default()).collect();
    let window = fields.required("window").and_then(|item| item.span()).unwrap_or(DEFAULT_WINDOW);
    if let Some(item) = fields.optional("reference") {
        let _ = item.one_of(&[("training", ())], &[]);
    }
    if let Some(item) = fields.optional("correction") {
        let _ = item.one_of(&[("bh", ())], &[]);
    }
    let every = fields.optional("every").map(|item| item.span().unwrap_or(tick));
    let default = DriftRule::default();
    let alpha = fields.optional("alpha").and_then(|item| item.number_in(f64::MIN_POSITIVE, 0.5));
    let effects = fields.optional("min_effect").map(|item| min_effect(&item)).unwrap_or_default();
    SignalKind::Drift {
        columns,
        window,
        every: every.unwrap_or_else(|| in_ticks(window.micros() / 7, tick)),
        rule: DriftRule { alpha: alpha.unwrap_or(default.alpha), ..effects },
        min_rows: min_rows(fields),
    }
}

/// What `quality` may be `of`.
const QUALITIES: [DataFigure; 4] =
    [DataFigure::NullRate, DataFigure::NewCategories, DataFigure::Violations, DataFigure::Volume];

/// A figure of data: of features, of columns of sources, or of sources.
fn data(figure: DataFigure, of: &Item<'_>, fields: &mut Fields<'_>, tick: TimeSpan) -> SignalKind {
    let patterns = of.list();
    if of.is_list() && patterns.is_empty() {
        of.refuse("nothing is watched", "name features, columns or sources, as in [slot_demand.*]");
    }
    let of = patterns.iter().map(|item| item.text().unwrap_or_default()).collect();
    let window = fields.optional("window").map_or(Some(DEFAULT_WINDOW), |item| item.span());
    let every = fields.optional("every").map_or(Some(tick), |item| item.span());
    let limit = fields.optional("limit").and_then(|item| match figure {
        DataFigure::Freshness => item.span().map(|span| span.micros() as f64 / 1e6),
        DataFigure::Skew | DataFigure::NullRate | DataFigure::Violations => item.number_in(0.0, 1.0),
        DataFigure::Loss | DataFigure::NewCategories | DataFigure::Volume => item.number_in(0.0, f64::MAX),
    });
    let (window, every) = (window.unwrap_or(DEFAULT_WINDOW), every.unwrap_or(tick));
    SignalKind::Data { figure, of, window, every, limit }
}

fn min_effect(item: &Item<'_>) -> DriftRule {
    let mut fields = item.fields();
    let rule = DriftRule::default();
    let mut effect = |name, default, most| {
        fields.optional(name).and_then(|item| item.number_in(0.0, most)).unwrap_or(default)
    };
    let rule = DriftRule {
        alpha: rule.alpha,
        min_wasserstein_sd: effect("wasserstein_sd", rule.min_wasserstein_sd, f64::MAX),
        min_js: effect("js", rule.min_js, 1.0),
        min_missing_change: effect("missing_change", rule.min_missing_change, 1.0),
    };
    fields.finish();
    rule
}

fn detector(item: &Item<'_>, method: &Item<'_>, fields: &mut Fields<'_>) -> SignalKind {
    let _ = method.one_of(&[("adwin", ())], &[]);
    let of = fields.required("of").and_then(|item| item.one_of(&LOSSES, &[]));
    // A wrong class counts one and a right one nothing: this range need not be said.
    let range = match of {
        Some(DetectedLoss::Error) => fields.optional("range").map_or(Some((0.0, 1.0)), |item| item.range()),
        Some(DetectedLoss::AbsError | DetectedLoss::SquaredError | DetectedLoss::LogLoss) => {
            fields.required("range").and_then(|item| item.range())
        }
        None => fields.optional("range").and_then(|item| item.range()),
    };
    let mut rows =
        |name, default| fields.optional(name).map_or(Some(default), |item| item.rows()).unwrap_or(default);
    SignalKind::Detector {
        one_false_alarm_in: rows("one_false_alarm_in", DEFAULT_FALSE_ALARM),
        stable_after: rows("stable_after", DEFAULT_STABLE_AFTER),
        of: of.unwrap_or_else(|| item.guess(&[DetectedLoss::AbsError, DetectedLoss::LogLoss])),
        range: range.unwrap_or((0.0, 1.0)),
    }
}
