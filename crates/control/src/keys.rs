//! Records of who may call.

use std::sync::Arc;

use perennial_types::{ContentHash, Timestamp, did_you_mean};
use serde::{Deserialize, Serialize};

/// Somebody may call from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyAdded {
    /// When.
    pub at: Timestamp,
    /// The key's id, which is no secret.
    pub id: Arc<str>,
    /// What it is for.
    pub name: Arc<str>,
    /// The SHA-256 of the secret; the secret itself is nowhere.
    pub hash: ContentHash,
    /// What it opens.
    pub scopes: Vec<Scope>,
    /// When it stops to open anything.
    pub expires_at: Option<Timestamp>,
}

/// A key no longer opens anything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyRevoked {
    /// When.
    pub at: Timestamp,
    /// The key's id.
    pub id: Arc<str>,
}

/// What a key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything that only reads.
    Read,
    /// Predictions.
    Predict,
    /// Events and feedback.
    Write,
    /// Everything.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::Read, Self::Predict, Self::Write, Self::Admin];

    /// The scope of a name.
    ///
    /// # Errors
    /// A sentence with what would help, when there is none.
    pub fn named(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|scope| scope.name() == name).ok_or_else(|| {
            let help = did_you_mean(name, Self::ALL.map(Self::name));
            format!("no scope {name:?}{help}")
        })
    }

    /// The name in commands and replies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Predict => "predict",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}
