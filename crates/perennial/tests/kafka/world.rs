//! Services that read a topic, and what their logs say afterwards.

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use perennial_log::LogReader;
use perennial_pipeline::PipelineOptions;
use perennial_remote::{Client, ProjectFile};
use perennial_types::{Position, Stream};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cluster::broker;

/// How long a service may take for anything; a member that was killed is missed after ten seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// A data directory that the database's user can enter where tests run as root.
pub(crate) fn data_dir() -> Result<TempDir> {
    let data = tempfile::tempdir()?;
    std::fs::set_permissions(data.path(), Permissions::from_mode(0o755))?;
    Ok(data)
}

/// The program with arguments, and nothing of this environment that it would read.
pub(crate) fn perennial(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_perennial"));
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("PERENNIAL_") || name == "DATABASE_URL")
    {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

/// A service with a client. Dropped, it is killed.
pub(crate) struct World {
    child: Child,
    address: String,
    log: PathBuf,
    pub(crate) client: Client,
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.child.kill().and_then(|()| self.child.wait()));
    }
}

impl World {
    /// Start a service on a data directory, which reads from the shared broker.
    pub(crate) fn start(data: &Path) -> Result<Self> {
        Self::start_at(data, broker()?, &[])
    }

    /// Start a service that reads from other brokers, with more arguments.
    pub(crate) fn start_at(data: &Path, brokers: &str, more: &[&str]) -> Result<Self> {
        let log = data.join("serve.log");
        let output = File::options().create(true).append(true).open(&log)?;
        let data = data.to_str().context("a path in UTF-8")?;
        let mut child = perennial(&["serve", "--data", data, "--port", "0", "--kafka-brokers", brokers])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(output)
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("its output")?).read_line(&mut line)?;
        let told = || std::fs::read_to_string(&log).unwrap_or_default();
        let address = line.trim().strip_prefix("listening on http://").with_context(told)?.to_owned();
        let client = Client::new(&format!("http://{address}"))?;
        Ok(Self { child, address, log, client })
    }

    /// End it in order.
    pub(crate) fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "it ended with {status}\n{}", self.told());
        Ok(())
    }

    /// What it has logged.
    fn told(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) async fn apply(&self, project: &str) -> Result<()> {
        let file = ProjectFile { name: "project.yaml".to_owned(), text: project.to_owned() };
        self.client.apply(&[file], None).await?;
        Ok(())
    }

    /// The source, once it is as wanted.
    pub(crate) async fn source(&self, wanted: impl Fn(&Json) -> bool) -> Result<Json> {
        let began = Instant::now();
        loop {
            let sources = self.client.ask("/v1/sources", &[]).await?;
            let source = sources["items"].get(0).cloned().unwrap_or_default();
            if wanted(&source) {
                return Ok(source);
            }
            if began.elapsed() > PATIENCE {
                bail!("the source stays at {source}\n{}", self.told());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What Prometheus would read.
    pub(crate) async fn metrics(&self) -> Result<String> {
        let address = self.address.as_str();
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok(text)
    }

    /// Wait until so many records are in the log.
    pub(crate) async fn head(&self, least: u64) -> Result<()> {
        let began = Instant::now();
        loop {
            let status = self.client.ask("/v1/status", &[]).await?;
            if status["head"].as_u64().context("a head")? >= least {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                bail!("the log stays at {status}\n{}", self.told());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The payloads of the events of a log, in its order.
pub(crate) fn events(data: &Path) -> Result<Vec<Json>> {
    let reader = LogReader::open(PipelineOptions::new(data).log_dir())?;
    let mut events = Vec::new();
    for record in reader.read(Position(1), reader.head())? {
        let record = record?;
        if record.entry.stream == Stream::Event {
            events.push(serde_json::from_slice(&record.entry.payload)?);
        }
    }
    Ok(events)
}

/// The numbers of the messages of each partition in the order of the log.
pub(crate) fn numbers(events: &[Json]) -> BTreeMap<i64, Vec<i64>> {
    let mut numbers: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for event in events {
        let (part, n) = (event["part"].as_i64().unwrap_or(-1), event["n"].as_i64().unwrap_or(-1));
        numbers.entry(part).or_default().push(n);
    }
    numbers
}
