//! The trainer that comes with the product: the other side of the run directory's contract.

use std::io::{Read, Write};
use std::path::Path;

use perennial_learn::Fitted;
use perennial_learn::contract::{self, Manifest, Progress, RunSpec, TrainMetrics};
use perennial_log::table::read_table;
use perennial_types::Row;

use crate::TrainerError;

/// Rows that are visited between two lines of progress.
const ROWS_PER_LINE: u64 = 100_000;

/// Train what a run directory asks for, and leave artifact, metrics and manifest in it.
///
/// # Errors
/// [`TrainerError::Data`] where no repetition can help (the caller exits with
/// [`crate::EXIT_DATA`]), [`TrainerError::Machine`] otherwise.
pub fn train_in(run_dir: &Path) -> Result<(), TrainerError> {
    let text = read(&run_dir.join(contract::RUN_FILE))?;
    let spec: RunSpec = serde_json::from_slice(&text).map_err(TrainerError::data)?;
    let (rows, labels) = training_rows(run_dir, &spec)?;
    let parent = match &spec.parent {
        Some(parent) => {
            Some(parent.read(&read(&run_dir.join(&parent.artifact))?).map_err(TrainerError::data)?)
        }
        None => None,
    };
    let mut next_line = ROWS_PER_LINE;
    let mut tell = |progress: Progress| {
        if progress.rows_done >= next_line {
            next_line = progress.rows_done + ROWS_PER_LINE;
            print_line(progress);
        }
    };
    let fitted =
        contract::train(&spec, &rows, &labels, parent.as_ref(), &mut tell).map_err(TrainerError::data)?;
    write_results(run_dir, &spec, &fitted, &rows, &labels)
}

fn training_rows(run_dir: &Path, spec: &RunSpec) -> Result<(Vec<Row>, Vec<f64>), TrainerError> {
    let (schema, table, _) = read_table(&run_dir.join(&spec.training_set)).map_err(TrainerError::machine)?;
    let column = |name: &str| {
        let missing = || TrainerError::Data(format!("the training set has no column {name:?}"));
        schema.index_of(name).ok_or_else(missing)
    };
    let inputs: Vec<usize> = spec.fit.inputs.iter().map(|name| column(name)).collect::<Result<_, _>>()?;
    let label = column(&spec.label)?;
    let labels = table.iter().map(|row| row[label].as_f64().unwrap_or(f64::NAN)).collect();
    let rows = table.iter().map(|row| inputs.iter().map(|index| row[*index].clone()).collect()).collect();
    Ok((rows, labels))
}

fn write_results(
    run_dir: &Path,
    spec: &RunSpec,
    fitted: &Fitted,
    rows: &[Row],
    labels: &[f64],
) -> Result<(), TrainerError> {
    let artifact = fitted.save();
    let metrics = TrainMetrics::of(fitted, rows, labels).map_err(TrainerError::data)?;
    write_json(&run_dir.join(contract::METRICS_FILE), &metrics)?;
    write(&run_dir.join(contract::ARTIFACT_FILE), &artifact)?;
    // The manifest comes last: where it stands, everything that it names is complete.
    write_json(&run_dir.join(contract::MANIFEST_FILE), &Manifest::of(spec, fitted, &artifact))
}

fn print_line(progress: Progress) {
    let mut out = std::io::stdout().lock();
    // A parent that does not listen is no reason to stop training.
    if let Ok(line) = serde_json::to_string(&progress) {
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}

/// Block until standard input ends: the parent holds its other end open for as long as it lives.
pub fn wait_for_parent_to_go() {
    let mut buffer = [0; 64];
    while matches!(std::io::stdin().lock().read(&mut buffer), Ok(read) if read > 0) {}
}

fn read(path: &Path) -> Result<Vec<u8>, TrainerError> {
    std::fs::read(path).map_err(|error| TrainerError::Machine(format!("{}: {error}", path.display())))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), TrainerError> {
    std::fs::write(path, bytes).map_err(|error| TrainerError::Machine(format!("{}: {error}", path.display())))
}

fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<(), TrainerError> {
    write(path, &serde_json::to_vec_pretty(value).map_err(TrainerError::machine)?)
}
