//! Model versions, and finding one by what people know of it.

use perennial_types::{ContentHash, Position, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use crate::{Page, PageRequest, Store, StoreError};

/// The fewest hex digits of a content hash that name a version.
const FEWEST_DIGITS: usize = 8;

/// A version of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Model and number: `bike-windowed/3`.
    pub id: String,
    /// The model.
    pub model: String,
    /// Its number within the model, from 1.
    pub number: u64,
    /// Hash of state, inputs and parent.
    pub content_hash: ContentHash,
    /// SHA-256 of its artifact.
    pub artifact: ContentHash,
    /// Size of the artifact.
    pub artifact_bytes: u64,
    /// The run that made it.
    pub run: String,
    /// What it was trained on.
    pub dataset: ContentHash,
    /// Hash of the definition it was trained under.
    pub definition: ContentHash,
    /// The input list, pinned.
    pub inputs: Vec<String>,
    /// What it came from.
    pub parents: Vec<Parent>,
    /// When its run ended.
    pub created_at: Timestamp,
    /// Where the log says so.
    pub position: Position,
    /// Figures by name.
    pub metrics: serde_json::Value,
}

/// What a version came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The parent.
    pub version: String,
    /// What was taken from it.
    pub kind: EdgeKind,
}

/// What a version took from its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeKind {
    /// Its state.
    FineTune,
    /// Its place: trained from nothing while the parent was current.
    Retrain,
}

impl Store {
    /// The version named by its id (`bike-windowed/3`), its content hash, or at least eight first digits of
    /// the hash that no other version has.
    ///
    /// # Errors
    /// When there is none or several, or the database is away.
    pub async fn version(&self, name: &str) -> Result<Version, StoreError> {
        let hash = name.to_ascii_lowercase();
        let may_be_hash = hash.len() >= FEWEST_DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        // In the collation of the column every hash with this beginning lies between it and itself with a "g".
        let range = may_be_hash.then(|| (hash.clone(), format!("{hash}g"))).unzip();
        let query = sqlx::query_scalar::<_, Json<Version>>(
            "SELECT TO_JSONB(v)
             FROM version_row v
             WHERE v.id = $1 OR (v.content_hash >= $2 AND v.content_hash < $3)
             ORDER BY v.id = $1 DESC, v.internal
             LIMIT 5",
        );
        let found = query.bind(name).bind(range.0).bind(range.1).fetch_all(self.pool()).await;
        let found = found.map_err(StoreError::asked(format!("find version {name:?}")))?;
        let mut found: Vec<Version> = found.into_iter().map(|Json(version)| version).collect();
        if found.len() > 1 && found[0].id != name {
            let candidates = found.into_iter().map(|version| version.id).collect();
            return Err(StoreError::Ambiguous { prefix: name.to_owned(), candidates });
        }
        match found.is_empty() {
            false => Ok(found.swap_remove(0)),
            true => Err(no_version(name)),
        }
    }

    /// The versions of a model, newest first.
    ///
    /// # Errors
    /// When the page makes no sense, there is no such model, or the database is away.
    pub async fn versions(&self, model: &str, page: &PageRequest) -> Result<Page<Version>, StoreError> {
        let list = format!("versions of {model}");
        let query = sqlx::query_as::<_, (i64, Json<Version>)>(
            "SELECT v.number, TO_JSONB(v)
             FROM version_row v
             WHERE v.model = $1 AND v.number < $2
             ORDER BY v.number DESC
             LIMIT $3",
        );
        let query = query.bind(model).bind(page.before(&list)?).bind(page.limit()?);
        let rows =
            query.fetch_all(self.pool()).await.map_err(StoreError::asked(format!("list the {list}")))?;
        if rows.is_empty() {
            self.must_have_model(model).await?;
        }
        Ok(page.page(&list, rows.into_iter().map(|(number, Json(version))| (number, version)).collect()))
    }

    async fn must_have_model(&self, model: &str) -> Result<(), StoreError> {
        let asked = StoreError::asked(format!("look for model {model:?}"));
        let query = sqlx::query_scalar::<_, String>("SELECT name FROM model ORDER BY name");
        let names = query.fetch_all(self.pool()).await.map_err(asked)?;
        if names.iter().any(|name| name == model) {
            return Ok(());
        }
        let help = perennial_types::did_you_mean(model, names.iter().map(String::as_str));
        Err(StoreError::NotFound { what: "model", name: model.to_owned(), help })
    }
}

pub(crate) fn no_version(name: &str) -> StoreError {
    StoreError::NotFound {
        what: "model version",
        name: name.to_owned(),
        help: format!(
            "; name one as model/number, or by at least {FEWEST_DIGITS} digits of its content hash"
        ),
    }
}
