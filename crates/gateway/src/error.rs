//! What the gateway refuses.

use perennial_log::LogError;
use perennial_pipeline::PipelineError;
use perennial_types::{Kind, RowError};

/// An error of the gateway.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// There is no endpoint of this name.
    #[error("no endpoint {name:?}{help}")]
    UnknownEndpoint {
        /// What was asked for.
        name: String,
        /// What would help.
        help: String,
    },
    /// There is no model of this name.
    #[error("no model {name:?}{help}")]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// What would help.
        help: String,
    },
    /// There is no feature view of this name.
    #[error("no feature view {name:?}{help}")]
    UnknownView {
        /// What was asked for.
        name: String,
        /// What would help.
        help: String,
    },
    /// The view has no feature of this name.
    #[error("no feature {name:?}{help}")]
    UnknownFeature {
        /// What was asked for.
        name: String,
        /// What would help.
        help: String,
    },
    /// These features cannot be read together.
    #[error("{0}")]
    Selection(String),
    /// A view cannot be read yet.
    #[error("{0}")]
    NotReady(String),
    /// The request does not fit.
    #[error("request: {0}")]
    Request(#[from] RowError),
    /// The id was used for another request.
    #[error("id {id:?} was used for another request to endpoint {endpoint:?}; an id names one request")]
    IdReused {
        /// The id.
        id: String,
        /// The endpoint.
        endpoint: String,
    },
    /// The pipeline failed.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Something that should not happen.
    #[error("{0}")]
    Internal(String),
}

impl GatewayError {
    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::UnknownEndpoint { .. }
            | Self::UnknownModel { .. }
            | Self::UnknownView { .. }
            | Self::UnknownFeature { .. } => Kind::NotFound,
            Self::Request(_) | Self::Selection(_) => Kind::Invalid,
            Self::NotReady(_) => Kind::Unavailable,
            Self::IdReused { .. } => Kind::Conflict,
            Self::Pipeline(error) => error.kind(),
            Self::Log(error) => error.kind(),
            Self::Internal(_) => Kind::Internal,
        }
    }
}
