//! Where the database is.

use std::path::PathBuf;
use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::StoreError;

/// The address of a database.
#[derive(Clone, PartialEq, Eq)]
pub enum Address {
    /// `postgres://user:password@host:port/database`.
    Url(String),
    /// A Unix socket.
    Socket {
        /// The directory of the socket.
        directory: PathBuf,
        /// The user inside the database.
        user: String,
        /// The database.
        database: String,
    },
}

impl Address {
    /// As sqlx takes it.
    ///
    /// # Errors
    /// When a URL is not one of Postgres.
    pub(crate) fn connect_options(&self) -> Result<PgConnectOptions, StoreError> {
        let options = match self {
            Self::Url(url) => {
                if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
                    return Err(self.wrong("it does not begin with postgres://"));
                }
                PgConnectOptions::from_str(url).map_err(|error| self.wrong(&error.to_string()))?
            }
            Self::Socket { directory, user, database } => PgConnectOptions::new_without_pgpass()
                .socket(directory)
                .port(5432)
                .username(user)
                .database(database)
                .ssl_mode(PgSslMode::Disable),
        };
        Ok(options.application_name("perennial"))
    }

    fn wrong(&self, reason: &str) -> StoreError {
        StoreError::Address { address: self.to_string(), reason: reason.to_owned() }
    }
}

impl std::fmt::Display for Address {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(url) => {
                match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?)))
                {
                    Some((scheme, (who, place))) => {
                        let user = who.split(':').next().unwrap_or_default();
                        write!(f, "{scheme}://{user}@{place}")
                    }
                    None => f.write_str(url),
                }
            }
            Self::Socket { directory, user, database } => {
                write!(f, "postgres:///{database}?host={}&user={user}", directory.display())
            }
        }
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let address = Address::Url("postgres://me:se@cret@db:5432/lineage".to_owned());
        assert_eq!(
            format!("{address} {address:?}"),
            "postgres://me@db:5432/lineage postgres://me@db:5432/lineage"
        );
    }

    #[test]
    fn an_address_of_something_else_is_refused() {
        let error = Address::Url("mysql://db/x".to_owned()).connect_options().unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"mysql://db/x\" is no Postgres address (it does not begin with postgres://); write it as \
             postgres://user@host:5432/database"
        );
        assert_eq!(error.kind(), perennial_types::Kind::Invalid);
    }
}
