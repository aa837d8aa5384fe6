//! A source that follows from others, and repetitions.

use perennial_features::FeatureError;
use perennial_features::streams::Derivation;
use perennial_types::{DerivedSpec, Operator, SourceSpec};

use crate::derive::circle;
use crate::fault::owner;
use crate::scope::Scope;

/// Check what a source follows from.
pub(super) fn derived(scope: &Scope<'_>, source: &SourceSpec, derived: &DerivedSpec) {
    let owner = owner("Source", &source.name);
    let mut known = !derived.operator.sources().is_empty();
    for (i, name) in derived.operator.sources().into_iter().enumerate() {
        let field = match &derived.operator {
            Operator::Union(_) => format!("union[{i}]"),
            Operator::Join(_) => format!("join.{}", ["left", "right"][i.min(1)]),
            Operator::Enrich(_) => format!("enrich.{}", ["of", "by"][i.min(1)]),
        };
        known &= scope.source(name, &format!("{owner}: stream.{field}")).is_some();
    }
    if !known {
        return;
    }
    if let Some(circle) = circle(scope.project, source) {
        let message = format!("it follows from itself: {}", circle.join(" of "));
        return scope.refuse(format!("{owner}: stream"), message, "");
    }
    follows(scope, source, &owner);
}

/// The faults of operators, where every column they may name is known.
pub(super) fn follows(scope: &Scope<'_>, source: &SourceSpec, owner: &str) {
    let open = |name: &str| scope.marks.is_open(&format!("{}: schema", crate::fault::owner("Source", name)));
    let inputs = source.derived().map(|derived| derived.operator.sources()).unwrap_or_default();
    if inputs.into_iter().any(|name| open(name)) || (source.derived().is_none() && open(&source.name)) {
        return;
    }
    for error in Derivation::compile(source).err().unwrap_or_default() {
        match error {
            FeatureError::Source { field, problem, .. } => {
                scope.refuse_as_told(format!("{owner}: {field}"), &problem);
            }
            FeatureError::Declaration { .. } | FeatureError::Snapshot(_) => {
                scope.refuse_as_told(owner, &error.to_string());
            }
        }
    }
}
