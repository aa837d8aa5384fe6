//! The Open Inference Protocol, version 2, over HTTP with JSON tensors: an endpoint is a model of it.

mod tensor;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use perennial_gateway::{GatewayError, Reply};
use perennial_pipeline::Fallback;
use perennial_types::{Position, Schema, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value, json};

use self::tensor::{Column, Outputs, columns, rows};
use crate::App;
use crate::body::{self, Body, members, take, take_id, take_object};
use crate::parameters::{AT, Params};
use crate::problem::{Path, Problem};
use crate::route::{Route, Scope};
use crate::schemas::reference;

/// Sent with a body whose tensors follow the JSON as bytes.
const BINARY: &str = "inference-header-content-length";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v2", server, "The service and its extensions of the protocol")
            .reply(reference("InferenceServer")),
        Route::get("/v2/health/live", live, "Whether the service runs").open().reply(reference("Live")),
        Route::get("/v2/health/ready", ready, "Whether the service answers requests")
            .open()
            .reply(reference("Ready")),
        Route::get("/v2/models/{endpoint}", model, "The tensors that an endpoint takes and gives")
            .reply(reference("InferenceModel"))
            .may_be_missing(),
        Route::get("/v2/models/{endpoint}/ready", model_ready, "Whether an endpoint answers requests")
            .reply(reference("ModelReady"))
            .may_be_missing(),
        Route::post(
            Scope::Predict,
            "/v2/models/{endpoint}/infer",
            infer,
            "Ask an endpoint, one prediction a row of the tensors",
        )
        .query(&[AT])
        .body(reference("InferenceRequest"))
        .reply(reference("InferenceResponse"))
        .example(json!({"inputs": [
            {"name": "slot", "datatype": "INT64", "shape": [2], "data": [5, 6]},
            {"name": "temp", "datatype": "FP64", "shape": [2], "data": [0.3, 0.25]},
        ]}))
        .may_be_missing()
        .may_conflict()
        .may_be_unprocessable()
        .may_be_full(),
    ]
}

#[derive(Serialize)]
struct Server {
    name: &'static str,
    version: &'static str,
    extensions: [&'static str; 0],
}

#[derive(Serialize)]
struct Live {
    live: bool,
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
}

#[derive(Serialize)]
struct ModelReady {
    name: String,
    ready: bool,
}

/// What an endpoint takes and gives.
#[derive(Serialize)]
struct Metadata {
    name: String,
    versions: Vec<String>,
    platform: &'static str,
    inputs: Vec<Column>,
    outputs: Vec<Column>,
}

/// The answers, in the order of the rows.
#[derive(Serialize)]
struct Response {
    model_name: String,
    /// The version that gave every answer; left out if they are not all of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    model_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    parameters: PerRow,
    outputs: [Outputs; 1],
}

/// What is known of each row's answer.
#[derive(Serialize)]
struct PerRow {
    prediction_ids: Vec<Arc<str>>,
    model: Vec<Option<Arc<str>>>,
    version: Vec<Option<u64>>,
    fallback: Vec<Option<Fallback>>,
    experiment: Vec<Option<Arc<str>>>,
    epoch: Vec<Option<Timestamp>>,
    drawn: Vec<Option<String>>,
    propensity: Vec<f64>,
    position: Vec<Position>,
}

async fn server() -> Json<Server> {
    Json(Server { name: "perennial", version: env!("CARGO_PKG_VERSION"), extensions: [] })
}

async fn live() -> Json<Live> {
    Json(Live { live: true })
}

async fn ready(State(app): State<Arc<App>>) -> Result<Json<Ready>, Problem> {
    // Every log has gone beyond its start, so that this waits for nothing and fails if the pipeline has.
    app.pipeline().applied_through(Position::START).await?;
    Ok(Json(Ready { ready: true }))
}

async fn model(State(app): State<Arc<App>>, Path(endpoint): Path<String>) -> Result<Json<Metadata>, Problem> {
    let schema = app.gateway.request_schema(&endpoint)?;
    let serving = app.gateway.serving(&endpoint)?;
    Ok(Json(Metadata {
        name: endpoint,
        versions: serving.iter().map(|version| version.number.to_string()).collect(),
        platform: "perennial",
        inputs: columns(&schema),
        outputs: vec![Column::prediction()],
    }))
}

async fn model_ready(
    State(app): State<Arc<App>>,
    Path(endpoint): Path<String>,
) -> Result<Json<ModelReady>, Problem> {
    app.check_endpoint(&endpoint)?;
    // Before its first version an endpoint answers its default.
    Ok(Json(ModelReady { name: endpoint, ready: true }))
}

async fn infer(
    State(app): State<Arc<App>>,
    Path(endpoint): Path<String>,
    params: Params,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Json<Response>, Problem> {
    if headers.contains_key(BINARY) {
        return Err(Problem::invalid(
            "binary tensors are not supported yet; send them as JSON (in tritonclient: \
             set_data_from_numpy(…, binary_data=False))",
        ));
    }
    let schema = app.gateway.request_schema(&endpoint)?;
    let (id, rows) = read(&body, &schema)?;
    let queued = {
        let admitted = app.sequencer.admit(params.at()?).await?;
        let ask = |(row, request): (usize, &Value)| {
            let id = id.as_ref().map(|id| if rows.len() == 1 { id.clone() } else { format!("{id}/{row}") });
            app.gateway.predict(&endpoint, id.as_deref(), request, admitted.at())
        };
        rows.iter().enumerate().map(ask).collect::<Result<Vec<_>, _>>()?
    };
    let mut replies = Vec::with_capacity(queued.len());
    for one in queued {
        let repeated = one.repeated();
        let reply = one.answered().await?;
        if !repeated {
            app.metrics.predicted(&endpoint, reply.fallback);
        }
        replies.push(reply);
    }
    Ok(Json(response(endpoint, id, replies)))
}

/// The id, if one was given, and a request for each row.
fn read(bytes: &[u8], schema: &Schema) -> Result<(Option<String>, Vec<Value>), Problem> {
    let what = "an inference request";
    let mut body = members(body::json(bytes)?, what, &["id", "parameters", "inputs", "outputs"])?;
    let id = take_id(&mut body, what, "id")?;
    take_object(&mut body, what, "parameters")?;
    check_outputs(body.remove("outputs"))?;
    let rows = rows(take(&mut body, what, "inputs")?, schema)?;
    for (row, request) in rows.iter().enumerate() {
        schema.decode_json(request).map_err(|error| match rows.len() {
            1 => Problem::from(GatewayError::Request(error)),
            _ => Problem::unprocessable(format!("row {row}: {error}")),
        })?;
    }
    Ok((id, rows))
}

/// Only the prediction can be asked for.
fn check_outputs(outputs: Option<Value>) -> Result<(), Problem> {
    let outputs = match outputs {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Array(outputs)) => outputs,
        Some(_) => return Err(Problem::invalid("\"outputs\" is an array of {\"name\": \"prediction\"}")),
    };
    for output in outputs {
        let name = output.as_object().and_then(|output: &Map<String, Value>| output.get("name"));
        if name.and_then(Value::as_str) != Some(tensor::PREDICTION) {
            let found = name.unwrap_or(&Value::Null);
            return Err(Problem::invalid(format!(
                "there is no output {found}; the only one is \"prediction\""
            )));
        }
    }
    Ok(())
}

fn response(endpoint: String, id: Option<String>, replies: Vec<Reply>) -> Response {
    let served =
        |reply: &Reply| reply.served.as_ref().map(|version| (Arc::clone(&version.model), version.number));
    let first = replies.first().and_then(served);
    let one = replies.iter().all(|reply| served(reply) == first);
    let version = |reply: &Reply| reply.served.as_ref().map(|version| version.number);
    let parameters = PerRow {
        prediction_ids: replies.iter().map(|reply| Arc::clone(&reply.id)).collect(),
        model: replies.iter().map(|reply| served(reply).map(|(model, _)| model)).collect(),
        version: replies.iter().map(version).collect(),
        fallback: replies.iter().map(|reply| reply.fallback).collect(),
        experiment: replies.iter().map(|reply| reply.experiment.clone()).collect(),
        epoch: replies.iter().map(|reply| reply.epoch).collect(),
        drawn: replies.iter().map(|reply| reply.drawn.as_ref().map(ToString::to_string)).collect(),
        propensity: replies.iter().map(|reply| reply.propensity).collect(),
        position: replies.iter().map(|reply| reply.position).collect(),
    };
    Response {
        model_name: endpoint,
        model_version: first.filter(|_| one).map(|(_, number)| number.to_string()),
        id: id.or_else(|| replies.first().filter(|_| replies.len() == 1).map(|reply| reply.id.to_string())),
        parameters,
        outputs: [Outputs::of(replies.iter().map(|reply| reply.prediction).collect())],
    }
}
