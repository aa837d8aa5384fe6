//! Keys: who may call.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, header};
use perennial_control::{Key, KeyAdded, NewKey, Scope as KeyScope};
use perennial_types::{TimeSpan, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use crate::App;
use crate::body::{self, Body, members, take, take_text};
use crate::problem::{Path, Problem};
use crate::route::{Route, Scope};
use crate::routes::page::{Listed, whole};
use crate::schemas::{page_of, reference};
use crate::text;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/keys", list, "The keys, revoked ones included, without their secrets")
            .only(Scope::Admin)
            .reply(page_of("Key")),
        Route::post(Scope::Admin, "/v1/keys", create, "Make a key; its secret is in this answer only")
            .body(reference("KeyRequest"))
            .example(json!({"name": "shop", "scopes": ["predict", "write"], "expires_in": "90d"}))
            .reply(reference("CreatedKey"))
            .may_conflict()
            .may_be_unprocessable(),
        Route::delete(Scope::Admin, "/v1/keys/{key}", revoke, "Take a key's power away for good")
            .reply(reference("Key"))
            .may_be_missing()
            .may_conflict(),
    ]
}

/// A key without its secret.
#[derive(Serialize)]
struct KeyReply {
    id: Arc<str>,
    name: Arc<str>,
    scopes: Vec<KeyScope>,
    added_at: Timestamp,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

impl KeyReply {
    fn of(added: KeyAdded, revoked_at: Option<Timestamp>) -> Self {
        let KeyAdded { at: added_at, id, name, hash: _, scopes, expires_at } = added;
        Self { id, name, scopes, added_at, expires_at, revoked_at }
    }
}

/// A new key with its secret.
#[derive(Serialize)]
struct CreatedReply {
    #[serde(flatten)]
    key: KeyReply,
    secret: String,
}

async fn list(State(app): State<Arc<App>>) -> Json<Listed<KeyReply>> {
    let known = app.gate.keys().known();
    let reply = |key: &Key| KeyReply::of(key.added.clone(), key.revoked_at);
    whole(known.iter().map(reply).collect())
}

async fn create(
    State(app): State<Arc<App>>,
    Body(body): Body,
) -> Result<([(HeaderName, &'static str); 1], Json<CreatedReply>), Problem> {
    let now = app.gate.now();
    let (added, secret) = app.gate.keys().create(wanted(&body, now)?, now).await?;
    tracing::info!(id = %added.id, name = %added.name, "a key was made");
    let key = KeyReply::of(added, None);
    let reply = CreatedReply { key, secret: secret.reveal().to_owned() };
    // No cache on the way keeps a secret.
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(reply)))
}

async fn revoke(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<KeyReply>, Problem> {
    let revoked = app.gate.keys().revoke(&id, app.gate.now()).await?;
    tracing::info!(%id, "a key was revoked");
    let known = app.gate.keys().known();
    let key = known.iter().find(|key| *key.added.id == *id);
    let key = key.ok_or_else(|| Problem::not_found(format!("no key {id:?}")))?;
    Ok(Json(KeyReply::of(key.added.clone(), Some(revoked.at))))
}

/// The key that is asked for.
fn wanted(bytes: &[u8], now: Timestamp) -> Result<NewKey, Problem> {
    let what = "a key";
    let mut body = members(body::json(bytes)?, what, &["name", "scopes", "expires_in"])?;
    let name = take_text(&mut body, what, "name", &text::KEY_NAME)?;
    let name = name.ok_or_else(|| Problem::invalid("a key wants a \"name\" that says what it is for"))?;
    let Value::Array(items) = take(&mut body, what, "scopes")? else {
        return Err(Problem::invalid("a key: \"scopes\" is an array of read, predict, write, admin"));
    };
    let scope = |item: &Value| {
        let text = item.as_str().ok_or_else(|| format!("\"scopes\" is an array of texts, found {item}"))?;
        KeyScope::named(text)
    };
    let scopes: Result<Vec<KeyScope>, String> = items.iter().map(scope).collect();
    let scopes = scopes.map_err(|reason| Problem::invalid(format!("a key: {reason}")))?;
    let expires_at = match take_text(&mut body, what, "expires_in", &text::SPAN)? {
        None => None,
        Some(text) => {
            let span = TimeSpan::parse(&text);
            let span = span.map_err(|error| Problem::invalid(format!("a key: \"expires_in\": {error}")))?;
            Some(now + span)
        }
    };
    Ok(NewKey { name, scopes, expires_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wanted_key_is_read_and_what_is_wrong_is_named() {
        let now = Timestamp::parse("2026-01-01").unwrap();
        let read = |text: &str| wanted(text.as_bytes(), now).map_err(|problem| problem.detail().to_owned());
        let shop = read(r#"{"name":"shop","scopes":["predict","write"],"expires_in":"30d"}"#).unwrap();
        assert_eq!((&*shop.name, &*shop.scopes), ("shop", &[KeyScope::Predict, KeyScope::Write][..]));
        assert_eq!(shop.expires_at, Timestamp::parse("2026-01-31").ok());
        let cases = [
            (r#"{"scopes":["read"]}"#, "a key wants a \"name\" that says what it is for"),
            (r#"{"name":"a"}"#, "a key lacks the member \"scopes\""),
            (
                r#"{"name":"a","scopes":"read"}"#,
                "a key: \"scopes\" is an array of read, predict, write, admin",
            ),
            (r#"{"name":"a","scopes":["raed"]}"#, "a key: no scope \"raed\"; did you mean \"read\"?"),
            (r#"{"name":"a","scopes":[1]}"#, "a key: \"scopes\" is an array of texts, found 1"),
        ];
        for (body, detail) in cases {
            assert_eq!(read(body).unwrap_err(), detail);
        }
        assert!(
            read(r#"{"name":"a","scopes":["read"],"expires_in":"soon"}"#).unwrap_err().contains("expires_in")
        );
    }
}
