//! What can be wrong with a report that is read.

use perennial_types::Kind;

use crate::spec::FORMAT_VERSION;

/// Why a text is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Not JSON, or not of the structure of [`crate::Report`].
    #[error("this is no report: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Written in a format that this version does not read.
    #[error("the report is written in format {0}, and format {FORMAT_VERSION} is the one that is read here")]
    Format(u32),
}

impl ReportError {
    /// The text is wrong, and will be wrong again.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Malformed(_) | Self::Format(_) => Kind::Invalid,
        }
    }
}
