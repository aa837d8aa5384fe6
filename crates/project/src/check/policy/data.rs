//! Signals of data: what they name is there, and has a limit.

use std::collections::BTreeSet;
use std::sync::Arc;

use perennial_policy::DataFigure;
use perennial_types::{TimeSpan, did_you_mean};

use crate::check::view;
use crate::fault::owner;
use crate::pattern::{is_pattern, matches};
use crate::scope::Scope;

/// A signal of data as it is declared.
pub(super) struct Declared<'a> {
    pub(super) figure: DataFigure,
    pub(super) of: &'a [Arc<str>],
    pub(super) every: TimeSpan,
    pub(super) limit: Option<f64>,
}

/// Check a signal of data that stands at `path`.
pub(super) fn check(scope: &Scope<'_>, path: &str, signal: &Declared<'_>) {
    let figure = signal.figure;
    scope.whole_ticks(signal.every, &format!("{path}.every"));
    let (field, what) = match figure {
        DataFigure::Freshness | DataFigure::Skew => (figure.name(), "feature"),
        DataFigure::Loss => (figure.name(), "source"),
        DataFigure::NullRate | DataFigure::NewCategories => ("quality", "feature or column of a source"),
        DataFigure::Violations | DataFigure::Volume => ("quality", "source"),
    };
    // Where some names could not be read, nothing is said about those that are missing.
    let Some(known) = known(scope, figure) else { return };
    for (i, pattern) in signal.of.iter().enumerate() {
        let found: Vec<&Arc<str>> = known.iter().filter(|name| matches(pattern, name)).collect();
        let at = format!("{path}.{field}[{i}]");
        if found.is_empty() {
            let groups = known.iter().filter_map(|name| Some(format!("{}.*", name.split_once('.')?.0)));
            let names: BTreeSet<String> = match is_pattern(pattern) {
                true => groups.collect(),
                false => known.iter().map(ToString::to_string).collect(),
            };
            let help = did_you_mean(pattern, names.iter().map(String::as_str));
            scope.refuse(at, format!("there is no {what} {pattern:?}"), &help);
        } else if signal.limit.is_none()
            && !scope.marks.touches(&format!("{path}.limit"))
            && figure.default_limit().is_none()
            && let Some(name) = found.iter().find(|name| level(scope, figure, name).is_none())
        {
            let help = match figure {
                DataFigure::Freshness => "give `limit`, or its view `service_level: {freshness_p99: 1s}`",
                DataFigure::NullRate => "give `limit`, or its view `service_level: {null_rate: 0.02}`",
                _ => "give `limit`",
            };
            scope.refuse(
                at,
                format!("nothing says what {} of {name:?} is held against", figure.name()),
                help,
            );
        }
    }
}

/// What the service level of a feature's view says.
fn level(scope: &Scope<'_>, figure: DataFigure, name: &str) -> Option<f64> {
    let (view, _) = name.split_once('.')?;
    scope.project.service_levels.get(view)?.of(figure)
}

/// Everything that a figure can be of; nothing if some of it could not be read.
fn known(scope: &Scope<'_>, figure: DataFigure) -> Option<BTreeSet<Arc<str>>> {
    let sources = &scope.project.sources;
    if scope.marks.kind_is_open("Source") || scope.marks.kind_is_open("FeatureView") {
        return None;
    }
    let mut known = BTreeSet::new();
    match figure {
        DataFigure::Freshness | DataFigure::Skew => known.extend(features(scope)?),
        DataFigure::NullRate | DataFigure::NewCategories => {
            known.extend(features(scope)?);
            for source in sources {
                if scope.marks.is_open(&format!("{}: schema", owner("Source", &source.name))) {
                    return None;
                }
                let columns = source.schema.names();
                known.extend(columns.map(|column| Arc::from(format!("{}.{column}", source.name))));
            }
        }
        DataFigure::Loss | DataFigure::Violations | DataFigure::Volume => {
            known.extend(sources.iter().map(|source| Arc::clone(&source.name)));
        }
    }
    Some(known)
}

/// The full names of all features.
fn features(scope: &Scope<'_>) -> Option<Vec<Arc<str>>> {
    let mut names = Vec::new();
    for spec in &scope.project.views {
        names.extend(view::names(scope, spec, &owner("FeatureView", &spec.name))?);
    }
    Some(names)
}
