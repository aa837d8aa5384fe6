//! Calls that make, list and revoke keys.

use perennial_types::{TimeSpan, Timestamp};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Client;
use crate::error::RemoteError;

/// Who may call, without the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Its id, which is no secret.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What it opens: `read`, `predict`, `write`, `admin`.
    pub scopes: Vec<String>,
    /// When it was made.
    pub added_at: Timestamp,
    /// When it stops to open anything.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A new key. It has no `Debug`, so that its secret is not printed by accident.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedKey {
    /// The key.
    #[serde(flatten)]
    pub key: Key,
    /// What callers send; the service does not know it any more.
    pub secret: String,
}

impl Client {
    /// Make a key.
    ///
    /// # Errors
    /// When there is no answer, or it is a problem.
    pub async fn create_key(
        &self,
        name: &str,
        scopes: &[String],
        expires_in: Option<TimeSpan>,
    ) -> Result<CreatedKey, RemoteError> {
        let body = json!({"name": name, "scopes": scopes, "expires_in": expires_in});
        self.send(Method::POST, self.url(&["v1", "keys"], &[]), &body).await
    }

    /// Every key, revoked ones included.
    ///
    /// # Errors
    /// When there is no answer, or it is a problem.
    pub async fn keys(&self) -> Result<Vec<Key>, RemoteError> {
        #[derive(Deserialize)]
        struct Listed {
            items: Vec<Key>,
        }
        let listed: Listed = self.get(self.url(&["v1", "keys"], &[])).await?;
        Ok(listed.items)
    }

    /// Take a key's power away for good.
    ///
    /// # Errors
    /// When there is no answer, or it is a problem.
    pub async fn revoke_key(&self, id: &str) -> Result<Key, RemoteError> {
        self.send(Method::DELETE, self.url(&["v1", "keys", id], &[]), &json!({})).await
    }
}
