//! Predictions, in plain JSON.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use perennial_gateway::{GatewayError, Reply};
use perennial_pipeline::Fallback;
use perennial_types::{ContentHash, Position, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use crate::App;
use crate::body::{self, Body, members, take, take_id};
use crate::parameters::{AT, Params};
use crate::problem::{Path, Problem};
use crate::route::{Route, Scope};
use crate::schemas::reference;

pub(super) fn routes() -> Vec<Route> {
    let predict = Route::post(
        Scope::Predict,
        "/v1/predict/{endpoint}",
        predict,
        "Ask an endpoint; the same id gets the same answer",
    )
    .query(&[AT])
    .body(reference("PredictionRequest"))
    .reply(reference("Prediction"))
    .example(json!({"id": "p1", "request": {"slot": 5, "temp": 0.3}}))
    .may_be_missing()
    .may_conflict()
    .may_be_unprocessable()
    .may_be_full();
    vec![predict]
}

/// The answer, and who gave it.
#[derive(Serialize)]
struct Prediction {
    id: Arc<str>,
    prediction: f64,
    model: Option<Arc<str>>,
    version: Option<u64>,
    content_hash: Option<ContentHash>,
    fallback: Option<Fallback>,
    experiment: Option<Arc<str>>,
    epoch: Option<Timestamp>,
    drawn: Option<String>,
    propensity: f64,
    position: Position,
}

impl Prediction {
    fn of(reply: Reply) -> Self {
        let Reply { id, prediction, served, fallback, experiment, epoch, drawn, propensity, position } =
            reply;
        let (version, content_hash) = served.as_ref().map(|one| (one.number, one.content_hash)).unzip();
        let model = served.map(|one| one.model);
        let drawn = drawn.map(|version| version.to_string());
        Self {
            id,
            prediction,
            model,
            version,
            content_hash,
            fallback,
            experiment,
            epoch,
            drawn,
            propensity,
            position,
        }
    }
}

async fn predict(
    State(app): State<Arc<App>>,
    Path(endpoint): Path<String>,
    params: Params,
    Body(body): Body,
) -> Result<Json<Prediction>, Problem> {
    let (id, request) = read(&body)?;
    // Under the event clock admission moves time on, so that what cannot be answered is refused before it.
    app.gateway.request_schema(&endpoint)?.decode_json(&request).map_err(GatewayError::Request)?;
    let queued = {
        let admitted = app.sequencer.admit(params.at()?).await?;
        app.gateway.predict(&endpoint, id.as_deref(), &request, admitted.at())?
    };
    let repeated = queued.repeated();
    let reply = queued.answered().await?;
    tracing::debug!(endpoint, id = %reply.id, position = %reply.position, "answered prediction {}", reply.id);
    if !repeated {
        app.metrics.predicted(&endpoint, reply.fallback);
    }
    Ok(Json(Prediction::of(reply)))
}

/// The id, if one was given, and the request.
fn read(bytes: &[u8]) -> Result<(Option<String>, Value), Problem> {
    let what = "a prediction request";
    let mut body = members(body::json(bytes)?, what, &["id", "request"])?;
    let id = take_id(&mut body, what, "id")?;
    Ok((id, take(&mut body, what, "request")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_may_be_left_out_and_a_request_may_not() {
        assert_eq!(read(br#"{"request":{"a":1}}"#).unwrap(), (None, serde_json::json!({"a": 1})));
        assert_eq!(read(br#"{"id":"x","request":{}}"#).unwrap().0.as_deref(), Some("x"));
        let message = read(br#"{"id":"x"}"#).unwrap_err();
        assert_eq!(message.detail(), "a prediction request lacks the member \"request\"");
        let message = read(br#"{"id":"x","requests":{}}"#).unwrap_err();
        assert_eq!(
            message.detail(),
            "a prediction request has no member \"requests\"; did you mean \"request\"?"
        );
    }
}
