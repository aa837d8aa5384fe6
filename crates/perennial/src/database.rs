//! The database of lineage: the one that was named, or one of our own that is started, kept alive and stopped.

use std::path::PathBuf;
use std::time::Duration;

use perennial_store::{Address, Postgres, PostgresOptions, StoreError};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::cli::ServeOptions;

/// Between two looks at our own database.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The database of a service.
pub(crate) struct Database {
    address: Address,
    /// Our own database, if none was named.
    own: Option<Own>,
}

/// Our own database in the hands of its supervisor.
struct Own {
    /// Tells the supervisor to stop it.
    stop: oneshot::Sender<()>,
    supervisor: JoinHandle<Result<(), StoreError>>,
}

impl Database {
    /// The database that the options name, or our own.
    pub(crate) async fn start(options: &ServeOptions) -> Result<Self, StoreError> {
        if let Some(url) = &options.database_url {
            return Ok(Self { address: Address::Url(url.clone()), own: None });
        }
        let (dir, settings) = (options.data.join("postgres"), settings(options));
        let postgres = Postgres::start(&dir, &settings).await?;
        let address = postgres.address();
        let (stop, stopped) = oneshot::channel();
        let supervisor = tokio::spawn(supervise(postgres, dir, settings, stopped));
        Ok(Self { address, own: Some(Own { stop, supervisor }) })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> Address {
        self.address.clone()
    }

    /// Stop our own database; one that was named is left alone.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let Some(Own { stop, supervisor }) = self.own else { return Ok(()) };
        // The supervisor ends with this signal; if it is gone already, the wait below says why.
        let _ = stop.send(());
        Ok(supervisor.await??)
    }
}

fn settings(options: &ServeOptions) -> PostgresOptions {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let defaults = PostgresOptions {
        binaries: options.pg_bin.clone(),
        search_path: std::env::split_paths(&path).collect(),
        ..PostgresOptions::default()
    };
    match std::env::var_os("XDG_RUNTIME_DIR").map(Into::into) {
        Some(runtime_dir) => PostgresOptions { runtime_dir, ..defaults },
        None => defaults,
    }
}

/// Start the database again whenever it has ended by itself, until it is to be stopped.
async fn supervise(
    postgres: Postgres,
    dir: PathBuf,
    settings: PostgresOptions,
    mut stop: oneshot::Receiver<()>,
) -> Result<(), StoreError> {
    let mut current = Some(postgres);
    loop {
        if tokio::time::timeout(LOOK_EVERY, &mut stop).await.is_ok() {
            return match current {
                Some(postgres) => postgres.stop().await,
                None => Ok(()),
            };
        }
        if current.as_mut().is_some_and(Postgres::is_running) {
            continue;
        }
        if current.take().is_some() {
            tracing::error!("the embedded Postgres has ended by itself; starting it again");
        }
        match Postgres::start(&dir, &settings).await {
            Ok(postgres) => current = Some(postgres),
            Err(error) => tracing::error!(%error, "the embedded Postgres does not start; trying again"),
        }
    }
}
