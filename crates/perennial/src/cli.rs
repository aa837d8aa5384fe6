//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use perennial_control::Scope;
use perennial_remote::{Client, RemoteError};
use perennial_types::{Secret, TimeSpan, Timestamp};

use crate::memory::Bytes;

#[cfg(test)]
mod image;
mod spine;

pub(crate) use spine::{AsOf, FeaturesOptions, SpineOptions, TrainingSetOptions};

/// Perennial keeps deployed models fresh: events become features, predictions get labels, policies start
/// training when the evidence is there, and every step is lineage.
#[derive(Parser)]
#[command(name = "perennial", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the service: log, features, predictions, the loop, lineage, REST
    Serve(ServeOptions),
    /// Check declarations and name every fault with file, line and what would help
    Validate {
        /// Directory of YAML files, or one file
        project: PathBuf,
    },
    /// Show what applying declarations would change
    Plan {
        /// Directory of YAML files, or one file
        project: PathBuf,
        #[command(flatten)]
        server: Server,
    },
    /// Make declarations the goal state of a running service
    Apply {
        /// Directory of YAML files, or one file
        project: PathBuf,
        /// The instant on the event clock; left out, the present one
        #[arg(long)]
        at: Option<Timestamp>,
        #[command(flatten)]
        server: Server,
    },
    /// Send the rows of a file (CSV, JSONL, both also gzipped, Parquet) to a source
    Import {
        /// The source
        source: String,
        /// The file; its columns are matched to the schema by name
        file: PathBuf,
        /// The instant on the event clock at which the rows arrive
        #[arg(long)]
        at: Option<Timestamp>,
        #[command(flatten)]
        server: Server,
    },
    /// Features of a file of entities and times, each row as of its time, by replay of the log
    Features(FeaturesOptions),
    /// A training set of a file of requests with labels, by replay of the log; lineage keeps it as a dataset
    TrainingSet(TrainingSetOptions),
    /// What was refused of a source: look at it, and send it again once what was wrong is right
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Replay the log and compare every feature that was served, bit by bit
    Skew(SkewOptions),
    /// Make, list and revoke the keys that callers bring
    #[command(subcommand)]
    Key(KeyCommand),
    /// Ask a running service
    #[command(flatten)]
    Ask(Question),
    /// Train what a run directory asks for (started by the service)
    #[command(hide = true)]
    Train {
        #[arg(long)]
        run_dir: PathBuf,
        #[arg(long)]
        memory_bytes: Option<u64>,
    },
}

/// Where the service is.
#[derive(Args, Clone, Debug)]
pub(crate) struct Server {
    /// Address of the service
    #[arg(long = "server", env = "PERENNIAL_URL", default_value = "http://127.0.0.1:7070")]
    pub(crate) url: String,
    /// Key to bring, where the service asks for one
    #[arg(long, env = "PERENNIAL_KEY", hide_env_values = true)]
    pub(crate) key: Option<Secret>,
}

impl Server {
    /// A client of that service.
    pub(crate) fn client(&self) -> Result<Client, RemoteError> {
        let client = Client::new(&self.url)?;
        match &self.key {
            Some(key) => client.with_key(key),
            None => Ok(client),
        }
    }
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ServeOptions {
    /// Directory of log, snapshots, artifacts and the embedded database
    #[arg(long, env = "PERENNIAL_DATA", default_value = "data")]
    pub(crate) data: PathBuf,
    /// Address to listen on; beyond loopback only with a key of scope admin
    #[arg(long, env = "PERENNIAL_BIND", default_value = "127.0.0.1")]
    pub(crate) bind: IpAddr,
    /// Port to listen on; 0 takes any free one
    #[arg(long, env = "PERENNIAL_PORT", default_value_t = 7070)]
    pub(crate) port: u16,
    /// File with a key of scope admin, made up elsewhere, of at least 32 characters; PERENNIAL_ADMIN_KEY gives the
    /// key itself
    #[arg(long, env = "PERENNIAL_ADMIN_KEY_FILE", conflicts_with = "admin_key")]
    pub(crate) admin_key_file: Option<PathBuf>,
    /// A command line can be seen by others, so this comes by the environment.
    #[arg(long, env = "PERENNIAL_ADMIN_KEY", hide = true, hide_env_values = true)]
    pub(crate) admin_key: Option<Secret>,
    /// A Postgres to use in place of the embedded one: postgres://user@host:5432/database
    #[arg(long, env = "DATABASE_URL")]
    pub(crate) database_url: Option<String>,
    /// Directory with the Postgres programs for the embedded database
    #[arg(long, env = "PERENNIAL_PG_BIN")]
    pub(crate) pg_bin: Option<PathBuf>,
    /// Kafka brokers for sources that read a topic: host:port, more of them separated by commas
    #[arg(long, env = "PERENNIAL_KAFKA_BROKERS")]
    pub(crate) kafka_brokers: Option<String>,
    /// A setting of the Kafka client, as `security.protocol=sasl_ssl`; may be given more than once. Secrets belong into
    /// the file
    #[arg(long = "kafka-config", value_name = "NAME=VALUE", value_parser = kafka_setting)]
    pub(crate) kafka_settings: Vec<(String, Secret)>,
    /// File with settings of the Kafka client, NAME=VALUE a line; `#` begins a comment
    #[arg(long, env = "PERENNIAL_KAFKA_CONFIG_FILE")]
    pub(crate) kafka_config_file: Option<PathBuf>,
    /// Declarations to apply at the start: a directory of YAML files, or one file
    #[arg(long)]
    pub(crate) project: Option<PathBuf>,
    /// Acknowledge a prediction only when its record is synced, not when it is written
    #[arg(long, env = "PERENNIAL_SYNC_PREDICTIONS")]
    pub(crate) sync_predictions: bool,
    /// What feature state may take in memory (4GiB, 512MiB); entities that were not used for a while are read from
    /// disk beyond it. Left out, half of the machine's memory
    #[arg(long, env = "PERENNIAL_MEMORY", value_name = "BYTES")]
    pub(crate) memory: Option<Bytes>,
    /// Address space a trainer may use, in bytes
    #[arg(long, env = "PERENNIAL_TRAINER_MEMORY", default_value_t = 8 << 30)]
    pub(crate) trainer_memory_bytes: u64,
    /// How logs are written to standard error; PERENNIAL_LOG says what (`info`, `debug`, `perennial_log=debug` …)
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

/// A setting of the Kafka client.
pub(crate) fn kafka_setting(text: &str) -> Result<(String, Secret), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), Secret::new(value.trim())))
        }
        Some(_) | None => Err("write it as NAME=VALUE, such as security.protocol=sasl_ssl".to_owned()),
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct SkewOptions {
    /// The service's data directory; the service may run
    #[arg(long, env = "PERENNIAL_DATA", default_value = "data")]
    pub(crate) data: PathBuf,
    /// Records read ahead
    #[arg(long, default_value_t = 777)]
    pub(crate) batch: usize,
    /// Shards of every view
    #[arg(long, default_value_t = 3)]
    pub(crate) shards: usize,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Compare with a table that another system computed (CSV, JSONL, Parquet) in place of what was served: columns of
    /// the entity, of instants, and features by name
    #[arg(long, value_name = "FILE", requires = "view")]
    pub(crate) against: Option<PathBuf>,
    /// The view whose features the table has
    #[arg(long, requires = "against")]
    pub(crate) view: Option<String>,
    /// The table's column of instants
    #[arg(long, default_value = "at", requires = "against")]
    pub(crate) time: String,
    /// The table's values are of what had happened before its instants, whenever it became known
    #[arg(long, requires = "against")]
    pub(crate) as_occurred: bool,
    /// Numbers of the table that are apart by no more than this part of the larger one are equal
    #[arg(long, default_value_t = 1e-9, requires = "against")]
    pub(crate) tolerance: f64,
}

/// What is done with keys.
#[derive(Subcommand, Clone, Debug)]
pub(crate) enum KeyCommand {
    /// Make a key; its secret is printed this once. The first key wants the scope admin
    Create {
        /// What it is for
        #[arg(long)]
        name: String,
        /// What it opens: read, predict, write, admin (everything); may be given more than once
        #[arg(long = "scope", required = true, value_parser = scope)]
        scopes: Vec<Scope>,
        /// How long it opens anything, as 30d; for ever if left out
        #[arg(long)]
        expires_in: Option<TimeSpan>,
        #[command(flatten)]
        keeper: Keeper,
    },
    /// The keys, revoked ones included, without their secrets
    List {
        #[command(flatten)]
        keeper: Keeper,
    },
    /// Take a key's power away for good
    Revoke {
        /// The key's id, as `key list` shows it
        id: String,
        #[command(flatten)]
        keeper: Keeper,
    },
}

/// What is done with rows that were refused.
#[derive(Subcommand, Clone, Debug)]
pub(crate) enum DeadLetters {
    /// Those that are no events yet, oldest first, with the reason, where they came from and what was sent
    List {
        /// The source
        source: String,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        #[command(flatten)]
        server: Server,
    },
    /// Send all of them again, as the source is declared now; each becomes an event once
    Redrive {
        /// The source
        source: String,
        /// The instant on the event clock at which they arrive
        #[arg(long)]
        at: Option<Timestamp>,
        #[command(flatten)]
        server: Server,
    },
}

/// What is audited.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Audited {
    /// Features as they were served
    Features,
    /// Sources and their columns
    Sources,
}

/// Who keeps the keys: a running service, or the data directory of a stopped one.
#[derive(Args, Clone, Debug)]
pub(crate) struct Keeper {
    /// Data directory of a service that is stopped, in place of a running one
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) server: Server,
}

fn scope(name: &str) -> Result<Scope, String> {
    Scope::named(name)
}

/// What can be asked of a running service. Answers are JSON.
#[derive(Subcommand, Clone, Debug)]
pub(crate) enum Question {
    /// Whether the service answers requests; asks for no key
    Ready {
        #[command(flatten)]
        server: Server,
    },
    /// Where the service stands
    Status {
        #[command(flatten)]
        server: Server,
    },
    /// The declared sources: watermarks, late events, lag behind their topics, trouble, dead letters
    Sources {
        #[command(flatten)]
        server: Server,
    },
    /// What the audits found: how far they are; skew and quality of features; rows and columns of sources
    Audits {
        /// Which of them; left out, how far they are and the last skewed values
        #[arg(value_enum)]
        what: Option<Audited>,
        /// From this instant on; left out, a day before the end
        #[arg(long)]
        from: Option<Timestamp>,
        /// Before this instant; left out, now
        #[arg(long)]
        to: Option<Timestamp>,
        #[command(flatten)]
        server: Server,
    },
    /// The loss audit of a source by ten minutes: what came, what became of it, and what producers sent
    Loss {
        /// The source
        source: String,
        /// From this instant on; left out, a day before the end
        #[arg(long)]
        from: Option<Timestamp>,
        /// Before this instant; left out, now
        #[arg(long)]
        to: Option<Timestamp>,
        #[command(flatten)]
        server: Server,
    },
    /// The feature views in use, and how far new ones are filled from the log
    Views {
        #[command(flatten)]
        server: Server,
    },
    /// The models and their current versions
    Models {
        #[command(flatten)]
        server: Server,
    },
    /// Runs, newest first
    Runs {
        /// Of this model only
        #[arg(long)]
        model: Option<String>,
        /// In this state only: requested, running, succeeded, failed, admitted, refused, promoted
        #[arg(long)]
        state: Option<String>,
        #[command(flatten)]
        server: Server,
    },
    /// What was decided and why, newest first
    Decisions {
        /// About this model only
        #[arg(long)]
        model: Option<String>,
        /// With this verdict only: started, held, changed, admitted, advanced, promoted, refused, failed,
        /// rolled_back, began, removed, concluded, routed
        #[arg(long)]
        verdict: Option<String>,
        /// The decisions in force at this instant
        #[arg(long)]
        at: Option<Timestamp>,
        #[command(flatten)]
        server: Server,
    },
    /// Why things were as they were at an instant: did it retrain, or why not? who got the traffic?
    Why {
        /// About this model
        #[arg(long, conflicts_with = "endpoint", required_unless_present = "endpoint")]
        model: Option<String>,
        /// About this endpoint and its models
        #[arg(long)]
        endpoint: Option<String>,
        /// The instant; left out, now
        #[arg(long)]
        at: Option<Timestamp>,
        /// Print everything that was decided as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: Server,
    },
    /// How an endpoint's requests were split over versions, newest first
    Traffic {
        /// The endpoint
        endpoint: String,
        /// From this instant on
        #[arg(long)]
        from: Option<Timestamp>,
        /// Before this instant
        #[arg(long)]
        to: Option<Timestamp>,
        #[command(flatten)]
        server: Server,
    },
    /// How candidates reached traffic, or did not, newest first
    Rollouts {
        /// Of this model only
        #[arg(long)]
        model: Option<String>,
        #[command(flatten)]
        server: Server,
    },
    /// Experiments that began, newest first
    Experiments {
        #[command(flatten)]
        server: Server,
    },
    /// Reports, newest first
    Reports {
        /// About this endpoint only
        #[arg(long)]
        endpoint: Option<String>,
        #[command(flatten)]
        server: Server,
    },
    /// Where a version came from, what came of it, why it exists, what served
    Lineage {
        #[command(subcommand)]
        query: Lineage,
    },
    /// Put an earlier version of a model back into service
    Rollback {
        /// The model
        model: String,
        /// The version's number; left out, the one that served before
        #[arg(long)]
        to: Option<u64>,
        /// Why, for lineage
        #[arg(long)]
        reason: String,
        /// The instant on the event clock; left out, the present one
        #[arg(long)]
        at: Option<Timestamp>,
        #[command(flatten)]
        server: Server,
    },
}

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum Lineage {
    /// A version: `bike-windowed/3`, `bike-windowed/current` or `bike-windowed/<content hash>`
    Version(Named),
    /// What a version was trained from, nearest first
    Ancestors(Named),
    /// What was trained from a version
    Descendants(Named),
    /// Why a version exists
    Why(Named),
    /// What served at an endpoint at an instant
    At {
        /// The endpoint
        endpoint: String,
        /// The instant
        at: Timestamp,
        #[command(flatten)]
        server: Server,
    },
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Named {
    /// `model/version`: a number, `current`, or a content hash
    pub(crate) version: String,
    #[command(flatten)]
    pub(crate) server: Server,
}
