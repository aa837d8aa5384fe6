//! Reports: what was written, and its files.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use perennial_control::{Reported, Scope};
use perennial_store::Report;
use perennial_types::Kind;

use crate::App;
use crate::body::{Body, json, members, take_text};
use crate::parameters::{AT, Form, PAGE_SIZE, PAGE_TOKEN, Param, Params};
use crate::problem::{Path, Problem};
use crate::route::Route;
use crate::routes::page::{Listed, listed};
use crate::schemas::{page_of, plain_text, reference};
use crate::text;

const ENDPOINT: Param =
    Param { name: "endpoint", about: "About this endpoint only.", form: Form::Text(&text::NAME) };

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/reports", list, "Reports, newest first")
            .query(&[ENDPOINT, PAGE_SIZE, PAGE_TOKEN])
            .reply(page_of("Report"))
            .may_be_missing(),
        Route::get("/v1/reports/{report}", one, "A report: its window, what it says, its files")
            .reply(reference("Report"))
            .may_be_missing(),
        Route::get(
            "/v1/reports/{report}/{format}",
            file,
            "A file of a report, as `html`, `json` or `markdown`",
        )
        .reply_as("*/*", plain_text())
        .may_be_missing()
        .page(),
        Route::post(Scope::Admin, "/v1/reports", write, "Write a declared report now")
            .query(&[AT])
            .body(reference("ReportRequest"))
            .reply(reference("Report"))
            .may_be_missing()
            .may_conflict(),
    ]
}

async fn list(State(app): State<Arc<App>>, params: Params) -> Result<Json<Listed<Report>>, Problem> {
    let page = params.page()?;
    let endpoint = params.text(&ENDPOINT);
    let reports = app.lineage().await?.reports(endpoint, &page).await?;
    if let (true, Some(endpoint)) = (reports.items.is_empty(), endpoint) {
        app.check_endpoint(endpoint)?;
    }
    Ok(listed(reports, |report| report))
}

async fn write(
    State(app): State<Arc<App>>,
    params: Params,
    Body(body): Body,
) -> Result<Json<Report>, Problem> {
    let what = "a report";
    let name = take_text(&mut members(json(&body)?, what, &["report"])?, what, "report", &text::NAME)?;
    let name = name.ok_or_else(|| Problem::invalid("name the declared report as {\"report\": \"…\"}"))?;
    let clock =
        app.orchestrator.clock_kind().ok_or_else(|| Problem::not_found("no project is applied yet"))?;
    // Admission moves the event clock on, so that a report that nobody declared is refused before it.
    app.check_report(&name)?;
    let admitted = app.sequencer.admit_change(params.at()?, clock).await?;
    let Reported { request, .. } = app.orchestrator.write_report(&name, admitted.at()).await?;
    drop(admitted);
    Ok(Json(app.lineage().await?.report(&request.id).await?))
}

async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Report>, Problem> {
    Ok(Json(app.lineage().await?.report(&id).await?))
}

async fn file(
    State(app): State<Arc<App>>,
    Path((id, format)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let report = app.lineage().await?.report(&id).await?;
    let Some(file) = report.files.iter().find(|file| file.format == format) else {
        let written: Vec<&str> = report.files.iter().map(|file| file.format.as_str()).collect();
        let detail = format!("report {id:?} was not written as {format:?}, but as {}", written.join(", "));
        return Err(Problem::not_found(detail));
    };
    let blobs = app.pipeline().blobs().clone();
    let blob = file.blob;
    let bytes = tokio::task::spawn_blocking(move || blobs.get(&blob)).await;
    let bytes = bytes.map_err(|error| Problem::of(Kind::Internal, &error))??;
    let media_type = match file.format.as_str() {
        "html" => "text/html; charset=utf-8",
        "json" => "application/json",
        _ => "text/markdown; charset=utf-8",
    };
    // A report is text of its own making, and asks for nothing from anywhere.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";
    let headers =
        [(CONTENT_TYPE, media_type), (X_CONTENT_TYPE_OPTIONS, "nosniff"), (CONTENT_SECURITY_POLICY, policy)];
    Ok((headers, bytes).into_response())
}
