//! A Postgres server of our own: found on this machine, initialised, started, adopted and stopped.
//!
//! It listens on a Unix socket in a directory that nobody else can enter, and on nothing else. It syncs what
//! it commits. It outlives a crash of the service, which then finds it again.

mod account;
mod binaries;
mod layout;
mod postmaster;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use sqlx::{Connection, PgConnection, Row};

use crate::{Address, StoreError};
use account::Account;
use binaries::Binaries;
use layout::{Layout, SUPERUSER};
use postmaster::{PidFile, Status};

/// How long to wait between two looks at the server's state.
const STEP: Duration = Duration::from_millis(5);

/// How long a server that was told to stop at once may take.
const STOP_AT_ONCE: Duration = Duration::from_secs(10);

/// Settings of the server for a small database with few connections; the rest are Postgres's own.
const SETTINGS: [&str; 17] = [
    "listen_addresses=",
    "port=5432",
    "unix_socket_permissions=0700",
    "cluster_name=perennial",
    "max_connections=50",
    "shared_buffers=64MB",
    "work_mem=8MB",
    "max_wal_size=512MB",
    "min_wal_size=64MB",
    "max_wal_senders=0",
    "wal_level=minimal",
    "fsync=on",
    "jit=off",
    "random_page_cost=1.1",
    "TimeZone=UTC",
    "logging_collector=off",
    "log_line_prefix=%m [%p] ",
];

/// How to find and run the server.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// The directory with `postgres` and `initdb`; if given, no other one is tried.
    pub binaries: Option<PathBuf>,
    /// The directories to search after the usual ones: those of `PATH`.
    pub search_path: Vec<PathBuf>,
    /// Where the socket goes if the path of the data directory is too long for one.
    pub runtime_dir: PathBuf,
    /// How long a start may take; it includes recovery after a crash.
    pub start_timeout: Duration,
    /// How long the server may take to finish what it does when it is stopped, before it is told to drop it.
    pub stop_timeout: Duration,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            binaries: None,
            search_path: Vec::new(),
            runtime_dir: PathBuf::from("/tmp"),
            start_timeout: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(10),
        }
    }
}

/// A running server. [`Postgres::stop`] stops it; dropping it tells it to stop and does not wait.
#[derive(Debug)]
pub struct Postgres {
    layout: Layout,
    pid: Pid,
    /// The server if this process has started it; nothing if it was found running.
    child: Option<Child>,
    stop_timeout: Duration,
    stopped: bool,
    /// Held for as long as this process supervises the server.
    _lock: File,
}

impl Postgres {
    /// The server of `data_dir`: the one that runs already, or else a new one; at first start the directory
    /// and the cluster in it are made.
    ///
    /// # Errors
    /// When there is no Postgres on this machine, the directory cannot be used or is in use, or the server
    /// does not start; the message then ends with the last lines of its log.
    pub async fn start(data_dir: &Path, options: &PostgresOptions) -> Result<Self, StoreError> {
        let layout = Layout::open(data_dir, &options.runtime_dir)?;
        let lock = layout.lock()?;
        let account = Account::choose(&layout.cluster)?;
        account.check_reachable(&layout.data_dir)?;
        account.private_directory(&layout.socket_dir)?;
        if let Some(pid) = survivor(&layout, options).await? {
            tracing::info!(pid = pid.as_raw_nonzero().get(), "the embedded Postgres runs already");
            let stop_timeout = options.stop_timeout;
            return Ok(Self { layout, pid, child: None, stop_timeout, stopped: false, _lock: lock });
        }
        let version = layout.version()?;
        let binaries = Binaries::find(options.binaries.as_deref(), &options.search_path, version)?;
        if version.is_none() {
            layout.make_cluster(&binaries, &account)?;
        }
        postmaster::disown(&layout.cluster)?;
        layout.remove_socket()?;
        let (child, log_from) = spawn(&layout, &binaries, &account)?;
        let pid = Pid::from_child(&child);
        let stop_timeout = options.stop_timeout;
        let mut postgres =
            Self { layout, pid, child: Some(child), stop_timeout, stopped: false, _lock: lock };
        postgres.wait_until_ready(log_from, options.start_timeout).await?;
        tracing::info!(pid = pid.as_raw_nonzero().get(), "the embedded Postgres has started");
        Ok(postgres)
    }

    /// The address of the service's database.
    pub fn address(&self) -> Address {
        self.address_of("postgres")
    }

    /// The address of another database of this server.
    pub fn address_of(&self, database: &str) -> Address {
        address(&self.layout, database)
    }

    /// The id of the server's main process.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Whether the server's process is still there.
    pub fn is_running(&mut self) -> bool {
        match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => rustix::process::test_kill_process(self.pid).is_ok(),
        }
    }

    /// Whether the server was found running instead of started.
    pub fn adopted(&self) -> bool {
        self.child.is_none()
    }

    /// Stop it: open transactions are rolled back, connections closed. A server that takes longer than the
    /// time allowed is told to drop everything; it then recovers at its next start.
    ///
    /// # Errors
    /// When the server cannot be signalled, or does not end.
    pub async fn stop(mut self) -> Result<(), StoreError> {
        self.stopped = true;
        for (signal, patience) in [(Signal::INT, self.stop_timeout), (Signal::QUIT, STOP_AT_ONCE)] {
            postmaster::signal(self.pid, signal)
                .map_err(|error| self.layout.failed(format!("cannot be stopped: {error}"), String::new()))?;
            if tokio::time::timeout(patience, self.wait_until_gone()).await.is_ok() {
                tracing::info!(pid = self.pid(), "the embedded Postgres has stopped");
                return Ok(());
            }
        }
        Err(self.layout.failed(format!("(process {}) does not stop", self.pid()), String::new()))
    }

    async fn wait_until_gone(&mut self) {
        while self.alive() {
            tokio::time::sleep(STEP).await;
        }
    }

    fn alive(&mut self) -> bool {
        match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => postmaster::serves(self.pid, &self.layout.cluster),
        }
    }

    async fn wait_until_ready(&mut self, log_from: u64, patience: Duration) -> Result<(), StoreError> {
        let waiting = async {
            while self.alive() {
                let says = PidFile::read(&self.layout.cluster);
                if says.is_some_and(|says| says.pid == self.pid && says.status == Status::Ready) {
                    return true;
                }
                tokio::time::sleep(STEP).await;
            }
            false
        };
        let what = match tokio::time::timeout(patience, waiting).await {
            Ok(true) => return Ok(()),
            Ok(false) => {
                self.stopped = true;
                "did not start".to_owned()
            }
            Err(_) => format!("was not ready after {} s", patience.as_secs_f64()),
        };
        Err(self.layout.failed_with_log(what, log_from))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A child that has been waited for may have left its id to another process.
        if !self.stopped && self.alive() {
            let told = postmaster::signal(self.pid, Signal::INT);
            tracing::debug!(pid = self.pid(), ?told, "the embedded Postgres is told to stop");
        }
    }
}

fn address(layout: &Layout, database: &str) -> Address {
    Address::Socket {
        directory: layout.socket_dir.clone(),
        user: SUPERUSER.to_owned(),
        database: database.to_owned(),
    }
}

/// The server of this cluster that runs already; one that is on its way up or down is waited for.
async fn survivor(layout: &Layout, options: &PostgresOptions) -> Result<Option<Pid>, StoreError> {
    let unresponsive = |what: String| layout.failed(format!("runs already, but {what}"), String::new());
    let waiting = async {
        loop {
            let says = PidFile::read(&layout.cluster);
            let Some(says) = says.filter(|says| postmaster::serves(says.pid, &layout.cluster)) else {
                return Ok(None);
            };
            // One that was just told to stop may not have said so yet: then it refuses the connection.
            if says.status == Status::Ready
                && let Ok(served) = data_directory(layout).await
            {
                if served == layout.cluster {
                    return Ok(Some(says.pid));
                }
                return Err(unresponsive(format!("its socket is that of a server of {}", served.display())));
            }
            tokio::time::sleep(STEP).await;
        }
    };
    match tokio::time::timeout(options.start_timeout, waiting).await {
        Ok(found) => found,
        Err(_) => Err(unresponsive("neither answers nor ends".to_owned())),
    }
}

/// The cluster of the server that answers at the socket.
async fn data_directory(layout: &Layout) -> Result<PathBuf, StoreError> {
    let asked = || StoreError::asked("ask the running Postgres for its data directory");
    let options = address(layout, "postgres").connect_options()?;
    let mut connection = PgConnection::connect_with(&options).await.map_err(asked())?;
    let row = sqlx::query("SHOW data_directory").fetch_one(&mut connection).await.map_err(asked())?;
    let served: String = row.try_get(0).map_err(asked())?;
    connection.close().await.map_err(asked())?;
    Ok(PathBuf::from(served))
}

/// Start the server in a process group of its own, so that Ctrl-C in a terminal does not reach it.
fn spawn(layout: &Layout, binaries: &Binaries, account: &Account) -> Result<(Child, u64), StoreError> {
    use std::os::unix::process::CommandExt;

    let (log, log_from) = layout.open_log()?;
    let errors = log.try_clone().map_err(StoreError::file("open", &layout.log))?;
    let program = binaries.program("postgres");
    let mut command = Command::new(&program);
    command.arg("-D").arg(&layout.cluster);
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    // The setting is a list; quotes make it one entry whatever the path holds.
    let socket_dir = layout.socket_dir.to_string_lossy().replace('"', "\"\"");
    command.args(["-c", &format!("unix_socket_directories=\"{socket_dir}\"")]);
    layout::without_settings(&mut command);
    account.apply(&mut command);
    command.process_group(0).stdin(Stdio::null()).stdout(log).stderr(errors);
    let child = command.spawn().map_err(StoreError::file("run", &program))?;
    Ok((child, log_from))
}
