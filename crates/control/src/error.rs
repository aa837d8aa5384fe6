//! What control refuses.

use perennial_types::Kind;

/// A request that control refuses, or a goal it cannot work towards.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// There is no model of this name.
    #[error("no model {name:?}{help}")]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// What would help.
        help: String,
    },
    /// No report of this name is declared.
    #[error("no report {name:?}{help}")]
    UnknownReport {
        /// What was asked for.
        name: String,
        /// What would help.
        help: String,
    },
    /// A rollback that has no target.
    #[error("model {model:?} {reason}")]
    NoTarget {
        /// The model.
        model: String,
        /// Why there is none, and what would help.
        reason: String,
    },
    /// A declared policy or condition that does not compile.
    #[error("{0}")]
    Goal(String),
}

impl ControlError {
    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::UnknownModel { .. } | Self::UnknownReport { .. } => Kind::NotFound,
            Self::NoTarget { .. } => Kind::Conflict,
            Self::Goal(_) => Kind::Invalid,
        }
    }
}
