//! Declarations: plan them, apply them, see what runs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use perennial_orchestrator::Orchestrator;
use perennial_project::{Change, Plan, ViewCost};
use perennial_store::PageRequest;
use perennial_types::ContentHash;
use serde::Serialize;
use serde_json::{Value, json};

use crate::App;
use crate::body::{self, Body, members, take};
use crate::parameters::{AT, Params};
use crate::problem::Problem;
use crate::route::{Route, Scope};
use crate::schemas::reference;
use crate::text;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/project", running, "The declarations that run")
            .reply(reference("Project"))
            .may_be_missing(),
        Route::put(Scope::Admin, "/v1/project", apply, "Make declarations the goal of the service")
            .query(&[AT])
            .body(reference("ProjectFiles"))
            .example(example())
            .reply(reference("Plan"))
            .may_conflict()
            .may_be_unprocessable(),
        Route::post(
            Scope::Read,
            "/v1/project/plan",
            plan,
            "What applying declarations would change; nothing is changed",
        )
        .body(reference("ProjectFiles"))
        .example(example())
        .reply(reference("Plan"))
        .may_conflict()
        .may_be_unprocessable(),
    ]
}

/// The project that the examples of the document speak of, as its files are sent.
fn example() -> Value {
    json!({"files": [{"name": "bikes.yaml", "text": include_str!("../schemas/example.yaml")}]})
}

/// A plan, and how people read it.
#[derive(Serialize)]
struct PlanReply {
    hash: ContentHash,
    from: Option<ContentHash>,
    project: Arc<str>,
    changes: Vec<Change>,
    views: Vec<ViewCost>,
    text: String,
}

impl PlanReply {
    fn of(plan: Plan) -> Self {
        let text = plan.to_string();
        let Plan { project, from, to, changes, views } = plan;
        Self { hash: to, from, project, changes, views, text }
    }
}

async fn running(State(app): State<Arc<App>>) -> Result<Json<perennial_store::Project>, Problem> {
    let newest = PageRequest { page_size: 1, page_token: None };
    let page = app.lineage().await?.projects(&newest).await?;
    match page.items.into_iter().next() {
        Some(project) => Ok(Json(project)),
        None => Err(Problem::not_found("no project is applied yet; apply one with `perennial apply DIR`")),
    }
}

async fn plan(State(app): State<Arc<App>>, Body(body): Body) -> Result<Json<PlanReply>, Problem> {
    let files = files(&body)?;
    Ok(Json(PlanReply::of(app.orchestrator.plan(&files)?)))
}

async fn apply(
    State(app): State<Arc<App>>,
    params: Params,
    Body(body): Body,
) -> Result<Json<PlanReply>, Problem> {
    let files = files(&body)?;
    let project = Orchestrator::parse(&files)?;
    // The clock of a log never changes; the first declarations choose it.
    let clock = app.orchestrator.clock_kind().unwrap_or(project.clock);
    let admitted = app.sequencer.admit_change(params.at()?, clock).await?;
    let plan = app.orchestrator.apply(&files, admitted.at()).await?;
    drop(admitted);
    tracing::info!(project = %plan.project, hash = %plan.to, changes = plan.changes.len(), "declarations applied");
    Ok(Json(PlanReply::of(plan)))
}

/// Pairs of a file's name and its text.
fn files(bytes: &[u8]) -> Result<Vec<(String, String)>, Problem> {
    let what = "the body";
    let mut body = members(body::json(bytes)?, what, &["files"])?;
    let Value::Array(items) = take(&mut body, what, "files")? else {
        return Err(Problem::invalid("\"files\" is an array of {\"name\", \"text\"}"));
    };
    if items.is_empty() {
        return Err(Problem::invalid("\"files\" is empty: there is nothing to declare"));
    }
    let mut files: Vec<(String, String)> = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let what = format!("files[{index}]");
        let mut file = members(item, &what, &["name", "text"])?;
        let mut member = |name: &str| {
            let found = body::take_text(&mut file, &what, name, &text::PLAIN)?;
            found.ok_or_else(|| Problem::invalid(format!("{what} lacks the member {name:?}")))
        };
        let (name, text) = (member("name")?, member("text")?);
        if files.iter().any(|(known, _)| *known == name) {
            return Err(Problem::unprocessable(format!("two files are named {name:?}")));
        }
        files.push((name, text));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_a_project_without_faults() {
        let files = files(example().to_string().as_bytes()).unwrap();
        assert_eq!(&*Orchestrator::parse(&files).unwrap().name, "bikes");
    }

    #[test]
    fn files_are_read_and_what_is_wrong_is_named() {
        let read = files(br#"{"files":[{"name":"a.yaml","text":"kind: Project"}]}"#).unwrap();
        assert_eq!(read, [("a.yaml".to_owned(), "kind: Project".to_owned())]);
        let cases = [
            (r#"{}"#, "the body lacks the member \"files\""),
            (r#"{"file":[]}"#, "the body has no member \"file\"; did you mean \"files\"?"),
            (r#"{"files":{}}"#, "\"files\" is an array of {\"name\", \"text\"}"),
            (r#"{"files":[]}"#, "\"files\" is empty: there is nothing to declare"),
            (r#"{"files":[{"name":"a"}]}"#, "files[0] lacks the member \"text\""),
            (r#"{"files":[{"name":1,"text":""}]}"#, "files[0]: \"name\" is a text without NUL characters"),
            (r#"{"files":[{"name":"a","text":""},{"name":"a","text":""}]}"#, "two files are named \"a\""),
        ];
        for (body, message) in cases {
            assert_eq!(files(body.as_bytes()).unwrap_err().detail(), message, "{body}");
        }
    }
}
