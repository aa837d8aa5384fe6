//! The skew check: a process of its own, from the log's files alone.

use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use perennial_log::LogReader;
use perennial_pipeline::{AuditOptions, Auditor, PipelineOptions};

use crate::cli::SkewOptions;
use crate::output::say;

/// How many differences are printed one by one.
const SHOWN: usize = 20;

pub(crate) fn run(options: &SkewOptions) -> anyhow::Result<ExitCode> {
    let reader = LogReader::open(PipelineOptions::new(&options.data).log_dir())?;
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} records, {eta} to go")?;
    let bar = ProgressBar::new(reader.head().0).with_style(style);
    let audit = Auditor::new(AuditOptions { batch: options.batch, shards: options.shards })
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
