//! An endpoint: its models go together.

use perennial_evaluate::EndpointSpec;
use perennial_learn::Task;
use perennial_types::did_you_mean;

use crate::fault::owner;
use crate::scope::Scope;
use crate::spec::ModelSpec;

/// Check one endpoint.
pub(crate) fn endpoint(scope: &Scope<'_>, endpoint: &EndpointSpec) {
    let owner = owner("Endpoint", &endpoint.name);
    let mut models: Vec<&ModelSpec> = Vec::new();
    for (i, name) in endpoint.models.iter().enumerate() {
        let path = format!("{owner}: models[{i}]");
        if endpoint.models[..i].contains(name) {
            scope.refuse(&path, format!("model {name:?} is named twice"), "");
            continue;
        }
        let mut endpoints = scope.project.endpoints.iter();
        if let Some(first) = endpoints.find(|other| other.models.contains(name))
            && first.name != endpoint.name
        {
            let message = format!("model {name:?} already belongs to endpoint {:?}", first.name);
            scope.refuse(
                &path,
                message,
                "a model trains on the label of one endpoint; declare another, like this one",
            );
        }
        let Some(model) = scope.model(name, &path) else { continue };
        if let Some(first) = models.first() {
            same_task(scope, &path, first, model);
            same_request(scope, &path, first, model);
        }
        models.push(model);
    }
    // A model that is declared is rightly named here, and is missing or misspelt in the list.
    let right = scope.project.models.iter().any(|model| model.name == endpoint.initial)
        && (models.len() < endpoint.models.len() || scope.marks.touches(&format!("{owner}: models")));
    let known = endpoint.models.contains(&endpoint.initial);
    if !known && !right && !endpoint.models.is_empty() {
        let help = did_you_mean(&endpoint.initial, endpoint.models.iter().map(|name| &**name));
        let message = format!("{:?} is none of the endpoint's models", endpoint.initial);
        scope.refuse(format!("{owner}: initial"), message, &help);
    }
    let default = endpoint.on_failure.default;
    if models.first().is_some_and(|model| model.task == Task::Binary) && !(0.0..=1.0).contains(&default) {
        let message = format!("{default} is no probability, which is what a binary model answers");
        scope.refuse(format!("{owner}: on_failure.default"), message, "give a number from 0 to 1");
    }
}

fn same_task(scope: &Scope<'_>, path: &str, first: &ModelSpec, model: &ModelSpec) {
    if first.task != model.task {
        let message = format!(
            "model {:?} has another task than model {:?} of the same endpoint",
            model.name, first.name
        );
        scope.refuse(path, message, "the models of an endpoint predict the same label");
    }
}

/// One request serves every model: a column of one name has one type.
fn same_request(scope: &Scope<'_>, path: &str, first: &ModelSpec, model: &ModelSpec) {
    for column in model.request.columns() {
        match first.request.column(&column.name) {
            Some(other) if (other.data_type, other.nullable) != (column.data_type, column.nullable) => {
                let written = |data_type, nullable| format!("{data_type}{}", if nullable { "?" } else { "" });
                let message = format!(
                    "request column {:?} is {} in model {:?}, but {} in model {:?}",
                    column.name,
                    written(column.data_type, column.nullable),
                    model.name,
                    written(other.data_type, other.nullable),
                    first.name
                );
                scope.refuse(path, message, "one request serves all models of an endpoint");
            }
            Some(_) | None => {}
        }
    }
}
