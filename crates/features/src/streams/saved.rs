//! The state of operators as it is saved.

use perennial_types::{Position, Row};
use serde::{Deserialize, Serialize};

use crate::key::EntityKey;

/// The first bytes of every saved flow; the digit is the version of the format.
pub(crate) const HEADER: &[u8] = b"perennial flow 1\n";

#[derive(Serialize, Deserialize)]
pub(crate) struct SavedFlow {
    pub(crate) seen: Position,
    pub(crate) joins: Vec<SavedJoin>,
    pub(crate) enriches: Vec<SavedEnrich>,
    pub(crate) dedupes: Vec<SavedDedupe>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct SavedJoin {
    pub(crate) left: SavedSide,
    pub(crate) right: SavedSide,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct SavedSide {
    pub(crate) newest: i64,
    pub(crate) rows: Vec<(EntityKey, Vec<(i64, Row)>)>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct SavedEnrich {
    pub(crate) last: Vec<(EntityKey, i64, Row)>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct SavedDedupe {
    pub(crate) newest: i64,
    pub(crate) seen: Vec<(EntityKey, Vec<i64>)>,
}
