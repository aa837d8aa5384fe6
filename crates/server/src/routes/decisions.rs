//! What was decided, with the reasons.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use perennial_store::{Decision, DecisionFilter, PageRequest};
use perennial_types::Timestamp;
use serde::Serialize;

use crate::App;
use crate::parameters::{Form, PAGE_SIZE, PAGE_TOKEN, Param, Params};
use crate::problem::Problem;
use crate::route::Route;
use crate::routes::page::{Listed, listed, whole};
use crate::schemas::{VERDICTS, page_of, reference};
use crate::text;

const MODEL: Param = Param { name: "model", about: "About this model only.", form: Form::Text(&text::NAME) };

const ENDPOINT: Param = Param {
    name: "endpoint",
    about: "About this endpoint and its models only.",
    form: Form::Text(&text::NAME),
};

const POLICY: Param = Param { name: "policy", about: "Of this policy only.", form: Form::Text(&text::NAME) };

const VERDICT: Param =
    Param { name: "verdict", about: "With this verdict only.", form: Form::OneOf(&VERDICTS) };

const IN_FORCE: Param = Param {
    name: "at",
    about: "Those in force at this instant, one about each thing; they come as one page.",
    form: Form::Instant,
};

const THEN: Param =
    Param { name: "at", about: "The instant that is asked about; left out: now.", form: Form::Instant };

pub(super) fn routes() -> Vec<Route> {
    let list = Route::get("/v1/decisions", list, "Decisions, newest first")
        .query(&[MODEL, ENDPOINT, POLICY, VERDICT, IN_FORCE, PAGE_SIZE, PAGE_TOKEN])
        .reply(page_of("Decision"))
        .may_be_missing();
    let why =
        Route::get("/v1/why", why, "Why things were as they were at an instant: what had been decided last")
            .query(&[MODEL, ENDPOINT, THEN])
            .reply(reference("WhyThen"))
            .may_be_missing();
    vec![list, why]
}

async fn list(State(app): State<Arc<App>>, params: Params) -> Result<Json<Listed<Decision>>, Problem> {
    let page = params.page()?;
    let filter = DecisionFilter {
        model: params.text(&MODEL).map(str::to_owned),
        endpoint: params.text(&ENDPOINT).map(str::to_owned),
        policy: params.text(&POLICY).map(str::to_owned),
        verdict: params.one_of(&VERDICT)?,
    };
    if let Some(model) = &filter.model {
        app.check_model(model)?;
    }
    if let Some(endpoint) = &filter.endpoint {
        app.check_endpoint(endpoint)?;
    }
    match params.instant(&IN_FORCE)? {
        None => ever(&app, &filter, &page).await,
        Some(_) if page.page_token.is_some() => {
            Err(Problem::not_found("decisions in force at an instant come as one page: leave out page_token"))
        }
        Some(at) => in_force(&app, &filter, at).await,
    }
}

async fn ever(
    app: &App,
    filter: &DecisionFilter,
    page: &PageRequest,
) -> Result<Json<Listed<Decision>>, Problem> {
    Ok(listed(app.lineage().await?.decisions(filter, page).await?, |decision| decision))
}

async fn in_force(
    app: &App,
    filter: &DecisionFilter,
    at: Timestamp,
) -> Result<Json<Listed<Decision>>, Problem> {
    Ok(whole(app.lineage().await?.decisions_at(filter, at).await?))
}

/// What was decided about a model or an endpoint by an instant.
#[derive(Serialize)]
struct WhyThen {
    at: Timestamp,
    sentence: String,
    decisions: Vec<Decision>,
}

async fn why(State(app): State<Arc<App>>, params: Params) -> Result<Json<WhyThen>, Problem> {
    let at = params.instant(&THEN)?.unwrap_or_else(|| app.orchestrator.now());
    let (model, endpoint) = (params.text(&MODEL), params.text(&ENDPOINT));
    if let Some(model) = model {
        app.check_model(model)?;
    }
    if let Some(endpoint) = endpoint {
        app.check_endpoint(endpoint)?;
    }
    let (model, endpoint) = (model.map(str::to_owned), endpoint.map(str::to_owned));
    let subject = subject(model.as_deref(), endpoint.as_deref());
    let filter = DecisionFilter { model, endpoint, ..DecisionFilter::default() };
    let decisions = app.lineage().await?.decisions_at(&filter, at).await?;
    let sentence = sentence(&subject, at, &decisions);
    Ok(Json(WhyThen { at, sentence, decisions }))
}

/// What is asked about; without a name it is everything.
fn subject(model: Option<&str>, endpoint: Option<&str>) -> String {
    match (model, endpoint) {
        (Some(model), Some(endpoint)) => format!("{model} at {endpoint}"),
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        (None, None) => "anything".to_owned(),
    }
}

/// Every decision in force, the last one first, in words.
fn sentence(subject: &str, at: Timestamp, decisions: &[Decision]) -> String {
    if decisions.is_empty() {
        return format!("Nothing had been decided about {subject} by {at}.");
    }
    let said = decisions.iter().map(|decision| {
        let (about, verdict, reason) = (&decision.about, decision.verdict.name(), &decision.reason);
        format!("{about}: {verdict} at {}, because {}.", decision.at, reason.trim_end_matches('.'))
    });
    format!("In force at {at}. {}", said.collect::<Vec<_>>().join(" "))
}
