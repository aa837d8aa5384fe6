//! What can go wrong while the loop is driven.

use perennial_control::ControlError;
use perennial_log::LogError;
use perennial_pipeline::PipelineError;
use perennial_project::Fault;
use perennial_store::StoreError;
use perennial_types::Kind;

/// An error of the orchestrator.
#[derive(Debug, thiserror::Error)]
pub enum OrchestratorError {
    /// Control refused.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The pipeline failed.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Declarations with faults.
    #[error("{}", listed(.0))]
    Faults(Vec<Fault>),
    /// Declarations that cannot follow those that run.
    #[error("{}", .0.join("; "))]
    Refused(Vec<String>),
    /// A run failed for a cause of the machine, as often as it was repeated.
    #[error(
        "run {run} failed {attempts} times for a cause of the machine, last: {reason}; the instant is not done"
    )]
    Run {
        /// The run.
        run: String,
        /// How often it was tried.
        attempts: u32,
        /// The last cause.
        reason: String,
    },
    /// The projection did not come as far as was waited for.
    #[error("lineage lags: it stands at position {projected}, {wanted} was wanted; {reason}")]
    Lag {
        /// Where it stands.
        projected: u64,
        /// Where it should stand.
        wanted: u64,
        /// Why, as far as known.
        reason: String,
    },
    /// Something that should not happen.
    #[error("{0}")]
    Internal(String),
}

impl OrchestratorError {
    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Control(error) => error.kind(),
            Self::Pipeline(error) => error.kind(),
            Self::Log(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Faults(_) => Kind::Invalid,
            Self::Refused(_) => Kind::Conflict,
            Self::Run { .. } | Self::Lag { .. } => Kind::Unavailable,
            Self::Internal(_) => Kind::Internal,
        }
    }
}

fn listed(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// How a trainer failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainerError {
    /// The data or the declaration: repeating it gives the same.
    #[error("{0}")]
    Data(String),
    /// The machine: another try may do.
    #[error("{0}")]
    Machine(String),
}

impl TrainerError {
    pub(crate) fn data(error: impl std::fmt::Display) -> Self {
        Self::Data(error.to_string())
    }

    pub(crate) fn machine(error: impl std::fmt::Display) -> Self {
        Self::Machine(error.to_string())
    }
}
