//! A feature view: its source is there, and the features' core finds nothing wrong with it.

use std::sync::Arc;

use perennial_expr::Expr;
use perennial_features::{FeatureError, View, ViewSpec};
use perennial_types::SourceSpec;

use crate::fault::owner;
use crate::scope::Scope;

/// A view as far as it goes.
pub(crate) struct CheckedView {
    /// The view; `None` if it has a fault.
    pub(crate) view: Option<Arc<View>>,
    /// The full names of its features; `None` where some could not be read.
    pub(crate) names: Option<Vec<Arc<str>>>,
}

/// Check and compile one view.
pub(crate) fn view(scope: &Scope<'_>, spec: &ViewSpec) -> CheckedView {
    let owner = owner("FeatureView", &spec.name);
    let names = names(scope, spec, &owner);
    let source = scope.source(&spec.from, &format!("{owner}: from"));
    let view = source.and_then(|source| compiled(scope, spec, source, names.is_some()));
    CheckedView { view, names }
}

fn compiled(scope: &Scope<'_>, spec: &ViewSpec, source: &SourceSpec, named: bool) -> Option<Arc<View>> {
    let owner = owner("FeatureView", &spec.name);
    let faults = View::check(spec, source);
    for error in &faults {
        match error {
            FeatureError::Declaration { field, problem, .. } => {
                if !excused(scope, spec, source, field, named) {
                    scope.refuse_as_told(scope.marks.declared_at(&format!("{owner}: {field}")), problem);
                }
            }
            FeatureError::Source { .. } | FeatureError::Snapshot(_) => {
                scope.refuse_as_told(owner.clone(), &error.to_string());
            }
        }
    }
    if !faults.is_empty() {
        return None;
    }
    View::compile(spec.clone(), source).map_err(|error| scope.refuse_as_told(owner, &error.to_string())).ok()
}

/// Whether a field may name what could not be read.
fn excused(scope: &Scope<'_>, spec: &ViewSpec, source: &SourceSpec, field: &str, named: bool) -> bool {
    if let Some(name) = field.strip_prefix("derived.") {
        return !named && spec.derived.iter().any(|derived| *derived.name == *name);
    }
    let source_open = scope.marks.is_open(&format!("{}: schema", owner("Source", &source.name)));
    let columns_open = scope.marks.is_open(&format!("{}: columns", owner("FeatureView", &spec.name)));
    let known = |name: &str| {
        source.schema.column(name).is_some() || spec.columns.iter().any(|column| *column.name == *name)
    };
    if !source_open && !columns_open {
        return false;
    }
    if field.starts_with("entity") {
        return source_open && !spec.entity.iter().all(|name| known(name));
    }
    let strange = |sql: &Arc<str>| Expr::names(sql).is_ok_and(|names| !names.iter().all(|name| known(name)));
    let columns = spec.columns.iter().filter(|column| field == format!("columns.{}", column.name));
    let mut columns = columns.map(|column| &column.expr);
    let aggregates = spec.aggregates.iter().enumerate();
    let mut named_in = aggregates.flat_map(|(i, aggregate)| {
        let of = aggregate.of.iter().filter(move |_| field == format!("aggregates[{i}].of"));
        of.chain(aggregate.filter.iter().filter(move |_| field == format!("aggregates[{i}].where")))
    });
    columns.any(strange) || named_in.any(strange)
}

/// The full names of the features; `None` where a part that makes names could not be read.
pub(crate) fn names(scope: &Scope<'_>, spec: &ViewSpec, owner: &str) -> Option<Vec<Arc<str>>> {
    let touched = |field: String| scope.marks.touches(&format!("{owner}: {field}"));
    let open = |field: &str| scope.marks.is_open(&format!("{owner}: {field}"));
    if open("name") || open("aggregates") || touched("recent".to_owned()) || open("derived") {
        return None;
    }
    let mut names = Vec::new();
    for (i, aggregate) in spec.aggregates.iter().enumerate() {
        if ["name", "op", "windows"].iter().any(|field| touched(format!("aggregates[{i}].{field}"))) {
            return None;
        }
        for op in &aggregate.ops {
            let op = if aggregate.op_in_name { format!("_{op}") } else { String::new() };
            let windows = aggregate.windows.iter();
            names.extend(windows.map(|window| format!("{}.{}{op}_{window}", spec.name, aggregate.name)));
        }
    }
    names.extend(spec.derived.iter().map(|derived| format!("{}.{}", spec.name, derived.name)));
    Some(names.into_iter().map(Arc::from).collect())
}
