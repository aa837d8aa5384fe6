//! Events of the declared sources.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use perennial_pipeline::RefusedRow;
use perennial_types::Position;
use serde::Serialize;
use serde_json::json;

use crate::App;
use crate::body::Body;
use crate::parameters::{AT, Params};
use crate::problem::{Path, Problem};
use crate::route::{Route, Scope};
use crate::schemas::{reference, row, rows};

pub(super) fn routes() -> Vec<Route> {
    let send = Route::post(
        Scope::Write,
        "/v1/events/{source}",
        send,
        "Send rows of a source: an object, an array, or an object a line",
    )
    .query(&[AT])
    .body(rows())
    .or_lines(row())
    .reply(reference("EventReceipt"))
    .example(json!({"event_id": "e1", "hour": "2026-01-31T05:00:00Z", "slot": 5, "cnt": 118}))
    .may_be_missing()
    .may_conflict()
    .may_be_unprocessable()
    .may_be_full();
    vec![send]
}

/// What became of rows.
#[derive(Serialize)]
struct Receipt {
    accepted: u64,
    duplicates: u64,
    refused: Vec<RefusedRow>,
    position: Position,
}

async fn send(
    State(app): State<Arc<App>>,
    Path(source): Path<String>,
    params: Params,
    Body(body): Body,
) -> Result<Json<Receipt>, Problem> {
    if body.trim_ascii().is_empty() {
        return Err(Problem::invalid("the body is empty; send a JSON object, an array or an object a line"));
    }
    app.check_source(&source)?;
    let queued = {
        let admitted = app.sequencer.admit(params.at()?).await?;
        app.pipeline().ingest(&source, &body, admitted.at())?
    };
    let rows = queued.acknowledged().await?;
    app.metrics.ingested(&source, &rows);
    if rows.accepted + rows.duplicates == 0 && !rows.refused.is_empty() {
        let detail = format!("all {} rows were refused; they are kept as dead letters", rows.refused.len());
        return Err(Problem::unprocessable(detail).with("refused", rows.refused));
    }
    let position = rows.position.unwrap_or_else(|| app.pipeline().head());
    Ok(Json(Receipt {
        accepted: rows.accepted,
        duplicates: rows.duplicates,
        refused: rows.refused,
        position,
    }))
}
