//! How traffic was moved: splits, rollouts, experiments.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use perennial_evaluate::Chosen;
use perennial_store::{Experiment, Rollout, Routing};
use perennial_types::{Timestamp, did_you_mean};
use serde::Serialize;
use serde_json::Value;

use crate::App;
use crate::parameters::{Form, PAGE_SIZE, PAGE_TOKEN, Param, Params};
use crate::problem::{Path, Problem};
use crate::route::Route;
use crate::routes::page::{Listed, listed};
use crate::schemas::{page_of, reference};
use crate::text;

const FROM: Param =
    Param { name: "from", about: "From this instant on; left out: from the beginning.", form: Form::Instant };

const TO: Param =
    Param { name: "to", about: "Before this instant; left out: until now.", form: Form::Instant };

const MODEL: Param = Param { name: "model", about: "Of this model only.", form: Form::Text(&text::NAME) };

const NAME: Param = Param { name: "name", about: "Of this name only.", form: Form::Text(&text::NAME) };

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/v1/endpoints/{endpoint}/traffic",
            traffic,
            "How an endpoint's requests were split over versions, newest first; the last one was in force at `from`",
        )
        .query(&[FROM, TO, PAGE_SIZE, PAGE_TOKEN])
        .reply(page_of("Routing"))
        .may_be_missing(),
        Route::get(
            "/v1/endpoints/{endpoint}/choices",
            choices,
            "How often versions were drawn for an endpoint's requests, against the logged probabilities",
        )
        .reply(reference("Choices"))
        .may_be_missing(),
        Route::get("/v1/rollouts", rollouts, "How candidates reached traffic, or did not, newest first")
            .query(&[MODEL, PAGE_SIZE, PAGE_TOKEN])
            .reply(page_of("Rollout"))
            .may_be_missing(),
        Route::get("/v1/experiments", experiments, "Experiments that began, newest first")
            .query(&[NAME, PAGE_SIZE, PAGE_TOKEN])
            .reply(page_of("Experiment"))
            .may_be_missing(),
        Route::get("/v1/experiments/{experiment}", experiment, "What a declared experiment has shown so far")
            .reply(reference("ExperimentStatus"))
            .may_be_missing(),
    ]
}

async fn traffic(
    State(app): State<Arc<App>>,
    Path(endpoint): Path<String>,
    params: Params,
) -> Result<Json<Listed<Routing>>, Problem> {
    let page = params.page()?;
    let from = params.instant(&FROM)?.unwrap_or(Timestamp::from_micros(0));
    let traffic = app.lineage().await?.traffic(&endpoint, from, params.instant(&TO)?, &page).await?;
    if traffic.items.is_empty() {
        app.check_endpoint(&endpoint)?;
    }
    Ok(listed(traffic, |routing| routing))
}

/// All choices at an endpoint, held against their probabilities.
#[derive(Serialize)]
struct ChoicesReply {
    endpoint: String,
    rows: u64,
    p_value: Option<f64>,
    arms: Vec<Chosen>,
}

async fn choices(
    State(app): State<Arc<App>>,
    Path(endpoint): Path<String>,
) -> Result<Json<ChoicesReply>, Problem> {
    app.check_endpoint(&endpoint)?;
    // An answer is given a little before its record is applied.
    app.pipeline().settled().await?;
    let state = app.orchestrator.state().lock();
    let choices = state.endpoint(&endpoint).map(|known| known.choices());
    Ok(Json(ChoicesReply {
        rows: choices.map_or(0, |choices| choices.rows()),
        p_value: choices.and_then(|choices| choices.p_value()),
        arms: choices.into_iter().flat_map(|choices| choices.chosen()).collect(),
        endpoint,
    }))
}

async fn rollouts(State(app): State<Arc<App>>, params: Params) -> Result<Json<Listed<Rollout>>, Problem> {
    let page = params.page()?;
    let model = params.text(&MODEL);
    if let Some(model) = model {
        app.check_model(model)?;
    }
    Ok(listed(app.lineage().await?.rollouts(model, &page).await?, |rollout| rollout))
}

async fn experiments(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Json<Listed<Experiment>>, Problem> {
    let page = params.page()?;
    let experiments = app.lineage().await?.experiments(params.text(&NAME), &page).await?;
    Ok(listed(experiments, |experiment| experiment))
}

/// What a declared experiment has shown so far.
#[derive(Serialize)]
struct ExperimentStatus {
    name: String,
    endpoint: String,
    began: Option<Timestamp>,
    champion: Option<String>,
    reason: Option<String>,
    shown: Value,
}

async fn experiment(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Json<ExperimentStatus>, Problem> {
    let state = app.orchestrator.state().lock();
    let endpoints = state.goal().into_iter().flat_map(|goal| &goal.endpoints);
    let declared: Vec<_> = endpoints.filter_map(|spec| state.endpoint(&spec.name)?.experiment()).collect();
    let Some(experiment) = declared.iter().find(|experiment| *experiment.spec().name == *name) else {
        let help = did_you_mean(&name, declared.iter().map(|known| &*known.spec().name));
        return Err(Problem::not_found(format!("no experiment {name:?} is declared{help}")));
    };
    let concluded = experiment.concluded();
    let waits = state.experiment_waits(&experiment.spec().endpoint);
    Ok(Json(ExperimentStatus {
        name,
        endpoint: experiment.spec().endpoint.to_string(),
        began: experiment.began(),
        champion: concluded.map(|concluded| concluded.champion.to_string()),
        reason: concluded.map(|concluded| concluded.reason.clone()).or(waits),
        shown: experiment.to_json(),
    }))
}
