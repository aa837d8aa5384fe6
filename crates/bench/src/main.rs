//! How fast it is: one benchmark a run, with its figures, their spread and what the machine would allow.
//!
//! `cargo xtask bench NAME [--json FILE]` builds this program for release and runs it. It never asserts a
//! time: a figure goes into the README with the machine and the commit that it was taken on. Each benchmark
//! runs on one thread unless it says otherwise; rates are by CPU time, which other programs on the machine
//! disturb less than the wall clock, and the wall time stands beside it. `ingest`, `serve` and `freshness` start
//! the service itself as a process of its own and are its clients.

mod client;
mod data;
mod freshness;
mod ingest;
mod memory;
mod read;
mod recovery;
mod report;
mod serve;
mod service;
mod state;
mod views;
mod w1;
mod w3;
mod wire;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use crate::report::Report;

/// The benchmarks of the feature engine and of the service around it.
#[derive(Parser)]
#[command(name = "cargo xtask bench")]
struct Arguments {
    /// What to measure.
    name: Name,
    /// Write the figures here as JSON, too.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Take events from this file of JSON lines (ts in ms, user_id, amount) instead of generating them.
    #[arg(long)]
    data: Option<PathBuf>,
    /// How many events are generated; each benchmark has its own default.
    #[arg(long)]
    events: Option<usize>,
    /// How often to repeat it.
    #[arg(long, default_value_t = 3)]
    reps: usize,
    /// Write every row of features to this file: doubles, little-endian, NULL as NaN (w1: ts, user, features).
    #[arg(long)]
    dump: Option<PathBuf>,
    /// Of benchmarks with several parts, only those whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// State update alone: a million keys, six windows from ten minutes to ninety days.
    State,
    /// Thirty features of one entity.
    Read,
    /// A million keys of thirty events each.
    Memory,
    /// Twenty-four features read at each of two million events, from JSON lines.
    W1,
    /// A training set of 200,000 rows over two million events.
    W3,
    /// Rebuilding state: from a snapshot, and by replay.
    Recovery,
    /// From lines of JSON over HTTP to servable features, durable, ten of them.
    Ingest,
    /// Twenty-five features over HTTP, of one entity and of a hundred, the service on one core.
    Serve,
    /// From the arrival of an event until features show it, at 50,000 events a second.
    Freshness,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut report = Report::new(
        &arguments.name.to_possible_value().map_or_else(String::new, |name| name.get_name().to_owned()),
    );
    match arguments.name {
        Name::State => state::run(&arguments, &mut report)?,
        Name::Read => read::run(&arguments, &mut report)?,
        Name::Memory => memory::run(&arguments, &mut report)?,
        Name::W1 => w1::run(&arguments, &mut report)?,
        Name::W3 => w3::run(&arguments, &mut report)?,
        Name::Recovery => recovery::run(&arguments, &mut report)?,
        Name::Ingest => ingest::run(&arguments, &mut report)?,
        Name::Serve => serve::run(&arguments, &mut report)?,
        Name::Freshness => freshness::run(&arguments, &mut report)?,
    }
    report.end();
    report.print();
    match &arguments.json {
        Some(path) => report.write(path),
        None => Ok(()),
    }
}
