//! Models and their versions, and putting an earlier version back.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use perennial_control::RolledBack;
use perennial_store::{EdgeKind, Model, Store, Version};
use perennial_types::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::App;
use crate::body::{self, Body, members, take_text};
use crate::parameters::{AT, PAGE_SIZE, PAGE_TOKEN, Params};
use crate::problem::{Path, Problem};
use crate::route::{Route, Scope};
use crate::routes::page::{Listed, listed};
use crate::schemas::{page_of, reference};
use crate::text;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/models", list, "The models with their current versions, by name")
            .query(&[PAGE_SIZE, PAGE_TOKEN])
            .reply(page_of("Model"))
            .may_be_missing(),
        Route::get("/v1/models/{model}/versions", versions, "The versions of a model, newest first")
            .query(&[PAGE_SIZE, PAGE_TOKEN])
            .reply(page_of("Version"))
            .may_be_missing(),
        Route::get("/v1/models/{model}/versions/{version}", version, "One version of a model")
            .reply(reference("Version"))
            .may_be_missing()
            .may_be_unprocessable(),
        Route::post(
            Scope::Admin,
            "/v1/models/{model}/rollback",
            roll_back,
            "Let an earlier version serve again",
        )
        .query(&[AT])
        .body(reference("RollbackRequest"))
        .example(json!({"reason": "worse on holidays"}))
        .reply(reference("RolledBack"))
        .may_be_missing()
        .may_conflict()
        .may_be_unprocessable(),
    ]
}

/// A model with its version in service.
#[derive(Serialize)]
struct ModelReply {
    name: String,
    endpoint: String,
    versions: u64,
    current: Option<VersionReply>,
    since: Option<Timestamp>,
}

/// A version, with the number of the one whose state it started from.
#[derive(Serialize)]
pub(super) struct VersionReply {
    #[serde(flatten)]
    version: Version,
    parent: Option<u64>,
    /// Steps from the version that was asked about; among relatives only.
    #[serde(skip_serializing_if = "Option::is_none")]
    depth: Option<u32>,
}

impl VersionReply {
    pub(super) fn of(version: Version) -> Self {
        let state = version.parents.iter().find(|parent| parent.kind == EdgeKind::FineTune);
        let parent = state.and_then(|parent| number_of(&parent.version));
        Self { version, parent, depth: None }
    }

    pub(super) fn at_depth(version: Version, depth: u32) -> Self {
        Self { depth: Some(depth), ..Self::of(version) }
    }
}

/// The number in a version's id, `bike-windowed/7`.
pub(super) fn number_of(id: &str) -> Option<u64> {
    id.rsplit_once('/').and_then(|(_, number)| number.parse().ok())
}

async fn list(State(app): State<Arc<App>>, params: Params) -> Result<Json<Listed<ModelReply>>, Problem> {
    let page = params.page()?;
    let store = app.lineage().await?;
    let page = store.models(&page).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for Model { name, endpoint, versions, current, since } in page.items {
        let current = match current {
            Some(id) => Some(VersionReply::of(store.version(&id).await?)),
            None => None,
        };
        items.push(ModelReply { name, endpoint, versions, current, since });
    }
    Ok(Json(Listed { items, truncated: None, next_page_token: page.next }))
}

async fn versions(
    State(app): State<Arc<App>>,
    Path(model): Path<String>,
    params: Params,
) -> Result<Json<Listed<VersionReply>>, Problem> {
    let page = params.page()?;
    Ok(listed(app.lineage().await?.versions(&model, &page).await?, VersionReply::of))
}

async fn version(
    State(app): State<Arc<App>>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Json<VersionReply>, Problem> {
    let store = app.lineage().await?;
    Ok(Json(VersionReply::of(named(&app, store, &model, &version).await?)))
}

/// How a version is named in a path.
#[derive(Debug, PartialEq)]
enum Name<'a> {
    Current,
    Number(u64),
    Hash(&'a str),
}

/// The fewest digits of a content hash that name a version; fewer decimal digits are a number.
const FEWEST_DIGITS: usize = 8;

impl<'a> Name<'a> {
    fn read(text: &'a str) -> Result<Self, Problem> {
        if text == "current" {
            return Ok(Self::Current);
        }
        let short = text.len() < FEWEST_DIGITS;
        match text.parse() {
            Ok(number) if short && !text.starts_with('+') => Ok(Self::Number(number)),
            _ if !short && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => Ok(Self::Hash(text)),
            _ => Err(Problem::invalid(format!(
                "{text:?} names no version: give its number, \"current\", or at least {FEWEST_DIGITS} digits of its \
                 content hash"
            ))),
        }
    }
}

/// The version of a model that a path names.
pub(super) async fn named(app: &App, store: &Store, model: &str, name: &str) -> Result<Version, Problem> {
    let version = match Name::read(name)? {
        Name::Number(number) => store.version(&format!("{model}/{number}")).await?,
        Name::Hash(hash) => store.version(hash).await?,
        Name::Current => {
            app.check_model(model)?;
            let number = current(app, model).ok_or_else(|| {
                Problem::not_found(format!("model {model:?} has no current version yet: none was promoted"))
            })?;
            store.version(&format!("{model}/{number}")).await?
        }
    };
    if version.model != model {
        let detail = format!("model {model:?} has no version {name:?}; that is {}", version.id);
        return Err(Problem::not_found(detail));
    }
    Ok(version)
}

fn current(app: &App, model: &str) -> Option<u64> {
    let state = app.orchestrator.state().lock();
    state.model(model).and_then(|model| model.current()).map(|version| version.id.number)
}

async fn roll_back(
    State(app): State<Arc<App>>,
    Path(model): Path<String>,
    params: Params,
    Body(body): Body,
) -> Result<Json<RolledBack>, Problem> {
    let (to, reason) = rollback(&body)?;
    app.check_model(&model)?;
    let clock =
        app.orchestrator.clock_kind().ok_or_else(|| Problem::not_found("no project is applied yet"))?;
    let admitted = app.sequencer.admit_change(params.at()?, clock).await?;
    let done = app.orchestrator.roll_back(&model, to, &reason, admitted.at()).await?;
    drop(admitted);
    tracing::info!(model, from = done.from.number, to = done.to.number, reason, "rolled back by hand");
    Ok(Json(done))
}

/// The number to go back to, if one was given, and the reason.
fn rollback(bytes: &[u8]) -> Result<(Option<u64>, String), Problem> {
    let what = "a rollback";
    let mut body: Map<String, Value> = members(body::json(bytes)?, what, &["to", "reason"])?;
    let reason = take_text(&mut body, what, "reason", &text::REASON)?;
    let reason = reason.ok_or_else(|| Problem::invalid("a rollback wants a \"reason\"; lineage keeps it"))?;
    match body.remove("to") {
        None | Some(Value::Null) => Ok((None, reason)),
        Some(to) => match body::whole(&to) {
            Some(number) => Ok((Some(number), reason)),
            None => Err(Problem::invalid(format!("{what}: \"to\" is the number of a version, found {to}"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_named_by_number_hash_or_place() {
        assert_eq!(Name::read("7").unwrap(), Name::Number(7));
        assert_eq!(Name::read("current").unwrap(), Name::Current);
        assert_eq!(Name::read("deadbeef").unwrap(), Name::Hash("deadbeef"));
        assert_eq!(Name::read("12345678").unwrap(), Name::Hash("12345678"));
        for wrong in ["", "-1", "+1", "1.5", "deadbee", "latest", "deadbeeg", "7 "] {
            assert!(Name::read(wrong).unwrap_err().detail().contains("names no version"), "{wrong}");
        }
        assert_eq!(number_of("bike-windowed/7"), Some(7));
    }

    #[test]
    fn a_rollback_says_why() {
        assert_eq!(rollback(br#"{"reason":"worse"}"#).unwrap(), (None, "worse".to_owned()));
        assert_eq!(rollback(br#"{"to":3,"reason":"worse"}"#).unwrap().0, Some(3));
        for wrong in [r#"{}"#, r#"{"reason":" "}"#, r#"{"reason":"x","to":-1}"#, r#"{"reason":"x","to":"3"}"#]
        {
            assert!(rollback(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let nul = rollback(br#"{"reason":"a\u0000b"}"#).unwrap_err();
        assert!(nul.detail().contains("NUL"));
    }
}
