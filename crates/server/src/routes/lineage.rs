//! Where a version comes from, what came of it, and why it exists.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use perennial_store::{Dataset, Decision, Deployment, Relatives, Run, Version, Walk, Why};
use serde::Serialize;

use crate::App;
use crate::parameters::{Form, PAGE_SIZE, PAGE_TOKEN, Param, Params};
use crate::problem::{Path, Problem};
use crate::route::Route;
use crate::routes::models::{VersionReply, named};
use crate::routes::page::Listed;
use crate::schemas::{reference, relatives};

const DEPTH: Param = Param {
    name: "depth",
    about: "How many generations to go at most from where the page before ended (default 100).",
    form: Form::Whole { least: 1, most: 1_000 },
};

pub(super) fn routes() -> Vec<Route> {
    let query = [DEPTH, PAGE_SIZE, PAGE_TOKEN];
    vec![
        Route::get(
            "/v1/models/{model}/versions/{version}/ancestors",
            ancestors,
            "What a version came from, nearest first",
        )
        .query(&query)
        .reply(relatives())
        .may_be_missing()
        .may_be_unprocessable(),
        Route::get(
            "/v1/models/{model}/versions/{version}/descendants",
            descendants,
            "What came from a version, nearest first",
        )
        .query(&query)
        .reply(relatives())
        .may_be_missing()
        .may_be_unprocessable(),
        Route::get("/v1/models/{model}/versions/{version}/why", why, "Why a version exists")
            .reply(reference("Why"))
            .may_be_missing()
            .may_be_unprocessable(),
    ]
}

/// The answer in words, and everything it rests on.
#[derive(Serialize)]
struct WhyReply {
    sentence: String,
    evidence: Evidence,
}

#[derive(Serialize)]
struct Evidence {
    version: Version,
    run: Run,
    decision: Decision,
    dataset: Dataset,
    deployments: Vec<Deployment>,
}

async fn ancestors(
    State(app): State<Arc<App>>,
    Path((model, version)): Path<(String, String)>,
    params: Params,
) -> Result<Json<Listed<VersionReply>>, Problem> {
    let walk = walk(&params)?;
    let store = app.lineage().await?;
    let version = named(&app, store, &model, &version).await?;
    Ok(shown(store.ancestors(&version.id, &walk).await?))
}

async fn descendants(
    State(app): State<Arc<App>>,
    Path((model, version)): Path<(String, String)>,
    params: Params,
) -> Result<Json<Listed<VersionReply>>, Problem> {
    let walk = walk(&params)?;
    let store = app.lineage().await?;
    let version = named(&app, store, &model, &version).await?;
    Ok(shown(store.descendants(&version.id, &walk).await?))
}

fn walk(params: &Params) -> Result<Walk, Problem> {
    let depth = params.whole(&DEPTH)?.unwrap_or_else(|| Walk::default().depth);
    Ok(Walk { depth, page: params.page()? })
}

fn shown(relatives: Relatives) -> Json<Listed<VersionReply>> {
    let Relatives { items, truncated, next } = relatives;
    let items = items.into_iter().map(|relative| VersionReply::at_depth(relative.version, relative.depth));
    Json(Listed { items: items.collect(), truncated: Some(truncated), next_page_token: next })
}

async fn why(
    State(app): State<Arc<App>>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Json<WhyReply>, Problem> {
    let store = app.lineage().await?;
    let version = named(&app, store, &model, &version).await?;
    let Why { sentence, version, run, decision, dataset, deployments } = store.why(&version.id).await?;
    let evidence = Evidence { version, run, decision, dataset, deployments };
    Ok(Json(WhyReply { sentence, evidence }))
}
