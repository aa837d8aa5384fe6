//! Features of one entity.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use perennial_features::View;
use perennial_types::{ContentHash, Position, Timestamp, did_you_mean};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::App;
use crate::parameters::{Form, Param, Params};
use crate::problem::{Path, Problem};
use crate::route::Route;
use crate::schemas::reference;

/// Reading does not move time on.
const AS_OF: Param =
    Param { name: "at", about: "The instant whose windows are read; left out: now.", form: Form::Instant };

pub(super) fn routes() -> Vec<Route> {
    let read = Route::get("/v1/features/{view}", read, "The features of one entity")
        .query(&[AS_OF])
        .other_query("The entity: each of the view's entity columns with its value.")
        .reply(reference("Features"))
        .may_be_missing();
    vec![read]
}

/// What a view says of an entity.
#[derive(Serialize)]
struct Features {
    view: Arc<str>,
    version: ContentHash,
    entity: Value,
    at: Timestamp,
    /// Events up to here were seen.
    position: Position,
    /// By full name, those that are NULL included.
    features: Map<String, Value>,
}

async fn read(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Json<Features>, Problem> {
    let view = declared(&app, &name)?;
    let entity = entity(&view, params.pairs())?;
    let at = params.instant(&AS_OF)?.unwrap_or_else(|| app.orchestrator.now());
    let (view, reading) = app.gateway.features(&name, &entity, at)?;
    let names = view.outputs().columns().iter().map(|column| column.name.to_string());
    let features = names.zip(reading.values.iter().map(perennial_types::Value::to_json)).collect();
    let (name, version) = (Arc::clone(&view.spec().name), view.version());
    Ok(Json(Features { view: name, version, entity, at, position: reading.seen, features }))
}

fn declared(app: &App, name: &str) -> Result<Arc<View>, Problem> {
    let declared = app.pipeline().declared();
    let views = declared.goal().map(|goal| goal.compiled.views.as_slice()).unwrap_or_default();
    match views.iter().find(|view| &*view.spec().name == name) {
        Some(view) => Ok(Arc::clone(view)),
        None => {
            let help = did_you_mean(name, views.iter().map(|view| &*view.spec().name));
            Err(Problem::not_found(format!("no feature view {name:?}{help}")))
        }
    }
}

/// The entity key as JSON: each column with the value of its type.
fn entity(view: &View, pairs: &[(String, String)]) -> Result<Value, Problem> {
    let columns = view.entity();
    for (name, _) in pairs.iter().filter(|(name, _)| name != AS_OF.name) {
        if columns.iter().all(|column| *column.name != **name) {
            let help = did_you_mean(name, columns.iter().map(|column| &*column.name));
            let view = &view.spec().name;
            return Err(Problem::invalid(format!("view {view:?} has no entity column {name:?}{help}")));
        }
    }
    let mut entity = Map::new();
    for column in columns {
        let Some((_, text)) = pairs.iter().find(|(name, _)| **name == *column.name) else {
            let (view, column) = (&view.spec().name, &column.name);
            return Err(Problem::invalid(format!(
                "entity column {column:?} of view {view:?} is missing; give it as ?{column}=…"
            )));
        };
        let value = column.decode_text(text).map_err(|error| Problem::invalid(error.to_string()))?;
        entity.insert(column.name.to_string(), value.to_json());
    }
    Ok(Value::Object(entity))
}
