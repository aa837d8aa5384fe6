//! The OpenAPI document, made from the table of routes.

use axum::http::StatusCode;
use serde_json::{Value, json};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathsBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{InfoBuilder, License, OpenApi, PathItem, Ref, RefOr, Required, Schema};

use crate::parameters::{self, Form, Param};
use crate::route::Route;
use crate::schemas::{self, asked_instant, one_of_texts, whole_between};
use crate::{body, routes, text};

/// The media type of a body with an object a line.
const LINES: &str = "application/x-ndjson";

/// The OpenAPI 3.1 document of every route.
pub fn openapi() -> OpenApi {
    document(false)
}

/// The same, of a service that asks everybody for a key, or of one that may not.
pub(crate) fn document(asks: bool) -> OpenApi {
    let mut paths = PathsBuilder::new();
    for route in routes::all() {
        paths = paths.path(route.path, PathItem::new(route.method.clone(), operation(&route, asks)));
    }
    let info = InfoBuilder::new()
        .title("Perennial")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Continual learning as a service: events become features, prediction requests are answered by the \
             model versions that proved themselves, labels come back, and policies decide when to train. Errors \
             are problem details (RFC 9457).",
        ))
        .license(Some(License::new("Apache-2.0")))
        .build();
    let mut document = OpenApi::new(info, paths.build());
    document.components = Some(schemas::components());
    document
}

fn operation(route: &Route, asks: bool) -> OperationBuilder {
    let mut operation = OperationBuilder::new().summary(Some(route.summary));
    operation = match route.scope {
        // The empty requirement says that nobody is asked while there is no key.
        Some(scope) => schemas::KEY_SCHEMES
            .iter()
            .filter(|scheme| route.page || **scheme != "basic")
            .map(|scheme| SecurityRequirement::new(*scheme, [scope.name()]))
            .chain((!asks).then(SecurityRequirement::default))
            .fold(operation, OperationBuilder::security),
        None => operation,
    };
    for name in names_in(route.path) {
        operation = operation.parameter(path_parameter(name));
    }
    for param in &route.query {
        operation = operation.parameter(query_parameter(param));
    }
    if let Some(about) = route.other_query {
        operation = operation.parameter(other_parameters(about));
    }
    if let Some(schema) = &route.body {
        operation = operation.request_body(Some(request_body(schema, route).build()));
    }
    let (media_type, schema) = &route.reply;
    let ok = ResponseBuilder::new()
        .description("What was asked for.")
        .content(*media_type, ContentBuilder::new().schema(Some(schema.clone())).build());
    operation = operation.response("200", ok.build());
    for status in failures(route) {
        operation =
            operation.response(status.as_str(), Ref::from_response_name(schemas::problem_name(status)));
    }
    operation
}

/// What a route can answer in place of what was asked for: its own failures and those of every route.
fn failures(route: &Route) -> Vec<StatusCode> {
    let mut failures =
        vec![StatusCode::BAD_REQUEST, StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE];
    failures.extend(&route.failures);
    if route.scope.is_some() {
        failures.extend([StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN]);
    }
    failures.sort();
    failures
}

/// The names in braces.
fn names_in(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

fn path_parameter(name: &str) -> Parameter {
    let param = parameters::in_path(name);
    let schema = param.map_or_else(|| text::PLAIN.schema("").into(), parameter_schema);
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(param.map(|param| param.about))
        .schema(Some(schema))
        .example(param.and_then(Param::example).map(Value::from))
        .build()
}

fn parameter_schema(param: &Param) -> Schema {
    match param.form {
        Form::Text(form) => form.schema("").into(),
        Form::Instant => asked_instant().build().into(),
        Form::Whole { least, most } => whole_between(least, most).into(),
        Form::OneOf(words) => one_of_texts("", words).into(),
    }
}

fn query_parameter(param: &Param) -> Parameter {
    ParameterBuilder::new()
        .name(param.name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(param.about))
        .schema(Some(parameter_schema(param)))
        .example(param.example().map(Value::from))
        .build()
}

/// Query parameters whose names the project declares: the members of one exploded object.
fn other_parameters(about: &str) -> Parameter {
    ParameterBuilder::new()
        .name("entity")
        .parameter_in(ParameterIn::Query)
        .required(Required::True)
        .description(Some(about))
        .explode(Some(true))
        .schema(Some(schemas::map_of(text::PLAIN.schema("A value, as its column's type is written."), "")))
        .example(Some(json!({"slot": "5"})))
        .build()
}

fn request_body(schema: &RefOr<Schema>, route: &Route) -> RequestBodyBuilder {
    let about = format!(
        "At most {} MiB. The Content-Type is not looked at: a body may come without one.",
        body::LARGEST >> 20
    );
    let content = ContentBuilder::new().schema(Some(schema.clone())).example(route.example.clone());
    let json = RequestBodyBuilder::new()
        .description(Some(about))
        .required(Some(Required::True))
        .content("application/json", content.build());
    let Some(line) = &route.lines else { return json };
    // Lines are to a schema what the items of an array are.
    let schema = Schema::from(schemas::list_of(line.clone()).min_items(Some(1)));
    let example = route.example.as_ref().map(|one| Value::from(vec![one.clone()]));
    json.content(LINES, ContentBuilder::new().schema(Some(schema)).example(example).build())
}

/// The names of the schemas that another one refers to.
#[cfg(test)]
fn referred(json: &serde_json::Value, found: &mut std::collections::BTreeSet<String>) {
    match json {
        serde_json::Value::Object(members) => {
            if let Some(serde_json::Value::String(name)) = members.get("$ref") {
                found.insert(name.clone());
            }
            members.values().for_each(|member| referred(member, found));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| referred(item, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_document_is_as_published() {
        insta::assert_json_snapshot!("openapi", openapi());
    }

    #[test]
    fn every_route_stands_in_the_document_and_nothing_else() {
        let document = serde_json::to_value(openapi()).unwrap();
        let mut documented = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            documented.extend(item.as_object().unwrap().keys().map(|method| format!("{method} {path}")));
        }
        let method =
            |route: &Route| serde_json::to_value(&route.method).unwrap().as_str().unwrap().to_owned();
        let routes: BTreeSet<String> =
            routes::all().iter().map(|route| format!("{} {}", method(route), route.path)).collect();
        assert_eq!(documented, routes);
        assert_eq!(routes.len(), routes::all().len(), "a route stands twice in the table");
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_referred_to() {
        let document = serde_json::to_value(openapi()).unwrap();
        let mut found = BTreeSet::new();
        referred(&document, &mut found);
        for reference in &found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
        for name in document["components"]["schemas"].as_object().unwrap().keys() {
            assert!(found.contains(&format!("#/components/schemas/{name}")), "nothing refers to {name}");
        }
    }

    #[test]
    fn every_name_in_a_path_has_a_form() {
        let mut named = BTreeSet::new();
        for route in routes::all() {
            named.extend(names_in(route.path).map(str::to_owned));
        }
        let known: BTreeSet<String> =
            parameters::IN_PATHS.iter().map(|param| param.name.to_owned()).collect();
        assert_eq!(named, known);
    }

    #[test]
    fn every_name_in_a_path_is_a_parameter() {
        for route in routes::all() {
            let operation = operation(&route, false).build();
            let parameters = serde_json::to_value(operation.parameters.unwrap_or_default()).unwrap();
            for name in names_in(route.path) {
                let known = parameters.as_array().unwrap().iter();
                assert!(
                    known.clone().any(|one| one["name"] == name && one["in"] == "path"),
                    "{}",
                    route.path
                );
            }
        }
    }
}
