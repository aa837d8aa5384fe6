//! Writing reports: what an endpoint did over a window, read from the log.

mod drift;
mod history;

use std::sync::Arc;

use perennial_control::{ReportFile, ReportFormat, ReportRequest, Reported, Version};
use perennial_evaluate::{EndpointSpec, Metric};
use perennial_learn::Task;
use perennial_pipeline::Goal;
use perennial_policy::{DriftRule, SignalKind};
use perennial_report::{FORMAT_VERSION, MetricPoint, MetricSeries, ModelSection, Report, Traffic};
use perennial_types::{TimeSpan, Timestamp};

use self::history::{History, Labelled};
use crate::OrchestratorError;
use crate::measure::{Observer, Subject};
use crate::window::Window;

/// Decisions that a report lists: of more, the newest.
const MOST_DECISIONS: usize = 200;
/// Rows that either side of a comparison must have where no signal says so.
const MIN_ROWS: u64 = 100;

/// What a report is made of.
struct Material<'a> {
    request: &'a ReportRequest,
    goal: &'a Goal,
    endpoint: &'a EndpointSpec,
    history: &'a History,
    window: &'a Window,
}

impl Observer {
    /// Carry out a request for a report: its files are kept before it is told of. The same log gives the same
    /// bytes. Blocks.
    ///
    /// # Errors
    /// When the endpoint is not declared, or the log or a blob cannot be read or written.
    pub(crate) fn report(
        &self,
        request: &ReportRequest,
        on_demand: bool,
    ) -> Result<Reported, OrchestratorError> {
        let report = self.describe(request)?;
        let mut files = Vec::with_capacity(request.formats.len());
        for format in &request.formats {
            let text = match format {
                ReportFormat::Html => report.to_html(),
                ReportFormat::Json => report.to_json(),
                ReportFormat::Markdown => report.to_markdown(),
            };
            let blob = self.pipeline.blobs().put(text.as_bytes())?;
            files.push(ReportFile { format: *format, blob, bytes: text.len() as u64 });
        }
        let alarmed =
            report.models.iter().filter_map(|model| model.drift.as_ref()).any(|drift| drift.alarmed);
        let summary = report.verdict().sentence;
        Ok(Reported { request: request.clone(), on_demand, summary, alarmed, files })
    }

    /// What there is to be said.
    fn describe(&self, request: &ReportRequest) -> Result<Report, OrchestratorError> {
        let declared = self.pipeline.declared();
        let gone = || OrchestratorError::Internal(format!("endpoint {:?} is not declared", request.endpoint));
        let goal = declared.goal().ok_or_else(gone)?;
        let endpoints = &goal.project.endpoints;
        let endpoint = endpoints.iter().find(|spec| spec.name == request.endpoint).ok_or_else(gone)?;
        let reader = self.pipeline.reader();
        let mut history = History::read(reader, endpoint, request)?;
        history.add_lasting(&self.state.lock(), endpoint, request);
        let window = Window::read(reader, &request.endpoint, request.from, request.to)?;
        let material = Material { request, goal, endpoint, history: &history, window: &window };
        let models = endpoint.models.iter().map(|model| self.model_section(&material, model));
        let models = models.collect::<Result<_, _>>()?;
        let mut notes = Vec::new();
        let surplus = history.decisions.len().saturating_sub(MOST_DECISIONS);
        if surplus > 0 {
            notes.push(format!("{surplus} earlier decisions of the window are left out."));
        }
        if history.requests > window.sample.len() as u64 {
            let (drawn, all) = (window.sample.len(), history.requests);
            notes
                .push(format!("Inputs are compared over {drawn} of the {all} requests, drawn by their ids."));
        }
        Ok(Report {
            format_version: FORMAT_VERSION,
            name: request.report.to_string(),
            project: goal.project.name.to_string(),
            endpoint: request.endpoint.to_string(),
            at: request.at,
            from: request.from,
            to: request.to,
            reference: "what each version was trained on".to_owned(),
            requests: history.requests,
            labelled: history.labelled,
            fallbacks: history.fallbacks,
            models,
            decisions: history.decisions[surplus..].to_vec(),
            rollouts: history.rollouts.clone(),
            traffic: Traffic { steps: history.steps.clone(), until: request.to },
            notes,
        })
    }

    fn model_section(
        &self,
        material: &Material<'_>,
        model: &Arc<str>,
    ) -> Result<ModelSection, OrchestratorError> {
        let Material { request, goal, history, window, .. } = *material;
        let version = {
            let state = self.state.lock();
            state.model(model).and_then(|model| in_service(model, request.to)).cloned()
        };
        let (rule, min_rows) = rule_of(goal, model);
        let compared = match &version {
            None => Err(format!("{model} has no version yet")),
            Some(version) => {
                let columns = ["*".into()];
                let (reference, version) = (version.reference, &version.id);
                let subject = Subject { model, version, reference, columns: &columns, min_rows };
                self.compare(&subject, window)?
            }
        };
        let drift = compared.and_then(|compared| drift::section(&compared, rule));
        let (drift, drift_unknown) = match drift {
            Ok(drift) => (Some(drift), None),
            Err(reason) => (None, Some(reason)),
        };
        let task = goal.compiled.model(model).map(|model| model.spec.task);
        let performance =
            task.map_or_else(Vec::new, |task| performance(material, model, version.as_ref(), task));
        Ok(ModelSection {
            model: model.to_string(),
            version: version.map(|version| format!("{model}/{}", version.id.number)),
            share: history.share(model, request),
            drift,
            drift_unknown,
            performance,
        })
    }
}

/// The version that was current at an instant: the present one if it was promoted by then, else the one that was
/// promoted last before it.
fn in_service(model: &perennial_control::ModelState, at: Timestamp) -> Option<&Version> {
    let promoted = |version: &&Version| version.promoted_at.is_some_and(|promoted| promoted <= at);
    let earlier = || {
        let versions = (1..model.next_number()).filter_map(|number| model.version(number));
        versions.filter(promoted).max_by_key(|version| version.promoted_at)
    };
    model.current().filter(promoted).or_else(earlier)
}

/// By what a column of a model counts as changed: as its first drift signal has it.
fn rule_of(goal: &Goal, model: &Arc<str>) -> (DriftRule, u64) {
    let policies = goal.project.policies.iter().filter(|policy| policy.models.contains(model));
    let mut signals = policies.flat_map(|policy| &policy.signals);
    let declared = signals.find_map(|signal| match &signal.kind {
        SignalKind::Drift { rule, min_rows, .. } => Some((*rule, *min_rows)),
        SignalKind::Performance { .. }
        | SignalKind::Detector { .. }
        | SignalKind::Data { .. }
        | SignalKind::Staleness
        | SignalKind::Labels => None,
    });
    declared.unwrap_or((DriftRule::default(), MIN_ROWS))
}

/// What the first signal that watches a metric of a model compares it with; nothing if no policy does, or while
/// there is no baseline.
fn baseline(goal: &Goal, model: &Arc<str>, version: &Version, metric: Metric) -> Option<f64> {
    let policies = goal.project.policies.iter().filter(|policy| policy.models.contains(model));
    let watched = policies.flat_map(|policy| &policy.signals).find_map(|signal| match &signal.kind {
        SignalKind::Performance { metric: name, window, .. } => (&**name == metric.name()).then_some(*window),
        SignalKind::Drift { .. }
        | SignalKind::Detector { .. }
        | SignalKind::Data { .. }
        | SignalKind::Staleness
        | SignalKind::Labels => None,
    });
    Some(version.baseline(metric.name(), watched?)?.value)
}

/// The metrics of a task over the window, step by step.
fn performance(
    material: &Material<'_>,
    model: &Arc<str>,
    version: Option<&Version>,
    task: Task,
) -> Vec<MetricSeries> {
    let metrics = match task {
        Task::Regression => [Metric::Mae, Metric::Rmse],
        Task::Binary => [Metric::Accuracy, Metric::LogLoss],
    };
    let rows: Vec<&Labelled> = material.history.pairs.iter().filter(|row| row.model == *model).collect();
    let request = material.request;
    let step = step_of(request.to.since(request.from));
    let series = metrics.into_iter().map(|metric| {
        let mut points = Vec::new();
        let mut from = request.from;
        while from < request.to {
            let to = (from + step).min(request.to);
            let within = rows.iter().filter(|row| (from..to).contains(&row.at));
            let pairs: Vec<(f64, f64)> = within.map(|row| (row.prediction, row.label)).collect();
            let value = metric.of(&pairs).filter(|value| value.is_finite());
            points.push(MetricPoint { at: to, value, rows: pairs.len() as u64 });
            from = to;
        }
        let unit = metric_unit(metric, material.endpoint);
        let baseline = version.and_then(|version| baseline(material.goal, model, version, metric));
        let all: Vec<(f64, f64)> = rows.iter().map(|row| (row.prediction, row.label)).collect();
        let value = metric.of(&all).filter(|value| value.is_finite());
        MetricSeries { metric: metric.name().to_owned(), unit, baseline, value, points }
    });
    series.collect()
}

/// Days, or hours or minutes where the window is short.
fn step_of(window: TimeSpan) -> TimeSpan {
    let day = TimeSpan::from_days(1);
    let hour = TimeSpan::from_hours(1);
    let minute = TimeSpan::from_secs(60);
    let fits = |step: &TimeSpan| window.micros() >= 3 * step.micros();
    [day, hour].into_iter().find(fits).unwrap_or(minute)
}

/// Errors of a regression have the unit of its label.
fn metric_unit(metric: Metric, endpoint: &EndpointSpec) -> Option<String> {
    match metric {
        Metric::Mae | Metric::Rmse => Some(endpoint.label.name.to_string()),
        Metric::Accuracy | Metric::RocAuc | Metric::LogLoss => None,
    }
}
