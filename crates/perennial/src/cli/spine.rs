//! What a spine is asked with.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Server;

/// A file of entities and times, and which history answers it.
#[derive(Args, Clone, Debug)]
pub(crate) struct SpineOptions {
    /// Where the result goes: .parquet or .csv; the spine's columns come first, and no row is lost
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// The column of the time as of which a row is asked
    #[arg(long, default_value = "at")]
    pub(crate) time: String,
    /// Which events a row sees
    #[arg(long, value_enum, default_value_t = AsOf::Known)]
    pub(crate) mode: AsOf,
    /// The service's data directory; the service may run
    #[arg(long, env = "PERENNIAL_DATA", default_value = "data")]
    pub(crate) data: PathBuf,
    /// Declarations in place of those that the log has: a directory of YAML files, or one file
    #[arg(long)]
    pub(crate) project: Option<PathBuf>,
    /// Threads that decode and replay
    #[arg(long, default_value_t = 2)]
    pub(crate) threads: usize,
    /// Events held at once; entities with more are answered in several passes over the log
    #[arg(long, default_value_t = 2_000_000)]
    pub(crate) events_at_once: usize,
    /// Print what the result was made of as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which events a row of a spine sees.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum AsOf {
    /// Those that were known and had happened before the row's time
    #[value(name = "as-known")]
    Known,
    /// Those that had happened before the row's time, whenever they became known
    #[value(name = "as-occurred")]
    Occurred,
    /// Those up to the position in the row's column `position` that had happened before its time
    #[value(name = "as-served")]
    Served,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct FeaturesOptions {
    /// A file of entities and times (CSV, also gzipped, or Parquet): a row for each question
    #[arg(long, value_name = "FILE")]
    pub(crate) as_of: PathBuf,
    /// The views, by name; the file has their entities' columns
    #[arg(long, value_delimiter = ',', required_unless_present = "model", conflicts_with = "model")]
    pub(crate) views: Vec<String>,
    /// A model, for everything that it computes from a request; the file has the request's columns
    #[arg(long)]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) spine: SpineOptions,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct TrainingSetOptions {
    /// A file of requests with their times and labels (CSV, also gzipped, or Parquet)
    #[arg(long, value_name = "FILE")]
    pub(crate) spine: PathBuf,
    /// The model that it is for
    #[arg(long)]
    pub(crate) model: String,
    /// The column of the label; left out, the one that the model's endpoint names
    #[arg(long)]
    pub(crate) label: Option<String>,
    #[command(flatten)]
    pub(crate) options: SpineOptions,
    /// Do not tell lineage; otherwise a running service records it as a dataset
    #[arg(long)]
    pub(crate) unrecorded: bool,
    #[command(flatten)]
    pub(crate) server: Server,
}
