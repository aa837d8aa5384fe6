//! A project with its data directory and its gateway.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use perennial_control::{Applied, ControlRecord, Judged, RunVerdict, VersionRef};
use perennial_gateway::{Gateway, GatewayError, GatewayFold, Reply};
use perennial_learn::{FitSpec, Fitted};
use perennial_log::{Durability, LogOptions};
use perennial_pipeline::{Pipeline, PipelineOptions, PredictionRecord};
use perennial_project::Project;
use perennial_store::Blobs;
use perennial_types::{Clock, ContentHash, Position, Stream, TimeSpan, Timestamp, Value};
use serde_json::{Value as Json, json};
use tokio::runtime::Runtime;

/// Two models of one endpoint, each with a view of its own.
pub(crate) const PROJECT: &str = r#"
kind: Project
name: taxi
---
kind: Source
name: rides
schema: {at: timestamp, zone: string, fare: double}
event_time: at
---
kind: FeatureView
name: zone
entity: [zone]
from: rides
aggregates: [{name: fare, op: avg, of: fare, windows: [7d]}]
---
kind: FeatureView
name: busy
entity: [zone]
from: rides
aggregates: [{name: rides, op: count, windows: [1d]}]
---
kind: Model
name: one
task: regression
request: {km: double, zone: string}
features: [zone.*]
transforms: [{of: [km, zone.*], fn: standardize}]
learner: {kind: linear}
---
kind: Model
name: two
task: regression
request: {zone: string, night: boolean?}
features: [busy.*]
transforms: [{of: [busy.*], fn: standardize}]
learner: {kind: linear}
---
kind: Endpoint
name: fare
models: [one, two]
initial: one
label: {name: paid, matures_after: 2h}
on_failure: {deadline: 20ms, default: 7.5}
"#;

pub(crate) fn minute(minutes: i64) -> Timestamp {
    Timestamp::parse("2024-05-01").unwrap() + TimeSpan::from_secs(minutes * 60)
}

pub(crate) struct World {
    pub(crate) runtime: Runtime,
    pub(crate) pipeline: Pipeline,
    pub(crate) gateway: Gateway,
}

/// A clock that takes a step at each look.
struct Stepping {
    looks: AtomicI64,
    step: TimeSpan,
}

impl Clock for Stepping {
    fn now(&self) -> Timestamp {
        let looks = self.looks.fetch_add(1, Ordering::Relaxed);
        minute(0) + TimeSpan::from_micros(looks * self.step.micros())
    }
}

impl World {
    pub(crate) fn open(data: &Path) -> Self {
        Self::open_with(data, TimeSpan::ZERO)
    }

    /// With a wall clock that takes a step at each look.
    pub(crate) fn open_with(data: &Path, step: TimeSpan) -> Self {
        let options = PipelineOptions::new(data);
        let log = LogOptions::new(options.log_dir());
        let blobs = Blobs::open(&data.join("blobs")).unwrap();
        let fold = GatewayFold::new(blobs.clone());
        let handle = fold.handle();
        let pipeline = Pipeline::open(options, log, blobs, vec![Box::new(fold)]).unwrap();
        let clock = Arc::new(Stepping { looks: AtomicI64::new(0), step });
        let gateway = handle.gateway(pipeline.clone(), Durability::Written, clock);
        Self { runtime: Runtime::new().unwrap(), pipeline, gateway }
    }

    pub(crate) fn control(&self, record: ControlRecord) {
        let records = [record];
        let appended = self.pipeline.append_control(&records, minute(0), Durability::Synced);
        self.runtime.block_on(appended).unwrap();
    }

    pub(crate) fn apply(&self) {
        let project = Project::parse(&[("taxi.yaml".into(), PROJECT.into())])
            .unwrap_or_else(|faults| panic!("{faults:?}"));
        let (at, hash, goal) = (minute(0), project.hash(), project.compile().unwrap().goal);
        let declarations = serde_json::to_value(&project).unwrap();
        self.control(ControlRecord::Applied(Applied { at, hash, goal, declarations }));
    }

    /// Fit and promote a version of model "one" whose answer grows with the distance.
    pub(crate) fn promote(&self) -> Fitted {
        let (version, fitted) = self.version("one", 1, 2.0);
        self.judge("one", version, RunVerdict::Promoted);
        fitted
    }

    /// A version of a model whose answer grows with its first input.
    pub(crate) fn version(&self, model: &str, number: u64, slope: f64) -> (VersionRef, Fitted) {
        let declared = self.pipeline.declared();
        let model = declared.goal().unwrap().compiled.model(model).unwrap();
        self.fitted(model.definition, &model.fit, number, slope)
    }

    /// A version that fails whatever it is asked: it wants an input that its definition does not give.
    pub(crate) fn failing(&self, model: &str, number: u64) -> VersionRef {
        let declared = self.pipeline.declared();
        let model = declared.goal().unwrap().compiled.model(model).unwrap();
        let mut fit = model.fit.clone();
        fit.inputs.push("another".into());
        self.fitted(model.definition, &fit, number, 1.0).0
    }

    fn fitted(
        &self,
        definition: ContentHash,
        fit: &FitSpec,
        number: u64,
        slope: f64,
    ) -> (VersionRef, Fitted) {
        let row = |x: u32| vec![Value::Double(f64::from(x)); fit.inputs.len()];
        let rows: Vec<Vec<Value>> = (0..40).map(row).collect();
        let labels: Vec<f64> = (0..40).map(|x| slope * f64::from(x)).collect();
        let fitted = Fitted::fit(fit, &rows, &labels).unwrap();
        let artifact = self.pipeline.blobs().put(&fitted.save()).unwrap();
        let content_hash = fitted.content_hash(None);
        (VersionRef { number, content_hash, artifact, definition }, fitted)
    }

    pub(crate) fn judge(&self, model: &str, version: VersionRef, verdict: RunVerdict) {
        self.control(ControlRecord::Judged(Judged {
            run: format!("run_{model}_{}", version.number).into(),
            model: model.into(),
            at: minute(0),
            verdict,
            reason: "it was asked for".into(),
            version: Some(version),
            first: true,
            endpoint: "fare".into(),
        }));
    }

    pub(crate) fn ride(&self, zone: &str, fare: f64, at: Timestamp) {
        let body = json!({"at": at, "zone": zone, "fare": fare}).to_string();
        let queued = self.pipeline.ingest("rides", body.as_bytes(), at).unwrap();
        assert_eq!(self.runtime.block_on(queued.acknowledged()).unwrap().accepted, 1);
    }

    pub(crate) fn predict(&self, id: &str, request: &Json, at: Timestamp) -> Result<Reply, GatewayError> {
        let predicting = self.gateway.predict("fare", Some(id), request, at)?;
        self.runtime.block_on(predicting.answered())
    }

    pub(crate) fn record(&self, position: Position) -> PredictionRecord {
        let record = self.pipeline.reader().read(position, position).unwrap().next().unwrap().unwrap();
        assert_eq!(record.entry.stream, Stream::Prediction);
        serde_json::from_slice(&record.entry.payload).unwrap()
    }

    pub(crate) fn settle(&self) {
        self.runtime.block_on(self.pipeline.settled()).unwrap();
    }
}

pub(crate) fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}
