//! The skew check: a process of its own, from the log's files alone.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use perennial_log::LogReader;
use perennial_pipeline::{Against, AuditOptions, Auditor, FeatureSkew, Mode, PipelineOptions};

use crate::cli::SkewOptions;
use crate::output::say;

/// How many differences are printed one by one.
const SHOWN: usize = 20;

pub(crate) fn run(options: &SkewOptions) -> anyhow::Result<ExitCode> {
    let reader = LogReader::open(PipelineOptions::new(&options.data).log_dir())?;
    if let (Some(file), Some(view)) = (&options.against, &options.view) {
        let mode = if options.as_occurred { Mode::AsOccurred } else { Mode::AsKnown };
        let against = Against { file, view, time: &options.time, mode, tolerance: options.tolerance };
        return told(&against.run(&reader)?, options.json);
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} records, {eta} to go")?;
    let bar = ProgressBar::new(reader.head().0).with_style(style);
    let audit = Auditor::new(AuditOptions { batch: options.batch, shards: options.shards, share: 1.0 })
        .run(&reader, |position| bar.set_position(position.0))?;
    bar.finish_and_clear();
    if options.json {
        say(serde_json::to_string_pretty(&audit)?);
    } else {
        say(format!(
            "{} records, {} events; {} values of {} predictions compared, {} lookups not compared: {} differences",
            audit.records,
            audit.events,
            audit.values,
            audit.predictions,
            audit.not_compared,
            audit.differences.len()
        ));
        for skewed in audit.differences.iter().take(SHOWN) {
            say(format!(
                "  prediction {:?} at position {}: {} of {} was served as {}, replay gives {} ({} bits differ)",
                skewed.prediction,
                skewed.position,
                skewed.feature,
                skewed.entity,
                skewed.served,
                skewed.replayed,
                skewed.bits
            ));
        }
        if audit.differences.len() > SHOWN {
            say(format!("  … and {} more; --json prints all", audit.differences.len() - SHOWN));
        }
    }
    let clean = audit.differences.is_empty() && audit.not_compared == 0;
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tell how a table compares, feature by feature.
fn told(found: &BTreeMap<Arc<str>, FeatureSkew>, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        say(serde_json::to_string_pretty(found)?);
    } else {
        for (feature, skew) in found {
            let error = skew.symmetric_error().map_or_else(|| "-".to_owned(), |error| format!("{error:.6}"));
            say(format!(
                "{feature}: {} compared, {} mismatch, {} missing, {} extra, symmetric error {error}",
                skew.compared, skew.mismatch, skew.missing, skew.extra
            ));
        }
    }
    let clean = found.values().all(|skew| skew.share().unwrap_or(0.0) == 0.0);
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
