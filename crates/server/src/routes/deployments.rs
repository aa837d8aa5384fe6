//! What serves and served at endpoints.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use perennial_store::{ArmRole, Deployment, Served};
use perennial_types::{Timestamp, did_you_mean};
use serde::Serialize;

use crate::App;
use crate::parameters::{Form, PAGE_SIZE, PAGE_TOKEN, Param, Params};
use crate::problem::{Path, Problem};
use crate::route::Route;
use crate::routes::models::number_of;
use crate::routes::page::{Listed, listed, whole};
use crate::schemas::page_of;
use crate::text;

const SERVED_AT: Param =
    Param { name: "at", about: "The instant that is asked about; left out: now.", form: Form::Instant };

pub(super) const ENDPOINT: Param = Param {
    name: "endpoint",
    about: "The endpoint; may be left out where there is only one.",
    form: Form::Text(&text::NAME),
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/endpoints/{endpoint}/served", served, "What answered at an endpoint at an instant")
            .query(&[SERVED_AT])
            .reply(page_of("ServedShare"))
            .may_be_missing(),
        Route::get(
            "/v1/deployments",
            deployments,
            "The changes of current versions at an endpoint, newest first",
        )
        .query(&[ENDPOINT, PAGE_SIZE, PAGE_TOKEN])
        .reply(page_of("Deployment"))
        .may_be_missing()
        .may_be_unprocessable(),
    ]
}

/// A share of an endpoint's requests.
#[derive(Serialize)]
struct ServedShare {
    model: String,
    version: Option<u64>,
    id: String,
    role: ArmRole,
    share: f64,
    since: Timestamp,
    until: Option<Timestamp>,
    reason: String,
}

impl ServedShare {
    fn of(served: Served) -> Self {
        let Served { model, version: id, role, share, since, until, reason } = served;
        Self { model, version: number_of(&id), id, role, share, since, until, reason }
    }
}

async fn served(
    State(app): State<Arc<App>>,
    Path(endpoint): Path<String>,
    params: Params,
) -> Result<Json<Listed<ServedShare>>, Problem> {
    let at = params.instant(&SERVED_AT)?.unwrap_or_else(|| app.orchestrator.now());
    let served = app.lineage().await?.served(&endpoint, at).await?;
    if served.is_empty() {
        // An endpoint that is retired served once, one that was never declared did not.
        app.check_endpoint(&endpoint)?;
    }
    Ok(whole(served.into_iter().map(ServedShare::of).collect()))
}

async fn deployments(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Json<Listed<Deployment>>, Problem> {
    let page = params.page()?;
    let endpoint = match params.text(&ENDPOINT) {
        Some(given) => given.to_owned(),
        None => only_endpoint(&app)?,
    };
    let deployments = app.lineage().await?.deployments(&endpoint, &page).await?;
    if deployments.items.is_empty() {
        app.check_endpoint(&endpoint)?;
    }
    Ok(listed(deployments, |deployment| deployment))
}

pub(super) fn only_endpoint(app: &App) -> Result<String, Problem> {
    let endpoints = app.gateway.endpoints();
    match endpoints.as_slice() {
        [only] => Ok(only.to_string()),
        [] => Err(Problem::not_found("no endpoint is declared yet")),
        _ => {
            let help = did_you_mean("", endpoints.iter().map(AsRef::as_ref));
            Err(Problem::unprocessable(format!("name one as the query parameter \"endpoint\"{help}")))
        }
    }
}
