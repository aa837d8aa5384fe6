//! What is measured: every name once, and how it is written for Prometheus.

mod audits;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::{
    Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use parking_lot::RwLock;
use perennial_control::State;
use perennial_pipeline::{Fallback, Ingested, Pipeline, SourceStatus};
use perennial_types::{Position, Timestamp};

const HTTP_REQUESTS: &str = "perennial_http_requests_total";
const HTTP_DURATION: &str = "perennial_http_request_duration_seconds";
const EVENT_ROWS: &str = "perennial_event_rows_total";
const SOURCE_MESSAGES: &str = "perennial_source_messages_total";
const SOURCE_LAG: &str = "perennial_source_lag_records";
const SOURCE_PARTITIONS: &str = "perennial_source_partitions";
const SOURCE_EVENTS: &str = "perennial_source_events";
const SOURCE_LATE: &str = "perennial_source_late_events";
const SOURCE_WATERMARK: &str = "perennial_source_watermark_seconds";
const SOURCE_KEPT: &str = "perennial_source_kept_rows";
const WATERMARK: &str = "perennial_watermark_seconds";
const DEAD_LETTERS: &str = "perennial_dead_letters";
const PREDICTIONS: &str = "perennial_predictions_total";
const FEEDBACK: &str = "perennial_feedback_total";
const LOG_HEAD: &str = "perennial_log_head_position";
const LOG_APPLIED: &str = "perennial_log_applied_position";
const LINEAGE_PROJECTED: &str = "perennial_lineage_projected_position";
const FEATURE_KEYS: &str = "perennial_feature_keys";
const FEATURE_LATE: &str = "perennial_feature_late_events";
const BACKFILL: &str = "perennial_backfill_position";
const BACKFILL_TARGET: &str = "perennial_backfill_target_position";
const PARITY_READS: &str = "perennial_parity_reads";
const PARITY_DIFFERING: &str = "perennial_parity_differing_reads";
const FEATURE_SPILLED: &str = "perennial_feature_spilled_keys";
const FEATURE_MEMORY: &str = "perennial_feature_memory_bytes";
const FEATURE_DISK: &str = "perennial_feature_disk_bytes";
const FEATURE_TROUBLE: &str = "perennial_feature_views_in_trouble";
const STATE_MEMORY: &str = "perennial_state_memory_bytes";
const STATE_LIMIT: &str = "perennial_state_memory_limit_bytes";
const STATE_READS: &str = "perennial_state_disk_reads_total";
const RUNS_IN_FLIGHT: &str = "perennial_runs_in_flight";
const ROW_VISITS: &str = "perennial_policy_row_visits";
const LABELS: &str = "perennial_labels";
const LATE_LABELS: &str = "perennial_late_labels";

/// Upper bounds of the latency histogram, in seconds.
const LATENCIES: [f64; 14] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// What is counted while requests are answered. What can be read from the state at any time is not kept here
/// but looked up when somebody asks.
pub(crate) struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    /// What counts requests, by the template of the path: looking these up by their labels costs more than a read
    /// of features.
    requests: RwLock<HashMap<Box<str>, Vec<Requests>>>,
}

/// What counts the requests of one route with one method and one status.
struct Requests {
    method: &'static str,
    status: u16,
    duration: Histogram,
    count: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let recorder = recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe_counter!(HTTP_REQUESTS, "Requests by route, method and status");
            describe_histogram!(HTTP_DURATION, "Seconds from a request's head to the head of its answer");
            describe_counter!(EVENT_ROWS, "Rows sent to a source, by what became of them");
            describe_counter!(SOURCE_MESSAGES, "Messages read from a source's topic, by what became of them");
            describe_counter!(PREDICTIONS, "Answered prediction requests; fallback says why no version did");
            describe_counter!(FEEDBACK, "Labels by what became of them");
        });
        Self { recorder, handle, requests: RwLock::default() }
    }

    /// A request was answered; `route` is the template of its path.
    pub(crate) fn requested(&self, route: &str, method: &'static str, status: u16, took: Duration) {
        let of = |known: &&Requests| known.method == method && known.status == status;
        if let Some(known) = self.requests.read().get(route).and_then(|known| known.iter().find(of)) {
            return known.note(took);
        }
        let made = metrics::with_local_recorder(&self.recorder, || {
            let labels = [("route", route.to_owned()), ("method", method.to_owned())];
            let duration = histogram!(HTTP_DURATION, &labels);
            let [route, method_label] = labels;
            let labels = [route, method_label, ("status", status.to_string())];
            Requests { method, status, duration, count: counter!(HTTP_REQUESTS, &labels) }
        });
        made.note(took);
        self.requests.write().entry(route.into()).or_default().push(made);
    }

    /// Rows were sent to a source that is declared.
    pub(crate) fn ingested(&self, source: &str, rows: &Ingested) {
        let outcomes = [
            ("accepted", rows.accepted),
            ("duplicate", rows.duplicates),
            ("refused", rows.refused.len() as u64),
        ];
        metrics::with_local_recorder(&self.recorder, || {
            for (outcome, count) in outcomes {
                counter!(EVENT_ROWS, "source" => source.to_owned(), "outcome" => outcome).increment(count);
            }
        });
    }

    /// Take over what the readers of sources have counted.
    pub(crate) fn read(&self, sources: &[(Arc<str>, SourceStatus)]) {
        metrics::with_local_recorder(&self.recorder, || {
            for (source, status) in sources {
                let outcomes = [
                    ("accepted", status.accepted),
                    ("duplicate", status.duplicates),
                    ("refused", status.refused),
                ];
                for (outcome, count) in outcomes {
                    counter!(SOURCE_MESSAGES, "source" => source.to_string(), "outcome" => outcome)
                        .absolute(count);
                }
            }
        });
    }

    /// A request to an endpoint that is declared was answered.
    pub(crate) fn predicted(&self, endpoint: &str, fallback: Option<Fallback>) {
        let fallback = match fallback {
            None => "none",
            Some(Fallback::NoVersion) => "no_version",
            Some(Fallback::Error) => "error",
            Some(Fallback::NotReady) => "not_ready",
            Some(Fallback::Deadline) => "deadline",
        };
        metrics::with_local_recorder(&self.recorder, || {
            counter!(PREDICTIONS, "endpoint" => endpoint.to_owned(), "fallback" => fallback).increment(1);
        });
    }

    /// A label was taken.
    pub(crate) fn labelled(&self, status: &'static str) {
        metrics::with_local_recorder(&self.recorder, || counter!(FEEDBACK, "status" => status).increment(1));
    }

    /// Fold what histograms have collected.
    pub(crate) fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// Everything in the text format of Prometheus. What `now` shows is written from scratch, so that a view
    /// or model that is gone leaves nothing behind.
    pub(crate) fn render(&self, now: &Present<'_>) -> String {
        let recorder = recorder();
        metrics::with_local_recorder(&recorder, || now.set());
        self.handle.render() + &recorder.handle().render()
    }
}

impl Requests {
    fn note(&self, took: Duration) {
        self.duration.record(took.as_secs_f64());
        self.count.increment(1);
    }
}

fn recorder() -> PrometheusRecorder {
    let buckets = Matcher::Full(HTTP_DURATION.to_owned());
    match PrometheusBuilder::new().set_buckets_for_metric(buckets, &LATENCIES) {
        Ok(builder) => builder.build_recorder(),
        Err(error) => unreachable!("an empty list of buckets is the only one that is refused: {error}"),
    }
}

/// The state of the service that gauges are read from.
pub(crate) struct Present<'a> {
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) sources: &'a [(Arc<str>, SourceStatus)],
    pub(crate) state: &'a State,
    pub(crate) projected: Position,
    pub(crate) at: Timestamp,
}

impl Present<'_> {
    fn set(&self) {
        describe_gauge!(LOG_HEAD, "Position of the last record of the log");
        gauge!(LOG_HEAD).set(self.pipeline.head().0 as f64);
        describe_gauge!(LOG_APPLIED, "Position up to which the log is applied");
        gauge!(LOG_APPLIED).set(self.pipeline.applied().borrow().0 as f64);
        describe_gauge!(LINEAGE_PROJECTED, "Position up to which lineage shows the log");
        gauge!(LINEAGE_PROJECTED).set(self.projected.0 as f64);
        self.set_sources();
        self.set_times();
        self.set_features();
        self.set_models();
        audits::set(self.pipeline, self.at);
        describe_gauge!(LABELS, "Labels that can be trained on, by endpoint");
        describe_gauge!(LATE_LABELS, "Labels that came after the endpoint had given up");
        let endpoints = self.state.goal().map(|goal| goal.endpoints.as_slice()).unwrap_or_default();
        for spec in endpoints {
            let Some(endpoint) = self.state.endpoint(&spec.name) else { continue };
            let labels = endpoint.labels().count_since(Position::START);
            gauge!(LABELS, "endpoint" => spec.name.to_string()).set(labels as f64);
            gauge!(LATE_LABELS, "endpoint" => spec.name.to_string()).set(endpoint.late() as f64);
        }
    }

    fn set_sources(&self) {
        describe_gauge!(SOURCE_LAG, "Messages of a source's topic that are not in the log yet");
        describe_gauge!(SOURCE_PARTITIONS, "Partitions of a source's topic that are read here");
        for (source, status) in self.sources {
            gauge!(SOURCE_PARTITIONS, "source" => source.to_string()).set(status.partitions as f64);
            if let Some(lag) = status.lag {
                gauge!(SOURCE_LAG, "source" => source.to_string()).set(lag as f64);
            }
        }
        describe_gauge!(DEAD_LETTERS, "Rows of a source that were refused and are no events yet");
        for (source, outstanding, _) in self.pipeline.progress().letter_counts() {
            gauge!(DEAD_LETTERS, "source" => source.to_string()).set(outstanding as f64);
        }
    }

    fn set_times(&self) {
        describe_gauge!(SOURCE_EVENTS, "Events of a source in the log");
        describe_gauge!(SOURCE_LATE, "Events that came when the source's watermark had passed them");
        describe_gauge!(SOURCE_WATERMARK, "Watermark of a source, in seconds since 1970");
        describe_gauge!(
            SOURCE_KEPT,
            "Rows that a source keeps for joins, for enriching, and to know repetitions"
        );
        for (source, rows) in self.pipeline.engine().kept_rows() {
            gauge!(SOURCE_KEPT, "source" => source.to_string()).set(rows as f64);
        }
        describe_gauge!(WATERMARK, "The earliest watermark of the sources that are not idle");
        let declared = self.pipeline.declared();
        let Some(goal) = declared.goal() else { return };
        let times = self.pipeline.source_times();
        let seconds = |at: Timestamp| at.micros() as f64 / 1e6;
        for spec in &goal.project.sources {
            let Some(time) = times.get(&spec.name) else { continue };
            gauge!(SOURCE_EVENTS, "source" => spec.name.to_string()).set(time.events() as f64);
            gauge!(SOURCE_LATE, "source" => spec.name.to_string()).set(time.late() as f64);
            if let Some(watermark) = time.watermark(spec.lateness) {
                gauge!(SOURCE_WATERMARK, "source" => spec.name.to_string()).set(seconds(watermark));
            }
        }
        if let Some(watermark) = times.watermark(&goal.project, self.at) {
            gauge!(WATERMARK).set(seconds(watermark));
        }
    }

    fn set_features(&self) {
        describe_gauge!(FEATURE_KEYS, "Entity keys with state, by view and version");
        describe_gauge!(FEATURE_LATE, "Events that came late and were merged, by view and version");
        describe_gauge!(FEATURE_SPILLED, "Of these keys those whose state is on disk alone");
        describe_gauge!(FEATURE_MEMORY, "Bytes that feature state takes in memory, by view and version");
        describe_gauge!(FEATURE_DISK, "Bytes of feature state in files of its own, by view and version");
        describe_gauge!(FEATURE_TROUBLE, "1 for a view that answers nothing any more; /v1/views says why");
        let engine = self.pipeline.engine();
        for view in engine.views() {
            let Some(state) = engine.state(view.version()) else { continue };
            let (name, version) = (view.spec().name.to_string(), view.version().short());
            let values = [
                (FEATURE_KEYS, state.keys as f64),
                (FEATURE_LATE, state.late_events as f64),
                (FEATURE_SPILLED, state.spilled as f64),
                (FEATURE_MEMORY, state.memory_bytes as f64),
                (FEATURE_DISK, state.disk_bytes as f64),
                (FEATURE_TROUBLE, f64::from(u8::from(state.trouble.is_some()))),
            ];
            for (metric, value) in values {
                gauge!(metric, "view" => name.clone(), "version" => version.clone()).set(value);
            }
        }
        describe_gauge!(BACKFILL, "Position up to which a new view is filled from the log");
        describe_gauge!(BACKFILL_TARGET, "Position up to which a new view is to be filled");
        for filling in self.pipeline.engine().backfills() {
            let (name, version) = (filling.view.spec().name.to_string(), filling.view.version().short());
            gauge!(BACKFILL, "view" => name.clone(), "version" => version.clone())
                .set(filling.position.0 as f64);
            gauge!(BACKFILL_TARGET, "view" => name, "version" => version).set(filling.target.0 as f64);
        }
        describe_gauge!(PARITY_READS, "Reads compared between a view's new version and the one that serves");
        describe_gauge!(PARITY_DIFFERING, "Of those the ones that differ, by feature");
        for parity in self.pipeline.engine().parities() {
            gauge!(PARITY_READS, "view" => parity.old().spec().name.to_string()).set(parity.reads() as f64);
            for found in parity.features() {
                gauge!(PARITY_DIFFERING, "feature" => found.feature.to_string()).set(found.differing as f64);
            }
        }
        let memory = engine.memory();
        describe_gauge!(STATE_MEMORY, "Bytes that the feature state of all views takes in memory");
        gauge!(STATE_MEMORY).set(memory.held as f64);
        describe_gauge!(STATE_LIMIT, "Bytes that it may take");
        gauge!(STATE_LIMIT).set(memory.limit as f64);
        describe_counter!(STATE_READS, "Keys whose state was read from disk");
        counter!(STATE_READS).absolute(memory.disk_reads);
    }

    fn set_models(&self) {
        describe_gauge!(RUNS_IN_FLIGHT, "Runs without a verdict, by model");
        describe_gauge!(
            ROW_VISITS,
            "Rows times epochs of the runs that a policy started, by model and policy"
        );
        for (name, model) in self.state.models() {
            let running = f64::from(u8::from(model.in_flight().is_some()));
            gauge!(RUNS_IN_FLIGHT, "model" => name.to_string()).set(running);
        }
        let policies = self.state.goal().map(|goal| goal.policies.as_slice()).unwrap_or_default();
        for policy in policies {
            for name in &policy.spec.models {
                let Some(model) = self.state.model(name) else { continue };
                let visits: u64 = model.past_runs(&policy.spec.name).iter().map(|run| run.row_visits).sum();
                let (model, policy) = (name.to_string(), policy.spec.name.to_string());
                gauge!(ROW_VISITS, "model" => model, "policy" => policy).set(visits as f64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_rendered_with_its_labels() {
        let metrics = Metrics::new();
        metrics.requested("/v1/predict/{endpoint}", "POST", 200, Duration::from_millis(3));
        metrics.predicted("bike", Some(Fallback::NoVersion));
        metrics.ingested("demand", &Ingested { accepted: 2, ..Ingested::default() });
        metrics.labelled("accepted");
        let text = metrics.handle.render();
        for line in [
            "perennial_http_requests_total{route=\"/v1/predict/{endpoint}\",method=\"POST\",status=\"200\"} 1",
            "perennial_http_request_duration_seconds_bucket{route=\"/v1/predict/{endpoint}\",method=\"POST\",le=\"0.005\"} 1",
            "perennial_predictions_total{endpoint=\"bike\",fallback=\"no_version\"} 1",
            "perennial_event_rows_total{source=\"demand\",outcome=\"accepted\"} 2",
            "perennial_feedback_total{status=\"accepted\"} 1",
            "# TYPE perennial_feedback_total counter",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
