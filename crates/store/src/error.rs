//! What can go wrong between the service, its database and its blobs.

use std::io;
use std::path::{Path, PathBuf};

use perennial_types::{ContentHash, Kind};

/// An error of the store; [`StoreError::kind`] says what a caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No usable Postgres on this machine.
    #[error("no Postgres server (14 or newer) found{searched}; {help}")]
    PostgresMissing {
        /// ` in <places>`, or why the ones that were found do not do.
        searched: String,
        /// How to install one.
        help: String,
    },
    /// The embedded server did not start, or does not answer.
    #[error("the embedded Postgres in {} {what}{log}", data_dir.display())]
    PostgresFailed {
        /// The data directory it was to serve.
        data_dir: PathBuf,
        /// What happened.
        what: String,
        /// The last lines of its log, or empty.
        log: String,
    },
    /// The data directory cannot be used as it is.
    #[error("{0}")]
    DataDir(String),
    /// Another process supervises the server of this data directory.
    #[error("the Postgres data directory {} is in use by another process; stop that one first", .0.display())]
    DataDirInUse(PathBuf),
    /// A file or directory could not be read or written.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// The verb.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A query failed; the message says what was asked.
    #[error("cannot {asked}: {source}")]
    Database {
        /// What was asked of the database.
        asked: String,
        /// Why not.
        source: Box<sqlx::Error>,
    },
    /// The address is not one of a Postgres database.
    #[error("{address:?} is no Postgres address ({reason}); write it as postgres://user@host:5432/database")]
    Address {
        /// The address, without its password.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The migrations could not be applied.
    #[error("cannot migrate the database: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A named thing does not exist.
    #[error("there is no {what} {name:?}{help}")]
    NotFound {
        /// Its kind: `model version`, `run`, …
        what: &'static str,
        /// The name that was given.
        name: String,
        /// What would help, or empty.
        help: String,
    },
    /// A prefix that several content hashes share.
    #[error("{prefix:?} is the beginning of several content hashes: {}; give more digits", candidates.join(", "))]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// Some of the versions that it fits.
        candidates: Vec<String>,
    },
    /// A request that makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The row is not in the state that the change starts from.
    #[error("{what} {name:?} is {state}, not {wanted}")]
    State {
        /// Its kind.
        what: &'static str,
        /// Its name.
        name: String,
        /// The state it is in.
        state: String,
        /// The states from which the change is possible.
        wanted: &'static str,
    },
    /// A fact that contradicts the facts before it.
    #[error("the fact at position {position} cannot be projected: {reason}")]
    Fact {
        /// Where it stands in the log.
        position: u64,
        /// What contradicts it.
        reason: String,
    },
    /// A blob whose bytes are not those of its name.
    #[error("blob {expected} in {} is damaged: its content has hash {found}", path.display())]
    Damaged {
        /// The hash it is stored under.
        expected: ContentHash,
        /// The hash of what is there.
        found: ContentHash,
        /// The file.
        path: PathBuf,
    },
}

impl StoreError {
    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Address { .. } | Self::Ambiguous { .. } | Self::Invalid(_) | Self::DataDir(_) => {
                Kind::Invalid
            }
            Self::NotFound { .. } => Kind::NotFound,
            Self::State { .. } | Self::DataDirInUse(_) => Kind::Conflict,
            Self::PostgresMissing { .. } | Self::PostgresFailed { .. } => Kind::Unavailable,
            Self::Database { source, .. } => database_kind(source),
            Self::Migration(sqlx::migrate::MigrateError::Execute(source)) => database_kind(source),
            Self::File { .. } | Self::Migration(_) | Self::Fact { .. } | Self::Damaged { .. } => {
                Kind::Internal
            }
        }
    }

    pub(crate) fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { what, path, source }
    }

    pub(crate) fn asked(asked: impl Into<String>) -> impl FnOnce(sqlx::Error) -> Self {
        let asked = asked.into();
        move |source| Self::Database { asked, source: Box::new(source) }
    }
}

/// A database that is away, full or shutting down may be back; any other failure of a query is a defect.
fn database_kind(error: &sqlx::Error) -> Kind {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Kind::Unavailable,
        sqlx::Error::Database(error) => match error.code().as_deref().map(|code| code.split_at(2).0) {
            // SQLSTATE classes: connection exception, insufficient resources, operator intervention, system
            // error; and serialization failures, which a repetition may pass.
            Some("08" | "53" | "57" | "58" | "40") => Kind::Unavailable,
            _ => Kind::Internal,
        },
        _ => Kind::Internal,
    }
}
