//! What can go wrong with a log.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use perennial_types::{Kind, Position};

/// Why the log, or a file read or written beside it, could not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// The file system refused.
    #[error("cannot {doing} {}: {source}{}", .path.display(), remedy(.source))]
    Io {
        /// The verb.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The log takes nothing more, because an earlier write or sync failed.
    #[error(
        "the log takes no more records since it stopped: {cause}; repair the cause and restart: what was \
         acknowledged is kept"
    )]
    Stopped {
        /// The first failure.
        cause: Arc<str>,
    },
    /// Data that was complete once is not any more.
    #[error("{} is damaged at byte {offset}: {reason}; restore the file from a copy", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A stored position that no file holds.
    #[error("position {position} is in no file of {}; {found}", .dir.display())]
    Gap {
        /// The first position that is not there.
        position: Position,
        /// The directory of the log.
        dir: PathBuf,
        /// What is there.
        found: String,
    },
    /// Positions that were retired.
    #[error("position {position} is no longer kept; the log in {} begins at {first}", .dir.display())]
    Retired {
        /// What was asked for.
        position: Position,
        /// The first that is kept.
        first: Position,
        /// The directory of the log.
        dir: PathBuf,
    },
    /// Too much is waiting to be written.
    #[error("{waiting} bytes wait to be written to the log, of at most {most}; send it again in a moment")]
    Full {
        /// Bytes of payloads that wait.
        waiting: u64,
        /// Bytes that may wait.
        most: u64,
    },
    /// An entry that cannot be stored.
    #[error("entry {index} of the batch (stream {stream}, source {source_name:?}) {reason}")]
    Entry {
        /// Its place in the batch, from 0.
        index: usize,
        /// The name of its stream.
        stream: &'static str,
        /// Its source.
        source_name: Arc<str>,
        /// What is wrong with it.
        reason: String,
    },
    /// A topic of Kafka cannot be read as it should.
    #[error("cannot {doing} topic {topic:?} at {brokers}: {reason}")]
    Kafka {
        /// The verb.
        doing: &'static str,
        /// The topic.
        topic: String,
        /// The brokers that were given.
        brokers: String,
        /// What the client said.
        reason: String,
    },
    /// A setting of the client of Kafka that cannot be used.
    #[error("setting {name:?} of the Kafka client: {reason}")]
    Setting {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file with content that cannot be used.
    #[error("{}: {reason}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would help.
        reason: String,
    },
}

impl LogError {
    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => Kind::NotFound,
            Self::Io { .. } | Self::Stopped { .. } | Self::Kafka { .. } | Self::Full { .. } => {
                Kind::Unavailable
            }
            Self::Damaged { .. } | Self::Gap { .. } => Kind::Internal,
            Self::Retired { .. } => Kind::NotFound,
            Self::Entry { .. } | Self::Setting { .. } | Self::Content { .. } => Kind::Invalid,
        }
    }

    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.to_owned(), source: Arc::new(source) }
    }

    pub(crate) fn content(path: &Path, reason: impl ToString) -> Self {
        Self::Content { path: path.to_owned(), reason: reason.to_string() }
    }

    pub(crate) fn stopped(cause: impl ToString) -> Self {
        Self::Stopped { cause: cause.to_string().into() }
    }
}

fn remedy(error: &Arc<io::Error>) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free space on that disk",
        io::ErrorKind::PermissionDenied => "; the user of this process needs read and write permission there",
        io::ErrorKind::ReadOnlyFilesystem => "; that file system is mounted read-only",
        _ => "",
    }
}
