//! One server for the tests that run at the same time; the last of them stops it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};

use perennial_store::{Address, Postgres, PostgresOptions, Store};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use tokio::runtime::Runtime;

static SERVER: Mutex<Weak<Server>> = Mutex::new(Weak::new());
static DATABASES: AtomicU32 = AtomicU32::new(0);

struct Server {
    postgres: Option<Postgres>,
    _place: TempDir,
}

impl Server {
    fn shared() -> Arc<Self> {
        let mut shared = SERVER.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(server) = shared.upgrade() {
            return server;
        }
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let data_dir = place.path().join("postgres");
        // A thread of its own: the caller may be inside a runtime already.
        let started = std::thread::spawn(move || {
            Runtime::new().unwrap().block_on(Postgres::start(&data_dir, &PostgresOptions::default()))
        });
        let postgres = started.join().unwrap().unwrap();
        let server = Arc::new(Self { postgres: Some(postgres), _place: place });
        *shared = Arc::downgrade(&server);
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let postgres = self.postgres.take().unwrap();
        let stopped = std::thread::spawn(move || Runtime::new().unwrap().block_on(postgres.stop()));
        stopped.join().unwrap().unwrap();
    }
}

/// A migrated database of its own.
pub(crate) struct Database {
    pub(crate) store: Store,
    address: Address,
    _server: Arc<Server>,
}

impl Database {
    pub(crate) async fn create() -> Self {
        let server = Server::shared();
        let postgres = server.postgres.as_ref().unwrap();
        let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let mut connection = connect(&options(&postgres.address())).await;
        let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::query(create).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let address = postgres.address_of(&name);
        let store = Store::connect(&address).await.unwrap();
        store.migrate().await.unwrap();
        Self { store, address, _server: server }
    }

    /// A connection beside the store's.
    pub(crate) async fn connection(&self) -> PgConnection {
        connect(&options(&self.address)).await
    }

    /// The same database through new connections.
    pub(crate) async fn reconnect(&self) -> Store {
        Store::connect(&self.address).await.unwrap()
    }
}

async fn connect(options: &PgConnectOptions) -> PgConnection {
    PgConnection::connect_with(options).await.unwrap()
}

fn options(address: &Address) -> PgConnectOptions {
    let Address::Socket { directory, user, database } = address else { panic!("not a socket: {address}") };
    let options = PgConnectOptions::new_without_pgpass().socket(directory).port(5432);
    options.username(user).database(database).ssl_mode(PgSslMode::Disable)
}
