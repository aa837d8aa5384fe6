//! `bike-demand`: starts Perennial, plays two years of bike rentals against it, tells what came of it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use bike_demand::{Baselines, Machine, Options, Progress, Report, Service, Story, fsync_p50_ms, hours, play};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use perennial_remote::Client;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Two years of bike rentals, hour by hour, against a Perennial of their own.
#[derive(Debug, Parser)]
struct Args {
    /// The perennial binary; default: beside this one.
    #[arg(long)]
    perennial: Option<PathBuf>,
    /// Stop Perennial at the end, instead of letting it serve until Ctrl-C.
    #[arg(long)]
    once: bool,
    /// Write the numbers to this file as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// The port that Perennial listens on; 0: any free one; default: 7070 if it is free, with --once any.
    #[arg(long)]
    port: Option<u16>,
    /// Perennial's data directory; default: a fresh one, which is removed at the end.
    #[arg(long)]
    data: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bike-demand: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Start the service, let the scenario happen, stop the service whatever came of it.
async fn run(args: Args) -> Result<()> {
    let mut interrupt = Interrupt::listen()?;
    let binary = match &args.perennial {
        Some(path) => path.clone(),
        None => beside_this_one()?,
    };
    let (data, fresh) = data_directory(&args)?;
    println!("data directory: {}", data.display());
    let fsync_p50_ms = fsync_p50_ms(&data)?;
    let service = Service::start(&binary, &data, port(&args)).await?;
    let outcome = tokio::select! {
        outcome = scenario(&args, &service, fsync_p50_ms) => outcome,
        () = interrupt.wait() => Err(anyhow::anyhow!("interrupted")),
    };
    if outcome.is_ok() && !args.once {
        let (url, binary) = (service.url(), binary.display());
        println!("\nPerennial serves at {url} until Ctrl-C; the data directory then goes with it. Ask it:");
        println!("  curl -s {url}/v1/models/bike-windowed/versions/current/why");
        println!("  {binary} lineage ancestors bike-windowed/current --server {url}");
        println!("  {binary} skew --data {}", data.display());
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

/// Play, ask, compare, tell.
async fn scenario(args: &Args, service: &Service, fsync_p50_ms: f64) -> Result<()> {
    let client = Client::new(service.url())?;
    let bar = ProgressBar::new(hours()?.len() as u64);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}")?);
    let figures = play(&client, &Options::default(), |progress| show(&bar, &progress)).await?;
    bar.finish();
    let machine = Machine { fsync_p50_ms, cpu_s: service.cpu_s()? };
    let baselines = tokio::task::spawn_blocking(Baselines::compute);
    let story = Story::read(&client).await?;
    let report = Report::new(&figures, &story, &baselines.await??, machine);
    println!("\n{}", report.text(&figures, &story));
    if let Some(path) = &args.json {
        let json = serde_json::to_vec_pretty(&report)?;
        std::fs::write(path, json).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn show(bar: &ProgressBar, progress: &Progress) {
    if !progress.done.is_multiple_of(50) && progress.done != progress.of {
        return;
    }
    let mae = progress.mae.map_or_else(|| "-".to_owned(), |mae| format!("{mae:.1}"));
    let version = progress.version.map_or_else(|| "none".to_owned(), |version| version.to_string());
    bar.set_position(progress.done as u64);
    bar.set_message(format!("{}  MAE {mae}  version {version}", progress.at));
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
fn data_directory(args: &Args) -> Result<(PathBuf, Option<tempfile::TempDir>)> {
    if let Some(path) = &args.data {
        std::fs::create_dir_all(path).with_context(|| format!("creating {}", path.display()))?;
        return Ok((path.clone(), None));
    }
    let fresh = tempfile::Builder::new().prefix("bike-demand-").tempdir().context("a fresh directory")?;
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
