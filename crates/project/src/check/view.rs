//! A feature view: its source is there, and the features' core finds nothing wrong with it.

use std::sync::Arc;

use perennial_features::{FeatureError, View, ViewSpec};

use crate::scope::Scope;

/// Check and compile one view; `None` if it has a fault.
pub(crate) fn view(scope: &Scope<'_>, spec: &ViewSpec) -> Option<Arc<View>> {
    let owner = format!("FeatureView {:?}", spec.name);
    let source = scope.source(&spec.from, &format!("{owner}: from"))?;
    let mut fits = true;
    for error in View::check(spec, source) {
        match error {
            FeatureError::Declaration { field, problem, .. } => {
                scope.refuse_as_told(format!("{owner}: {field}"), &problem);
            }
            FeatureError::Snapshot(_) => scope.refuse_as_told(owner.clone(), &error.to_string()),
        }
        fits = false;
    }
    if !fits {
        return None;
    }
    View::compile(spec.clone(), source).map_err(|error| scope.refuse_as_told(owner, &error.to_string())).ok()
}
