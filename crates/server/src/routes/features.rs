//! Features of entities, as they are at an instant.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use perennial_features::View;
use perennial_gateway::{EntityReading, Selection, ViewReading};
use perennial_types::{ContentHash, Position, Row, Timestamp, did_you_mean};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::App;
use crate::body::{self, Body, members, take, take_text};
use crate::parameters::{Form, Param, Params};
use crate::problem::{Path, Problem};
use crate::route::{Route, Scope};
use crate::schemas::reference;
use crate::text;

pub(super) mod feast;

/// Reading does not move time on.
const AS_OF: Param =
    Param { name: "at", about: "The instant whose windows are read; left out: now.", form: Form::Instant };

/// The most entities that are read by one request.
pub(crate) const MOST_ENTITIES: usize = 10_000;

pub(super) fn routes() -> Vec<Route> {
    let one = Route::get("/v1/features/{view}", read, "The features of one entity")
        .query(&[AS_OF])
        .other_query("The entity: each of the view's entity columns with its value.")
        .reply(reference("Features"))
        .may_be_missing()
        .may_be_unprocessable();
    let many = Route::post(Scope::Read, "/v1/features", read_many, "Features of many entities, of any views")
        .body(reference("FeaturesRequest"))
        .example(json!({"features": ["slot_demand.*"], "entities": [{"slot": 5}, {"slot": 6}]}))
        .reply(reference("FeatureRows"))
        .may_be_missing()
        .may_be_unprocessable();
    vec![one, many]
}

/// What a view says of an entity.
#[derive(Serialize)]
struct Features<'a> {
    view: &'a str,
    version: ContentHash,
    entity: Value,
    at: Timestamp,
    /// Events up to here were seen.
    position: Position,
    latest: Option<Timestamp>,
    late_events: u64,
    /// By full name, those that are NULL included.
    features: Named<'a>,
}

/// Values by the full names of their features.
struct Named<'a> {
    selection: &'a Selection,
    values: &'a [perennial_types::Value],
}

impl Serialize for Named<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let values = self.values.iter().map(perennial_types::Value::as_json);
        serializer.collect_map(self.selection.names().zip(values))
    }
}

async fn read(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, Problem> {
    let selection = app.gateway.select([format!("{name}.*").as_str()])?;
    let entity = entity(&selection, &name, params.pairs())?;
    let at = params.instant(&AS_OF)?.unwrap_or_else(|| app.orchestrator.now());
    let json = selection.entity().encode_json(&entity);
    let (readings, views) = app.gateway.read(&selection, &[entity], at)?;
    let (Some(reading), Some(view)) = (readings.first(), views.first()) else {
        return Err(Problem::not_found(format!("no feature view {name:?}")));
    };
    Ok(body::reply(&Features {
        view: &view.view.spec().name,
        version: view.view.version(),
        entity: json,
        at,
        position: view.seen,
        latest: reading.latest,
        late_events: view.late_events,
        features: Named { selection: &selection, values: &reading.values },
    }))
}

/// The entity of a query.
fn entity(selection: &Selection, view: &str, pairs: &[(String, String)]) -> Result<Row, Problem> {
    let columns = selection.entity().columns();
    for (name, _) in pairs.iter().filter(|(name, _)| name != AS_OF.name) {
        if columns.iter().all(|column| *column.name != **name) {
            let help = did_you_mean(name, columns.iter().map(|column| &*column.name));
            return Err(Problem::unprocessable(format!("view {view:?} has no entity column {name:?}{help}")));
        }
    }
    let mut entity = Row::with_capacity(columns.len());
    for column in columns {
        let Some((_, text)) = pairs.iter().find(|(name, _)| **name == *column.name) else {
            let column = &column.name;
            return Err(Problem::unprocessable(format!(
                "entity column {column:?} of view {view:?} is missing; give it as ?{column}=…"
            )));
        };
        entity.push(column.decode_text(text).map_err(|error| Problem::unprocessable(error.to_string()))?);
    }
    Ok(entity)
}

/// Values of many entities: the names once, then a row for each entity in the order of the request.
#[derive(Serialize)]
struct FeatureRows<'a> {
    at: Timestamp,
    features: Vec<&'a str>,
    rows: Vec<FeatureRow<'a>>,
    /// By name.
    views: BTreeMap<Arc<str>, ViewStatus>,
}

#[derive(Serialize)]
struct FeatureRow<'a> {
    #[serde(serialize_with = "values_as_json")]
    values: &'a [perennial_types::Value],
    latest: Option<Timestamp>,
}

fn values_as_json<S: Serializer>(
    values: &[perennial_types::Value],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(perennial_types::Value::as_json))
}

/// Up to where a view was read.
#[derive(Serialize)]
struct ViewStatus {
    version: ContentHash,
    position: Position,
    late_events: u64,
}

async fn read_many(State(app): State<Arc<App>>, Body(body): Body) -> Result<Response, Problem> {
    let what = "a request for features";
    let mut members = members(body::json(&body)?, what, &["features", "entities", "at"])?;
    let names = texts(take(&mut members, what, "features")?, "features")?;
    let at = match take_text(&mut members, what, "at", &text::INSTANT)? {
        Some(text) => {
            Timestamp::parse(&text).map_err(|error| Problem::invalid(format!("\"at\": {error}")))?
        }
        None => app.orchestrator.now(),
    };
    let selection = app.gateway.select(names.iter().map(String::as_str))?;
    let Value::Array(entities) = take(&mut members, what, "entities")? else {
        return Err(Problem::invalid("\"entities\" is an array of objects, each an entity by its columns"));
    };
    let entities = decode(&selection, &entities)?;
    let (readings, views) = app.gateway.read(&selection, &entities, at)?;
    Ok(body::reply(&FeatureRows {
        at,
        features: selection.names().map(|name| &**name).collect(),
        rows: readings.iter().map(row).collect(),
        views: views.iter().map(status).collect(),
    }))
}

/// A list of texts.
fn texts(json: Value, name: &str) -> Result<Vec<String>, Problem> {
    serde_json::from_value(json).map_err(|_| Problem::invalid(format!("{name:?} is an array of texts")))
}

/// The entities of a request as rows of the selection's columns.
fn decode(selection: &Selection, entities: &[Value]) -> Result<Vec<Row>, Problem> {
    check_count(entities.len())?;
    let rows = entities.iter().zip(1..).map(|(entity, number)| {
        let row = selection.entity().decode_json(entity);
        row.map_err(|error| Problem::unprocessable(format!("entity {number}: {error}")))
    });
    rows.collect()
}

fn check_count(entities: usize) -> Result<(), Problem> {
    match entities <= MOST_ENTITIES {
        true => Ok(()),
        false => Err(Problem::unprocessable(format!(
            "{entities} entities in one request; read at most {MOST_ENTITIES} at a time"
        ))),
    }
}

fn row(reading: &EntityReading) -> FeatureRow<'_> {
    FeatureRow { values: &reading.values, latest: reading.latest }
}

fn status(reading: &ViewReading) -> (Arc<str>, ViewStatus) {
    let view: &View = &reading.view;
    let status =
        ViewStatus { version: view.version(), position: reading.seen, late_events: reading.late_events };
    (Arc::clone(&view.spec().name), status)
}
