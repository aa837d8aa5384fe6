//! Feast's protocol of online reads, so that its SDK with a `remote` online store reads features from here.
//!
//! A feature reference `view:feature` is our `view.feature`; a feature service is a model, whose features are
//! read. A view of the same definition has to be declared in the client's own registry. What is NULL has status
//! `NULL_VALUE`; an entity without events is no exception: its counts are zero.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use perennial_gateway::{EntityReading, Selection};
use perennial_types::{Row, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{check_count, texts};
use crate::App;
use crate::body::{self, Body, members, take, take_text};
use crate::problem::Problem;
use crate::route::{Route, Scope};
use crate::schemas::reference;
use crate::text;

pub(in crate::routes) fn routes() -> Vec<Route> {
    let read = Route::post(Scope::Read, "/get-online-features", read, "Feast's protocol of online reads")
        .body(reference("FeastRequest"))
        .example(json!({"features": ["slot_demand:*"], "entities": {"slot": [5, 6]}}))
        .reply(reference("FeastReply"))
        .may_be_missing()
        .may_be_unprocessable();
    vec![read]
}

const MEMBERS: [&str; 5] = [
    "features",
    "feature_service",
    "entities",
    "full_feature_names",
    "include_feature_view_version_metadata",
];

/// The values of every entity, by column.
type Given = BTreeMap<String, Vec<Value>>;

#[derive(Serialize)]
struct Reply {
    metadata: Metadata,
    /// The entity's columns, then the features, in the order of the metadata.
    results: Vec<Column>,
    status: bool,
}

#[derive(Serialize)]
struct Metadata {
    feature_names: Vec<String>,
}

#[derive(Serialize)]
struct Column {
    values: Vec<Value>,
    statuses: Vec<&'static str>,
    event_timestamps: Vec<Timestamp>,
}

async fn read(State(app): State<Arc<App>>, Body(body): Body) -> Result<Json<Reply>, Problem> {
    let what = "a request for online features";
    let mut members = members(body::json(&body)?, what, &MEMBERS)?;
    let full_names = flag(&mut members, "full_feature_names")?;
    // Versions of views are hashes here; the numbers that Feast would list do not exist.
    flag(&mut members, "include_feature_view_version_metadata")?;
    let service = take_text(&mut members, what, "feature_service", &text::NAME)?;
    let features = members.remove("features").filter(|features| !features.is_null());
    let features = features.map(|features| texts(features, "features")).transpose()?;
    let given = take(&mut members, what, "entities")?;
    let selection = match (service, features) {
        (Some(model), _) => app.gateway.select_for_model(&model)?,
        (None, Some(features)) => select(&app, &features)?,
        (None, None) => {
            return Err(Problem::unprocessable(
                "give \"features\" or a \"feature_service\", which is a model",
            ));
        }
    };
    let names = names(&selection, full_names)?;
    let (columns, entities) = entities(&selection, given)?;
    let now = app.orchestrator.now();
    let (readings, _) = app.gateway.read(&selection, &entities, now)?;
    let keys = columns.values().map(|values| Column::given(values, now));
    let features = (0..names.len()).map(|feature| Column::read(&readings, feature));
    Ok(Json(Reply {
        results: keys.chain(features).collect(),
        metadata: Metadata { feature_names: columns.keys().cloned().chain(names).collect() },
        status: true,
    }))
}

fn flag(members: &mut Map<String, Value>, name: &str) -> Result<bool, Problem> {
    match members.remove(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(flag),
        Some(_) => Err(Problem::invalid(format!("{name:?} is true or false"))),
    }
}

fn select(app: &App, references: &[String]) -> Result<Selection, Problem> {
    let names: Vec<String> = references.iter().map(|reference| reference.replacen(':', ".", 1)).collect();
    Ok(app.gateway.select(names.iter().map(String::as_str))?)
}

/// The names of the features: `feature`, or `view__feature` in full.
fn names(selection: &Selection, full: bool) -> Result<Vec<String>, Problem> {
    let mut names: Vec<String> = Vec::new();
    for name in selection.names() {
        let (view, feature) = name.split_once('.').unwrap_or(("", name));
        let name = if full { format!("{view}__{feature}") } else { feature.to_owned() };
        if names.contains(&name) {
            let help = "ask with \"full_feature_names\": true";
            return Err(Problem::unprocessable(format!("two of the features are called {name:?}; {help}")));
        }
        names.push(name);
    }
    Ok(names)
}

/// The entities' columns as they were given, and as rows of the selection's columns.
fn entities(selection: &Selection, json: Value) -> Result<(Given, Vec<Row>), Problem> {
    let columns: Given = serde_json::from_value(json).map_err(|_| {
        Problem::invalid("\"entities\" is an object that has an array of values for each entity column")
    })?;
    let count = columns.values().map(Vec::len).max().unwrap_or(0);
    if let Some((name, values)) = columns.iter().find(|(_, values)| values.len() < count) {
        let problem = format!("entity column {name:?} has {} values, another has {count}", values.len());
        return Err(Problem::unprocessable(problem));
    }
    check_count(count)?;
    let mut rows = Vec::with_capacity(count);
    for row in 0..count {
        let entity = columns.iter().map(|(name, values)| (name.clone(), values[row].clone()));
        let decoded = selection.entity().decode_json(&Value::Object(entity.collect()));
        rows.push(decoded.map_err(|error| Problem::unprocessable(format!("entity {}: {error}", row + 1)))?);
    }
    Ok((columns, rows))
}

impl Column {
    /// A column of the entities themselves.
    fn given(values: &[Value], now: Timestamp) -> Self {
        let count = values.len();
        Self { values: values.to_vec(), statuses: vec!["PRESENT"; count], event_timestamps: vec![now; count] }
    }

    /// A feature.
    fn read(readings: &[EntityReading], feature: usize) -> Self {
        let values = readings.iter().map(|reading| &reading.values[feature]);
        Self {
            values: values.clone().map(perennial_types::Value::to_json).collect(),
            statuses: values.map(|value| if value.null() { "NULL_VALUE" } else { "PRESENT" }).collect(),
            event_timestamps: readings
                .iter()
                .map(|reading| reading.latest.unwrap_or(Timestamp::from_micros(0)))
                .collect(),
        }
    }
}
