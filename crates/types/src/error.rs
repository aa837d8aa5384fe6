//! What a caller can do about an error.

use serde::{Deserialize, Serialize};

/// The one property of an error that decides retry and HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The input is wrong; the same request will fail again (400).
    Invalid,
    /// The named thing does not exist (404).
    NotFound,
    /// The request contradicts what is already there (409).
    Conflict,
    /// Something outside is away or busy; trying again later may work (503).
    Unavailable,
    /// A defect or a broken machine (500).
    Internal,
}
