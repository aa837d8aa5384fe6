//! The service: everything is opened in order, served, and closed in order.

use std::fs::{self, File};
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use perennial_gateway::{Gateway, GatewayFold};
use perennial_log::kafka::Brokers;
use perennial_log::{Durability, LogOptions};
use perennial_orchestrator::{ControlFold, ControlHandle, Orchestrator, TrainerOptions};
use perennial_pipeline::{Audits, Fold, HistoryTaken, Pipeline, PipelineOptions, Sources};
use perennial_project::Project;
use perennial_server::{App, Gate, KeyFold, KeyRing};
use perennial_store::{Blobs, Store};
use perennial_types::{Clock, Timestamp};
use rustix::fs::{FlockOperation, flock};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::cli::{self, LogFormat, ServeOptions};
use crate::clock::SystemClock;
use crate::database::Database;
use crate::{declarations, keys, memory};

/// A run that takes longer is ended and repeated.
const TRAINER_TIMEOUT: Duration = Duration::from_secs(30 * 60);

pub(crate) async fn run(options: ServeOptions) -> anyhow::Result<ExitCode> {
    start_logging(options.log_format);
    let begun = Instant::now();
    let address = SocketAddr::new(options.bind, options.port);
    let brokers = brokers(&options)?;
    let _lock = lock(&options.data)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let followed = follow(&options, Arc::clone(&clock)).await?;
    keys::adopt(&options, &followed.keys, &clock).await?;
    let gate = gate(address, &options, followed.keys.clone(), Arc::clone(&clock))?;
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let stopping = Stopping::new()?;
    let database = Database::start(&options).await?;
    let store = Store::connect(&database.address()).await?;
    store.migrate().await?;
    let Followed { pipeline, gateway, control, .. } = followed;
    pipeline.receipts().measure_by(Arc::clone(&clock));
    let audits = Audits::follow(pipeline.clone())?;
    let trainer = trainer(&options)?;
    let orchestrator =
        Orchestrator::start(pipeline.clone(), store.clone(), &control, trainer, Arc::clone(&clock)).await?;
    if let Some(project) = &options.project {
        let files = declarations::read(project)?;
        take_history(&pipeline, &files, project, orchestrator.now()).await?;
        let plan = orchestrator.apply(&files, orchestrator.now()).await?;
        tracing::info!(%plan, "applied the declarations");
    }
    let driver = tokio::spawn({
        let orchestrator = orchestrator.clone();
        async move { orchestrator.drive_wall().await }
    });
    let promoter = tokio::spawn({
        let orchestrator = orchestrator.clone();
        async move { orchestrator.promote_views().await }
    });
    let local = listener.local_addr()?;
    let sources = Sources::start(pipeline.clone(), brokers, Arc::clone(&clock));
    let app = Arc::new(App::new(gateway, orchestrator, sources.clone(), gate, clock));
    tracing::info!(address = %local, ready_ms = begun.elapsed().as_millis() as u64, "ready");
    println!("listening on http://{local}");
    perennial_server::serve(listener, app, stopping.wait()).await?;
    driver.abort();
    promoter.abort();
    sources.stop().await;
    tokio::task::spawn_blocking(move || audits.close()).await??;
    pipeline.close().await?;
    store.close().await;
    database.stop().await?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Take the history that declarations name into a log that is new; paths are relative to the declarations.
async fn take_history(
    pipeline: &Pipeline,
    files: &[(String, String)],
    project: &Path,
    now: Timestamp,
) -> anyhow::Result<()> {
    let Ok(declared) = Project::parse(files) else {
        // The faults are told when it is applied.
        return Ok(());
    };
    let base = if project.is_dir() { Some(project) } else { project.parent() };
    let base = base.unwrap_or(Path::new(".")).to_owned();
    let pipeline = pipeline.clone();
    let taken = tokio::task::spawn_blocking(move || pipeline.take_history(&declared, &base, now)).await??;
    if taken.files > 0 {
        let HistoryTaken { files, rows, there_already, duplicates, after_cut_over } = taken;
        tracing::info!(files, rows, there_already, duplicates, after_cut_over, "history is in the log");
    }
    Ok(())
}

/// The log with everything that follows it.
struct Followed {
    pipeline: Pipeline,
    gateway: Gateway,
    control: ControlHandle,
    keys: KeyRing,
}

async fn follow(options: &ServeOptions, clock: Arc<dyn Clock>) -> anyhow::Result<Followed> {
    let mut pipeline_options = PipelineOptions::new(&options.data);
    if let Some(bytes) = options.memory.or_else(memory::half_of_the_machine) {
        tracing::info!(memory = %bytes, "the bound on feature state");
        pipeline_options.memory_bytes = bytes.0;
    }
    let log_options = LogOptions::new(pipeline_options.log_dir());
    let blobs = Blobs::open(&options.data.join("blobs"))?;
    let (control, gateway, keys) =
        (ControlFold::default(), GatewayFold::new(blobs.clone()), KeyFold::default());
    let (control_handle, gateway_handle, key_handle) = (control.handle(), gateway.handle(), keys.handle());
    let pipeline = tokio::task::spawn_blocking(move || {
        let folds: Vec<Box<dyn Fold>> = vec![Box::new(control), Box::new(gateway), Box::new(keys)];
        Pipeline::open(pipeline_options, log_options, blobs, folds)
    })
    .await??;
    let durability = if options.sync_predictions { Durability::Synced } else { Durability::Written };
    let gateway = gateway_handle.gateway(pipeline.clone(), durability, clock);
    Ok(Followed { gateway, control: control_handle, keys: key_handle.ring(pipeline.clone()), pipeline })
}

/// The door at an address, or the line that would open it.
fn gate(
    address: SocketAddr,
    options: &ServeOptions,
    keys: KeyRing,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Gate> {
    Gate::at(address, keys, clock).map_err(|error| {
        let data = options.data.display();
        anyhow!(
            "{error}; this makes one:\n\n    perennial key create --name admin --scope admin --data {data}\n\n\
             or give one by PERENNIAL_ADMIN_KEY or --admin-key-file, or listen on 127.0.0.1"
        )
    })
}

/// How topics are read, if they are: the one that stands in both file and command line is refused.
fn brokers(options: &ServeOptions) -> anyhow::Result<Option<Brokers>> {
    let mut settings = Vec::new();
    if let Some(path) = &options.kafka_config_file {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                // The line itself may hold a secret.
                let setting = cli::kafka_setting(line);
                settings
                    .push(setting.map_err(|error| anyhow!("{}, line {number}: {error}", path.display()))?);
            }
        }
    }
    settings.extend(options.kafka_settings.iter().cloned());
    match &options.kafka_brokers {
        Some(addresses) => Ok(Some(Brokers::new(addresses, settings)?)),
        None if settings.is_empty() => Ok(None),
        None => {
            bail!("settings of the Kafka client are given, and no brokers; add --kafka-brokers host:port")
        }
    }
}

fn trainer(options: &ServeOptions) -> anyhow::Result<TrainerOptions> {
    Ok(TrainerOptions {
        program: std::env::current_exe().context("cannot find this program's own file")?,
        runs_dir: options.data.join("runs"),
        timeout: TRAINER_TIMEOUT,
        memory_bytes: options.trainer_memory_bytes,
    })
}

/// One service a data directory: the lock ends with the process, however it ends.
pub(crate) fn lock(data: &Path) -> anyhow::Result<File> {
    fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
    let path = data.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        bail!("{} is in use by another service; stop that one, or give another --data", data.display());
    }
    Ok(file)
}

/// Ctrl-C or SIGTERM.
struct Stopping {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stopping {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn wait(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        tracing::info!("stopping: what was admitted is finished");
    }
}

fn start_logging(format: LogFormat) {
    let filter =
        EnvFilter::try_from_env("PERENNIAL_LOG").unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => subscriber.with_target(false).init(),
        LogFormat::Json => subscriber.json().init(),
    }
}
