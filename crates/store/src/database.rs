//! The connections to the database.

use std::time::Duration;

use perennial_types::Timestamp;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPoolOptions;
use sqlx::types::chrono::{DateTime, Utc};
use sqlx::{PgPool, Row};

use crate::{Address, StoreError};

/// Every change of the schema, in order; compiled in.
static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// A pool of connections to the lineage database. Cloning it is cheap and shares the pool.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
}

impl Store {
    /// Connect to the database.
    ///
    /// # Errors
    /// When the address is not one of Postgres, or nothing answers there.
    pub async fn connect(address: &Address) -> Result<Self, StoreError> {
        let options = address.connect_options()?;
        let pool = PgPoolOptions::new()
            .max_connections(16)
            .acquire_timeout(Duration::from_secs(5))
            .connect_with(options)
            .await
            .map_err(StoreError::asked(format!("connect to {address}")))?;
        Ok(Self { pool })
    }

    /// Bring the schema up to this version of the program; does nothing if it is.
    ///
    /// # Errors
    /// When a migration fails, or the database was migrated by a newer program.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        Ok(MIGRATIONS.run(&self.pool).await?)
    }

    /// Whether queries can be answered: the database is there and has been migrated.
    ///
    /// # Errors
    /// When it is not.
    pub async fn ready(&self) -> Result<(), StoreError> {
        let query = sqlx::query("SELECT position FROM projection");
        let asked = StoreError::asked("ask the database whether it is ready");
        query.fetch_one(&self.pool).await.map(|_| ()).map_err(asked)
    }

    /// What the server has set `name` to.
    ///
    /// # Errors
    /// When there is no such setting, or the database is away.
    pub async fn setting(&self, name: &str) -> Result<String, StoreError> {
        let asked = || StoreError::asked(format!("read the setting {name:?}"));
        let query = sqlx::query("SELECT CURRENT_SETTING($1)").bind(name);
        query.fetch_one(&self.pool).await.and_then(|row| row.try_get(0)).map_err(asked())
    }

    /// Close every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }
}

/// As the database takes it.
pub(crate) fn instant(at: Timestamp) -> Result<DateTime<Utc>, StoreError> {
    let outside = || StoreError::Invalid(format!("{at} is outside the calendar"));
    at.to_chrono().ok_or_else(outside)
}
