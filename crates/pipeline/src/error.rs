//! What can go wrong between sources, log and features.

use std::path::{Path, PathBuf};

use perennial_features::FeatureError;
use perennial_log::LogError;
use perennial_store::StoreError;
use perennial_types::{Kind, Position};

/// An error of the pipeline.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A feature view failed.
    #[error(transparent)]
    Feature(#[from] FeatureError),
    /// A file beside the log failed.
    #[error("{path}: {error}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        error: std::io::Error,
    },
    /// A record does not say what its stream promises.
    #[error("record {position} cannot be understood: {reason}")]
    Record {
        /// Which.
        position: Position,
        /// Why.
        reason: String,
    },
    /// A snapshot cannot be written or read.
    #[error("snapshot: {0}")]
    Snapshot(String),
    /// A reference of training rows cannot be written or read.
    #[error("the sample of training rows: {0}")]
    Reference(String),
    /// The pipeline no longer takes anything.
    #[error("{0}")]
    Stopped(String),
    /// Input that is wrong.
    #[error("{0}")]
    Invalid(String),
    /// A name that does not exist.
    #[error("{0}")]
    NotFound(String),
}

impl PipelineError {
    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Log(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Feature(error) => error.kind(),
            Self::Invalid(_) => Kind::Invalid,
            Self::NotFound(_) => Kind::NotFound,
            Self::Stopped(_) => Kind::Unavailable,
            Self::Io { .. } | Self::Record { .. } | Self::Snapshot(_) | Self::Reference(_) => Kind::Internal,
        }
    }

    pub(crate) fn io(path: &Path, error: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), error }
    }

    /// A snapshot section that is not what it should be.
    pub fn snapshot(error: impl std::fmt::Display) -> Self {
        Self::Snapshot(error.to_string())
    }

    pub(crate) fn reference(error: impl std::fmt::Display) -> Self {
        Self::Reference(error.to_string())
    }

    /// A record that is not what its stream promises.
    pub fn record(position: Position, reason: impl std::fmt::Display) -> Self {
        Self::Record { position, reason: reason.to_string() }
    }
}
