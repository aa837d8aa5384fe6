//! What policies decided, with their reasons.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use perennial_store::{Decision, DecisionFilter, PageRequest};
use perennial_types::Timestamp;

use crate::App;
use crate::parameters::{Form, PAGE_SIZE, PAGE_TOKEN, Param, Params};
use crate::problem::Problem;
use crate::route::Route;
use crate::routes::page::{Listed, listed, whole};
use crate::schemas::{VERDICTS, page_of};

const MODEL: Param = Param { name: "model", about: "About this model only.", form: Form::Text };

const POLICY: Param = Param { name: "policy", about: "Of this policy only.", form: Form::Text };

const VERDICT: Param =
    Param { name: "verdict", about: "With this verdict only.", form: Form::OneOf(&VERDICTS) };

const IN_FORCE: Param = Param {
    name: "at",
    about: "Those in force at this instant, one of each model and policy; they come as one page.",
    form: Form::Instant,
};

pub(super) fn routes() -> Vec<Route> {
    let list = Route::get("/v1/decisions", list, "Decisions of policies, newest first")
        .query(&[MODEL, POLICY, VERDICT, IN_FORCE, PAGE_SIZE, PAGE_TOKEN])
        .reply(page_of("Decision"))
        .may_be_missing();
    vec![list]
}

async fn list(State(app): State<Arc<App>>, params: Params) -> Result<Json<Listed<Decision>>, Problem> {
    let page = params.page()?;
    let filter = DecisionFilter {
        model: params.text(&MODEL).map(str::to_owned),
        policy: params.text(&POLICY).map(str::to_owned),
        verdict: params.one_of(&VERDICT)?,
    };
    if let Some(model) = &filter.model {
        app.check_model(model)?;
    }
    match params.instant(&IN_FORCE)? {
        None => ever(&app, &filter, &page).await,
        Some(_) if page.page_token.is_some() => {
            Err(Problem::invalid("decisions in force at an instant come as one page: leave out page_token"))
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
    let models: Vec<String> = match &filter.model {
        Some(model) => vec![model.clone()],
        None => app.orchestrator.state().lock().models().map(|(name, _)| name.to_string()).collect(),
    };
    let store = app.lineage().await?;
    let mut decisions = Vec::new();
    for model in models {
        decisions.extend(store.decisions_at(&model, filter.policy.as_deref(), at).await?);
    }
    decisions.retain(|decision| filter.verdict.is_none_or(|verdict| decision.verdict == verdict));
    Ok(whole(decisions))
}
