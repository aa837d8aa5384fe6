//! What the end-to-end tests share: the binary under test, its data directories, and what its log says.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use perennial_control::{ControlRecord, Outcome};
use perennial_log::LogReader;
use perennial_pipeline::{PipelineOptions, control_record};
use perennial_types::{Position, Stream};
use tempfile::TempDir;

/// The binary under test, built beside this test's own.
///
/// # Errors
/// When it was not built: `cargo xtask test` builds it, `cargo build` does so by hand.
pub fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target =
        own.parent().and_then(std::path::Path::parent).context("a test runs in target/<profile>/deps")?;
    let binary = target.join("perennial");
    ensure!(binary.exists(), "{} is not built; run cargo build, or cargo xtask test", binary.display());
    Ok(binary)
}

/// An empty data directory that the database's user can enter; removed when it is dropped.
///
/// # Errors
/// When it cannot be made.
pub fn data_dir() -> Result<TempDir> {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir()?;
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755))?;
    Ok(dir)
}

/// What a log says, counted.
#[derive(Debug, Default, PartialEq)]
pub struct Told {
    /// How often each event, prediction and feedback id stands there.
    pub ids: BTreeMap<(Stream, String), u64>,
    /// How many outcomes each run has.
    pub outcomes: BTreeMap<String, u64>,
    /// The content hashes of the versions in the order in which they were made.
    pub versions: Vec<String>,
    /// What was decided, in order: when, about which model, and the reason.
    pub decisions: Vec<(String, String, String)>,
}

/// Read a whole log from its files.
///
/// # Errors
/// When it cannot be read or understood.
pub fn told(data: &std::path::Path) -> Result<Told> {
    let reader = LogReader::open(PipelineOptions::new(data).log_dir())?;
    let mut told = Told::default();
    for record in reader.read(Position(1), reader.head())? {
        let record = record?;
        match record.entry.stream {
            Stream::Event | Stream::Prediction | Stream::Feedback => {
                *told.ids.entry((record.entry.stream, record.entry.id.to_string())).or_default() += 1;
            }
            Stream::Control => match control_record(&record)? {
                ControlRecord::RunFinished(finished) => {
                    *told.outcomes.entry(finished.run.to_string()).or_default() += 1;
                    if let Outcome::Succeeded(trained) = finished.outcome {
                        told.versions.push(trained.content_hash.to_string());
                    }
                }
                ControlRecord::Decided(decided) => {
                    for decision in decided.decisions {
                        let at = decided.at.to_string();
                        told.decisions.push((at, decision.model.to_string(), decision.reason));
                    }
                }
                ControlRecord::RolloutMoved(moved) => {
                    told.decisions.push((moved.at.to_string(), moved.model.to_string(), moved.reason));
                }
                ControlRecord::ExperimentMoved(moved) => {
                    told.decisions.push((moved.at.to_string(), moved.experiment.to_string(), moved.reason));
                }
                ControlRecord::Routed(routed) => {
                    told.decisions.push((routed.at.to_string(), routed.endpoint.to_string(), routed.reason));
                }
                ControlRecord::Applied(_)
                | ControlRecord::Judged(_)
                | ControlRecord::RolledBack(_)
                | ControlRecord::Measured(_)
                | ControlRecord::Reported(_)
                | ControlRecord::ViewPromoted(_)
                | ControlRecord::DatasetMade(_)
                | ControlRecord::KeyAdded(_)
                | ControlRecord::KeyRevoked(_)
                | ControlRecord::InstantDone { .. } => {}
            },
            Stream::Progress => {}
            Stream::DeadLetter => anyhow::bail!("a dead letter at position {}", record.position),
        }
    }
    Ok(told)
}
