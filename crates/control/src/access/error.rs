//! Why a caller or a key is refused.

use std::sync::Arc;

use perennial_types::Kind;

use super::SHORTEST_SECRET;
use crate::Scope;

/// Why a key is not taken, made or revoked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nobody has this secret.
    #[error("the key that was sent is not one of this service")]
    Stranger,
    /// It opens nothing any more.
    #[error("key {id:?} was revoked")]
    Revoked {
        /// The key.
        id: Arc<str>,
    },
    /// Its time is over.
    #[error("key {id:?} has expired")]
    Expired {
        /// The key.
        id: Arc<str>,
    },
    /// It opens other things.
    #[error("key {id:?} lacks the scope {:?}", .scope.name())]
    Scope {
        /// The key.
        id: Arc<str>,
        /// What it lacks.
        scope: Scope,
    },
    /// There is no such key.
    #[error("no key {id:?}{help}")]
    Unknown {
        /// What was asked for.
        id: String,
        /// What would help.
        help: String,
    },
    /// Nobody could make another key.
    #[error(
        "key {name:?} cannot be the first one: without a key of scope \"admin\" nobody could make or revoke \
         another; make that one first"
    )]
    NoAdmin {
        /// The name of the wanted key.
        name: String,
    },
    /// Nobody could make another key.
    #[error(
        "key {id:?} is the last one of scope \"admin\": make another one first, or revoke all others before it"
    )]
    LastAdmin {
        /// The key.
        id: Arc<str>,
    },
    /// A secret that could be guessed.
    #[error(
        "the admin key that was given has {length} characters; {SHORTEST_SECRET} are wanted, such as the output of \
         `openssl rand -hex 32`"
    )]
    Short {
        /// Its characters.
        length: usize,
    },
    /// Something else is wrong with it.
    #[error("{0}")]
    Malformed(String),
}

impl KeyError {
    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Unknown { .. } => Kind::NotFound,
            Self::Revoked { .. } | Self::NoAdmin { .. } | Self::LastAdmin { .. } => Kind::Conflict,
            Self::Stranger
            | Self::Expired { .. }
            | Self::Scope { .. }
            | Self::Short { .. }
            | Self::Malformed(_) => Kind::Invalid,
        }
    }
}
