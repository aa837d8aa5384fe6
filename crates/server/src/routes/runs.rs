//! Training runs and what they were trained on.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use perennial_store::{Dataset, Run, RunFilter};
use perennial_types::ContentHash;

use crate::App;
use crate::parameters::{Form, PAGE_SIZE, PAGE_TOKEN, Param, Params};
use crate::problem::{Path, Problem};
use crate::route::Route;
use crate::routes::models::VersionReply;
use crate::routes::page::{Listed, listed};
use crate::schemas::{RUN_STATES, page_of, reference};
use crate::text;

const MODEL: Param = Param { name: "model", about: "Of this model only.", form: Form::Text(&text::NAME) };

const STATE: Param = Param { name: "state", about: "In this state only.", form: Form::OneOf(&RUN_STATES) };

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/runs", list, "Training attempts, newest first")
            .query(&[MODEL, STATE, PAGE_SIZE, PAGE_TOKEN])
            .reply(page_of("Run"))
            .may_be_missing(),
        Route::get("/v1/runs/{run}", one, "One training attempt").reply(reference("Run")).may_be_missing(),
        Route::get("/v1/datasets/{dataset}", dataset, "What runs were trained on")
            .reply(reference("Dataset"))
            .may_be_missing(),
        Route::get(
            "/v1/datasets/{dataset}/versions",
            trained_on,
            "The versions trained on a dataset, newest first",
        )
        .query(&[PAGE_SIZE, PAGE_TOKEN])
        .reply(page_of("Version"))
        .may_be_missing(),
    ]
}

async fn list(State(app): State<Arc<App>>, params: Params) -> Result<Json<Listed<Run>>, Problem> {
    let page = params.page()?;
    let filter = RunFilter { model: params.text(&MODEL).map(str::to_owned), state: params.one_of(&STATE)? };
    if let Some(model) = &filter.model {
        app.check_model(model)?;
    }
    Ok(listed(app.lineage().await?.runs(&filter, &page).await?, |run| run))
}

async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Run>, Problem> {
    Ok(Json(app.lineage().await?.run(&id).await?))
}

async fn dataset(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Dataset>, Problem> {
    let id = hash(&id)?;
    Ok(Json(app.lineage().await?.dataset(&id).await?))
}

async fn trained_on(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Listed<VersionReply>>, Problem> {
    let (id, page) = (hash(&id)?, params.page()?);
    let store = app.lineage().await?;
    store.dataset(&id).await?;
    Ok(listed(store.versions_of_dataset(&id, &page).await?, VersionReply::of))
}

fn hash(text: &str) -> Result<ContentHash, Problem> {
    text.to_ascii_lowercase().parse().map_err(|error: String| Problem::invalid(error))
}
