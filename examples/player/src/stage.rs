//! The life of an example: start the service, let the scenario happen, stop the service whatever came of it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args as _, Command, FromArgMatches as _};
use perennial_remote::Client;
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::service::{Service, fsync_p50_ms};

/// What an example is called.
#[derive(Clone, Copy, Debug)]
pub struct Show {
    /// Its program.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// The model to ask about at the end.
    pub model: &'static str,
}

/// The options of every example.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The perennial binary; default: beside this one.
    #[arg(long)]
    pub perennial: Option<PathBuf>,
    /// Stop Perennial at the end, instead of letting it serve until Ctrl-C.
    #[arg(long)]
    pub once: bool,
    /// Write the numbers to this file as JSON.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// The port that Perennial listens on; 0: any free one; default: 7070 if it is free, with --once any.
    #[arg(long)]
    pub port: Option<u16>,
    /// Perennial's data directory; default: a fresh one, which is removed at the end.
    #[arg(long)]
    pub data: Option<PathBuf>,
}

/// What was measured beside the play.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// Median fsync of the disk that the service writes to, before it started, in milliseconds.
    pub fsync_p50_ms: f64,
    /// User and system time of the service, its trainers and its database so far, in seconds.
    pub cpu_s: f64,
}

/// A running service that a scenario plays against.
#[derive(Debug)]
pub struct Stage<'a> {
    args: &'a Args,
    service: &'a Service,
    fsync_p50_ms: f64,
}

impl Stage<'_> {
    /// A client of the service.
    ///
    /// # Errors
    /// When its address is none.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::new(self.service.url())?)
    }

    /// What was measured up to now.
    ///
    /// # Errors
    /// When the service has ended.
    pub fn machine(&self) -> Result<Machine> {
        Ok(Machine { fsync_p50_ms: self.fsync_p50_ms, cpu_s: self.service.cpu_s()? })
    }

    /// Write the numbers where `--json` says, if it does.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_json(&self, numbers: &impl Serialize) -> Result<()> {
        let Some(path) = &self.args.json else { return Ok(()) };
        let json = serde_json::to_vec_pretty(numbers)?;
        std::fs::write(path, json).with_context(|| format!("writing {}", path.display()))
    }
}

/// An example as a program: read its options, perform, and say on standard error what went wrong.
pub async fn perform(show: Show, scenario: impl AsyncFnOnce(&Stage<'_>) -> Result<()>) -> ExitCode {
    let matches = Args::augment_args(Command::new(show.name).about(show.about)).get_matches();
    let performed = match Args::from_arg_matches(&matches) {
        Ok(args) => run(show, &args, scenario).await,
        Err(error) => Err(error.into()),
    };
    match performed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error:#}", show.name);
            ExitCode::FAILURE
        }
    }
}

async fn run(show: Show, args: &Args, scenario: impl AsyncFnOnce(&Stage<'_>) -> Result<()>) -> Result<()> {
    let mut interrupt = Interrupt::listen()?;
    let binary = match &args.perennial {
        Some(path) => path.clone(),
        None => beside_this_one()?,
    };
    let (data, fresh) = data_directory(show, args)?;
    println!("data directory: {}", data.display());
    let fsync_p50_ms = fsync_p50_ms(&data)?;
    let service = Service::start(&binary, &data, port(args)).await?;
    let stage = Stage { args, service: &service, fsync_p50_ms };
    let outcome = tokio::select! {
        outcome = scenario(&stage) => outcome,
        () = interrupt.wait() => Err(anyhow::anyhow!("interrupted")),
    };
    if outcome.is_ok() && !args.once {
        say_what_to_ask(show, service.url(), &binary, &data);
        interrupt.wait().await;
    }
    let said = service.last_output();
    let outcome = match outcome {
        Err(error) if !said.is_empty() => Err(anyhow::anyhow!("{error:#}\nthe service said last:\n{said}")),
        outcome => outcome,
    };
    service.stop().await?;
    if let Some(fresh) = fresh {
        fresh.close().context("removing the data directory")?;
    }
    outcome
}

fn say_what_to_ask(show: Show, url: &str, binary: &Path, data: &Path) {
    let (model, binary) = (show.model, binary.display());
    println!("\nPerennial serves at {url} until Ctrl-C; the data directory then goes with it. Ask it:");
    println!("  curl -s {url}/v1/models/{model}/versions/current/why");
    println!("  {binary} lineage ancestors {model}/current --server {url}");
    println!("  {binary} skew --data {}", data.display());
}

fn beside_this_one() -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding this executable")?;
    let binary = own.with_file_name("perennial");
    if !binary.exists() {
        bail!("{} does not exist; name the perennial binary with --perennial", binary.display());
    }
    Ok(binary)
}

/// The data directory, and the guard that removes it if it is to be removed.
fn data_directory(show: Show, args: &Args) -> Result<(PathBuf, Option<tempfile::TempDir>)> {
    if let Some(path) = &args.data {
        std::fs::create_dir_all(path).with_context(|| format!("creating {}", path.display()))?;
        return Ok((path.clone(), None));
    }
    let prefix = format!("{}-", show.name);
    let fresh = tempfile::Builder::new().prefix(&prefix).tempdir().context("a fresh directory")?;
    Ok((fresh.path().to_owned(), Some(fresh)))
}

/// The port that was asked for, or the usual one if nobody else has it.
fn port(args: &Args) -> u16 {
    const USUAL: u16 = 7070;
    match args.port {
        Some(port) => port,
        None if args.once => 0,
        None if std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, USUAL)).is_ok() => USUAL,
        None => {
            println!("port {USUAL} is taken; another one is used");
            0
        }
    }
}

/// Ctrl-C and SIGTERM, noticed from the moment of [`Interrupt::listen`] on.
struct Interrupt {
    int: Signal,
    term: Signal,
}

impl Interrupt {
    fn listen() -> Result<Self> {
        Ok(Self { int: signal(SignalKind::interrupt())?, term: signal(SignalKind::terminate())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_known_by_its_name() {
        let line = ["show", "--once", "--port", "0", "--perennial", "p", "--json", "j", "--data", "d"];
        let matches = Args::augment_args(Command::new("show")).get_matches_from(line);
        let args = Args::from_arg_matches(&matches).unwrap();
        assert!(args.once);
        assert_eq!(args.port, Some(0));
        let paths = [args.perennial, args.json, args.data].map(|path| path.unwrap().display().to_string());
        assert_eq!(paths, ["p", "j", "d"]);
    }
}
