//! The service about itself: status, metrics, its document.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use perennial_project::ClockKind;
use perennial_types::{Position, Timestamp};
use serde::Serialize;
use utoipa::openapi::OpenApi;

use crate::App;
use crate::metrics::Present;
use crate::openapi;
use crate::route::Route;
use crate::schemas::{any_object, plain_text, reference};

/// The media type of Prometheus' text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/status", status, "Where the service stands").reply(reference("Status")),
        Route::get("/metrics", metrics, "Metrics in the text format of Prometheus")
            .reply_as("text/plain", plain_text()),
        Route::get("/openapi.json", document, "This document")
            .open()
            .reply(any_object("An OpenAPI 3.1 document.")),
    ]
}

/// Where the service stands.
#[derive(Serialize)]
struct Status {
    project: Option<Arc<str>>,
    clock: Option<ClockKind>,
    at: Option<Timestamp>,
    watermark: Option<Timestamp>,
    head: Position,
    projected: Position,
    version: &'static str,
}

async fn status(State(app): State<Arc<App>>) -> Json<Status> {
    let declared = app.pipeline().declared();
    let clock = app.orchestrator.clock_kind();
    Json(Status {
        project: declared.goal().map(|goal| Arc::clone(&goal.project.name)),
        clock,
        at: clock.filter(|clock| *clock == ClockKind::Event).map(|_| app.orchestrator.now()),
        watermark: declared
            .goal()
            .and_then(|goal| app.pipeline().source_times().watermark(&goal.project, app.orchestrator.now())),
        head: app.pipeline().head(),
        projected: app.orchestrator.projected(),
        version: env!("CARGO_PKG_VERSION"),
    })
}

async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let projected = app.orchestrator.projected();
    let sources = app.sources.status();
    app.metrics.read(&sources);
    let at = app.orchestrator.now();
    let state = app.orchestrator.state().lock();
    let present = Present { pipeline: app.pipeline(), sources: &sources, state: &state, projected, at };
    let text = app.metrics.render(&present);
    ([(header::CONTENT_TYPE, PROMETHEUS)], text)
}

async fn document(State(app): State<Arc<App>>) -> Json<OpenApi> {
    Json(openapi::document(app.gate.asks()))
}
