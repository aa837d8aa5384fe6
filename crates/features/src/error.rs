//! What can be wrong with a view or with saved state.

use perennial_types::Kind;

/// A fault of a declared view or source, or of bytes that should be saved state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeatureError {
    /// A view that cannot be computed as declared.
    #[error("feature view {view:?}, {field}: {problem}")]
    Declaration {
        /// The view.
        view: String,
        /// The field of its declaration, as a path: `aggregates[0].of`.
        field: String,
        /// What is wrong, and what would help.
        problem: String,
    },
    /// A source that cannot follow from others as declared.
    #[error("source {name:?}, {field}: {problem}")]
    Source {
        /// The source.
        name: String,
        /// The field of its declaration, as a path: `stream.join.on[0]`.
        field: String,
        /// What is wrong, and what would help.
        problem: String,
    },
    /// Bytes that are no snapshot of this version of the engine; the state can be rebuilt from the log.
    #[error("snapshot of feature state: {0}; rebuild the state from the log")]
    Snapshot(String),
}

impl FeatureError {
    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Declaration { .. } | Self::Source { .. } => Kind::Invalid,
            Self::Snapshot(_) => Kind::Internal,
        }
    }
}
