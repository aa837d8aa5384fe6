//! What the audits have found, for Prometheus.

use metrics::{describe_gauge, gauge};
use perennial_pipeline::{Audits, Pipeline};
use perennial_types::{TimeSpan, Timestamp};

const AUDIT_LAG: &str = "perennial_audit_lag_records";
const SKEW_VALUES: &str = "perennial_skew_values";
const SKEW_ERROR: &str = "perennial_skew_symmetric_error_ratio";
const FEATURE_NULLS: &str = "perennial_feature_null_ratio";
const COLUMN_NULLS: &str = "perennial_column_null_ratio";
const SOURCE_ROWS: &str = "perennial_source_rows";
const SOURCE_LOST: &str = "perennial_source_lost_rows";
const SOURCE_UNAPPLIED: &str = "perennial_source_unapplied_events";
const FRESHNESS: &str = "perennial_freshness_seconds";

/// Ratios and quantiles are those of so long.
const LATELY: TimeSpan = TimeSpan::from_hours(1);

/// Set the gauges of everything that is audited, as of `now`.
pub(super) fn set(pipeline: &Pipeline, now: Timestamp) {
    let Some(audits) = pipeline.audits() else { return };
    let to = now + TimeSpan::from_micros(1);
    describe();
    set_features(&audits, (to - LATELY, to));
    let applied = pipeline.applied().borrow().0;
    let through = audits.look(|figures| figures.through.0);
    gauge!(AUDIT_LAG).set(applied.saturating_sub(through) as f64);
    for source in pipeline.receipts().sources() {
        set_source(pipeline, &audits, &source, (to - LATELY, to));
    }
}

fn describe() {
    describe_gauge!(AUDIT_LAG, "Records that are applied and not audited yet");
    describe_gauge!(SKEW_VALUES, "Served values of sampled entities that were replayed, by what was found");
    describe_gauge!(
        SKEW_ERROR,
        "Symmetric mean absolute percentage error of served against replayed numbers"
    );
    describe_gauge!(FEATURE_NULLS, "Part of a feature's values that were NULL as served, in the last hour");
    describe_gauge!(COLUMN_NULLS, "Part of a source column's values that were NULL, in the last hour");
    describe_gauge!(SOURCE_ROWS, "Rows of a source by what became of them");
    describe_gauge!(SOURCE_LOST, "Rows that producers say they sent in the last hour and that never came");
    describe_gauge!(SOURCE_UNAPPLIED, "Events of the last hour that are in the log and not in the features");
    describe_gauge!(FRESHNESS, "Seconds from an event to when it could be read, in the last hour");
}

fn set_features(audits: &Audits, (from, to): (Timestamp, Timestamp)) {
    audits.look(|figures| {
        for (feature, skew) in &figures.skew {
            let (skew, feature) = (skew.total(), feature.to_string());
            for (outcome, count) in [
                ("compared", skew.compared),
                ("mismatch", skew.mismatch),
                ("missing", skew.missing),
                ("extra", skew.extra),
            ] {
                gauge!(SKEW_VALUES, "feature" => feature.clone(), "outcome" => outcome).set(count as f64);
            }
            if let Some(error) = skew.symmetric_error() {
                gauge!(SKEW_ERROR, "feature" => feature).set(error);
            }
        }
        for (feature, served) in &figures.features {
            if let Some(rate) = served.counts.over(from, to).null_rate() {
                gauge!(FEATURE_NULLS, "feature" => feature.to_string()).set(rate);
            }
        }
        for (source, found) in &figures.sources {
            for (column, figures) in &found.columns {
                if let Some(rate) = figures.counts.over(from, to).null_rate() {
                    let (source, column) = (source.to_string(), column.to_string());
                    gauge!(COLUMN_NULLS, "source" => source, "column" => column).set(rate);
                }
            }
        }
    });
}

fn set_source(pipeline: &Pipeline, audits: &Audits, source: &str, (from, to): (Timestamp, Timestamp)) {
    let name = || source.to_owned();
    let known =
        pipeline.receipts().of(source, |_, known| (known.arrived.total(), known.freshness.over(from, to)));
    if let Some((total, lately)) = known {
        for (outcome, count) in [
            ("appended", total.appended),
            ("duplicate", total.duplicates),
            ("dead_letter", total.dead_letters),
            ("redriven", total.redriven),
        ] {
            gauge!(SOURCE_ROWS, "source" => name(), "outcome" => outcome).set(count as f64);
        }
        for (quantile, share) in [("0.5", 0.5), ("0.99", 0.99), ("1", 1.0)] {
            if let Some(seconds) = lately.quantile(share) {
                gauge!(FRESHNESS, "source" => name(), "quantile" => quantile).set(seconds);
            }
        }
    }
    if let Some(loss) = audits.loss(source, from, to) {
        gauge!(SOURCE_LOST, "source" => name()).set(loss.lost as f64);
        gauge!(SOURCE_UNAPPLIED, "source" => name()).set(loss.unapplied as f64);
    }
}
