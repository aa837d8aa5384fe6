//! A project with its data directory, and a history that is played into it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use perennial_control::{Applied, ControlRecord};
use perennial_features::EntityKey;
use perennial_log::{Appended, Durability, LogOptions, LogReader, Order};
use perennial_pipeline::{
    Asked, Builder, Declared, FeedbackRecord, Fold, Ingested, Pipeline, PipelineError, PipelineOptions,
    PredictionRecord, ServedView, key_schema,
};
use perennial_project::Project;
use perennial_store::Blobs;
use perennial_types::{Entry, Position, Record, Stream, TimeSpan, Timestamp, hash64};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// One source, one view, one model.
pub(crate) const PROJECT: &str = r#"
kind: Project
name: taxi
---
kind: Source
name: rides
schema: {id: string, at: timestamp, zone: string, fare: double}
id: id
event_time: at
---
kind: Source
name: imported
schema: {id: string, at: timestamp, known: timestamp, n: double?}
id: id
event_time: at
available_at: known
---
kind: FeatureView
name: zone
entity: [zone]
from: rides
aggregates:
  - {name: fare, op: [avg, max, stddev], of: fare, windows: [2h, 1d]}
  - {name: dear, op: count, where: "fare > 50", windows: [1d], tail: exact}
derived: {trend: "fare_avg_2h / NULLIF(fare_avg_1d, 0)"}
---
kind: Model
name: paid
task: regression
request: {km: double, zone: string}
on_demand: {far: "km * km"}
features: [zone.*]
transforms: [{of: [km, far, zone.*], fn: standardize}]
learner: {kind: linear}
---
kind: Endpoint
name: fare
models: [paid]
label: {name: paid, matures_after: 2h, give_up_after: 2d}
"#;

/// The same with a second view, which the model reads too.
pub(crate) fn with_a_second_view() -> String {
    let view = "
kind: FeatureView
name: long
entity: [zone]
from: rides
aggregates: [{name: total, op: sum, of: fare, windows: [3d]}]
---
kind: Model
";
    PROJECT
        .replace("kind: Model\n", view.trim_start())
        .replace("features: [zone.*]", "features: [zone.*, long.*]")
        .replace("zone.*], fn", "zone.*, long.*], fn")
}

pub(crate) fn minute(minutes: i64) -> Timestamp {
    Timestamp::parse("2024-05-01").unwrap() + TimeSpan::from_secs(minutes * 60)
}

/// A pipeline on a data directory.
pub(crate) struct World {
    runtime: Arc<Runtime>,
    pub(crate) pipeline: Pipeline,
    dir: Arc<TempDir>,
    pub(crate) data: PathBuf,
}

/// How a world is opened.
#[derive(Default)]
pub(crate) struct Opening {
    pub(crate) snapshot_every: Option<u64>,
    pub(crate) shards: Option<usize>,
    /// The bound on feature state; with one, every view has files of its own.
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) folds: Vec<Box<dyn Fold>>,
}

impl World {
    /// An empty directory with [`PROJECT`] applied.
    pub(crate) fn new() -> Self {
        let world = Self::empty(Opening::default());
        world.apply(PROJECT, minute(-1));
        world
    }

    pub(crate) fn empty(opening: Opening) -> Self {
        let dir = TempDir::new().unwrap();
        let data = dir.path().join("data");
        Self::open(Arc::new(dir), data, opening).unwrap_or_else(|error| panic!("{error}"))
    }

    fn open(dir: Arc<TempDir>, data: PathBuf, opening: Opening) -> Result<Self, PipelineError> {
        let mut options = PipelineOptions::new(&data);
        options.snapshot_every = opening.snapshot_every.unwrap_or(u64::MAX >> 1);
        options.snapshot_rest = 0;
        options.shards = opening.shards.unwrap_or(2);
        if let Some(bytes) = opening.memory_bytes {
            (options.memory_bytes, options.whole_up_to) = (bytes, 0);
        }
        // Small segments, so that some of the history is closed.
        let log = LogOptions { segment_bytes: 40_000, ..LogOptions::new(options.log_dir()) };
        let blobs = Blobs::open(&data.join("blobs"))?;
        let pipeline = Pipeline::open(options, log, blobs, opening.folds)?;
        let runtime = Arc::new(Runtime::new().unwrap());
        Ok(Self { runtime, pipeline, dir, data })
    }

    /// Copy the files as they are now, as a crash leaves them, and open the copy.
    pub(crate) fn crashed(&self, name: &str, opening: Opening) -> Result<Self, PipelineError> {
        let data = self.copy(name);
        Self::open(Arc::clone(&self.dir), data, opening)
    }

    /// Open a copy of this world's directory.
    pub(crate) fn at(of: &Self, data: PathBuf, opening: Opening) -> Result<Self, PipelineError> {
        Self::open(Arc::clone(&of.dir), data, opening)
    }

    pub(crate) fn copy(&self, name: &str) -> PathBuf {
        let data = self.dir.path().join(name);
        copy_dir(&self.data, &data);
        data
    }

    /// Close cleanly and open again.
    pub(crate) fn reopened(self, opening: Opening) -> Self {
        self.block(self.pipeline.close()).unwrap();
        let Self { pipeline, dir, data, .. } = self;
        drop(pipeline);
        Self::open(dir, data, opening).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn block<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) fn apply(&self, yaml: &str, at: Timestamp) {
        let project = Project::parse(&[("taxi.yaml".into(), yaml.into())])
            .unwrap_or_else(|faults| panic!("{faults:?}"));
        let hash = project.hash();
        let goal = project.compile().unwrap().goal;
        let declarations = serde_json::to_value(&project).unwrap();
        let record = ControlRecord::Applied(Applied { at, hash, goal, declarations });
        self.block(self.pipeline.append_control(&[record], at, Durability::Synced)).unwrap();
    }

    pub(crate) fn ingest(&self, source: &str, body: &str, at: Timestamp) -> Ingested {
        let ingesting = self.pipeline.ingest(source, body.as_bytes(), at).unwrap();
        self.block(ingesting.acknowledged()).unwrap()
    }

    /// Answer a request as the service does: features of what is applied, and a record of them.
    pub(crate) fn predict(&self, id: &str, km: f64, zone: &str, at: Timestamp) -> Position {
        let declared = self.pipeline.declared();
        let model = declared.goal().unwrap().compiled.model("paid").unwrap();
        let request = json!({"km": km, "zone": zone});
        let asked = Asked::decode(model, &request).unwrap();
        let views = model.lookups.iter().map(|lookup| {
            let key = asked.key(lookup);
            let version = lookup.view.version();
            let reading = self.pipeline.engine().read(version, &EntityKey::from_values(&key), at).unwrap();
            ServedView {
                view: Arc::clone(&lookup.view.spec().name),
                version,
                key: key_schema(&lookup.view).encode_json(&key),
                seen: reading.seen,
                features: lookup.view.outputs().encode_json(&reading.values),
            }
        });
        let views = views.collect();
        let (drawn, served, fallback) = (None, None, None);
        let record = PredictionRecord {
            request,
            views,
            experiment: None,
            epoch: None,
            unit: None,
            probabilities: Vec::new(),
            drawn,
            propensity: 1.0,
            served,
            prediction: 0.0,
            fallback,
            shadows: Vec::new(),
        };
        self.append(Stream::Prediction, "fare", id, at, serde_json::to_vec(&record).unwrap())
    }

    pub(crate) fn label(&self, prediction_id: &str, value: f64, at: Timestamp) -> Position {
        let record = FeedbackRecord { prediction_id: prediction_id.into(), value };
        self.append(Stream::Feedback, "fare", "", at, serde_json::to_vec(&record).unwrap())
    }

    pub(crate) fn append(
        &self,
        stream: Stream,
        source: &str,
        id: &str,
        at: Timestamp,
        payload: Vec<u8>,
    ) -> Position {
        let entry = Entry {
            stream,
            source: source.into(),
            key: "".into(),
            event_time: at,
            available_at: at,
            id: id.into(),
            payload,
        };
        let ticket = self.pipeline.append(vec![entry], Durability::Written, Order::Clamp).unwrap();
        match self.block(ticket).unwrap()[0] {
            Appended::At(position) => position,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn reader(&self) -> &LogReader {
        self.pipeline.reader()
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        let records = self.reader().read(Position(1), self.reader().head()).unwrap();
        records.map(Result::unwrap).collect()
    }

    /// What is built for the declared model.
    pub(crate) fn with_builder<T>(&self, build: impl FnOnce(Builder<'_>) -> T) -> T {
        let declared = self.pipeline.declared();
        let goal = declared.goal().unwrap();
        let definition = declared.definition(goal.compiled.model("paid").unwrap().definition).unwrap();
        let (reader, model) = (self.reader(), &definition.model);
        build(Builder { reader, model, sources: &definition.sources, endpoint: &goal.project.endpoints[0] })
    }

    /// The bytes of every fold's state: the newest snapshot, taken now.
    pub(crate) fn state(&self) -> Vec<u8> {
        self.block(self.pipeline.snapshot()).unwrap();
        fs::read(self.snapshots().pop().unwrap()).unwrap()
    }

    /// Snapshot files, oldest first.
    pub(crate) fn snapshots(&self) -> Vec<PathBuf> {
        snapshots(&self.data)
    }

    /// Steps of ten minutes: an event, often a request, and labels of earlier ones that come after minutes or
    /// days, twice, contradicting, before their request or not at all.
    pub(crate) fn play(&self, steps: std::ops::Range<i64>) {
        let mut ride = String::new();
        for step in steps {
            let (at, draw) = (minute(step * 10), hash64(1, &[&step.to_string()]));
            let zone = format!("z{}", draw % 3);
            // Some events come late, the rest a minute after they happened.
            let happened = minute(step * 10 - 1 - if draw.is_multiple_of(11) { 200 } else { 0 });
            let fare = (draw % 10_007) as f64 / 97.0;
            ride.clear();
            ride.push_str(
                &json!({"id": format!("r{step}"), "at": happened, "zone": zone, "fare": fare}).to_string(),
            );
            let queued = self.pipeline.ingest("rides", ride.as_bytes(), at).unwrap();
            self.block(queued.acknowledged()).unwrap();
            let id = format!("p{step}");
            if draw % 7 == 1 {
                // The label is there first.
                self.label(&id, fare, at);
            }
            self.predict(&id, (draw % 31) as f64, &zone, at);
            // Three hours old, a day and a half old, and four days old, which is too late.
            for (age, every) in [(18, 2), (216, 3), (576, 17)] {
                let (old, value) = (step - age, (hash64(2, &[&(step - age).to_string()]) % 101) as f64);
                if old >= 0 && hash64(3, &[&old.to_string(), &age.to_string()]).is_multiple_of(every) {
                    self.label(&format!("p{old}"), value, at);
                }
            }
        }
        self.block(self.pipeline.settled()).unwrap();
    }
}

pub(crate) fn snapshots(data: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(data.join("snapshots")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            copy_dir(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// A fold that keeps the positions it was given.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    pub(crate) seen: Arc<Mutex<Vec<u64>>>,
    pub(crate) loaded: Arc<Mutex<u32>>,
    pub(crate) cannot_load: bool,
    pub(crate) fails_at: Option<Position>,
}

impl Fold for Tally {
    fn name(&self) -> &'static str {
        "tally"
    }

    fn apply(&mut self, record: &Record, _: &Declared) -> Result<(), PipelineError> {
        if self.fails_at == Some(record.position) {
            return Err(PipelineError::record(record.position, "it is not to be counted"));
        }
        self.seen.lock().push(record.position.0);
        Ok(())
    }

    fn save(&self) -> Result<Vec<u8>, PipelineError> {
        postcard::to_stdvec(&*self.seen.lock()).map_err(PipelineError::snapshot)
    }

    fn load(&mut self, bytes: &[u8], _: &Declared) -> Result<(), PipelineError> {
        *self.loaded.lock() += 1;
        // What was taken before the failure must not stay.
        *self.seen.lock() = postcard::from_bytes(bytes).map_err(PipelineError::snapshot)?;
        if self.cannot_load { Err(PipelineError::snapshot("of another version")) } else { Ok(()) }
    }

    fn reset(&mut self) {
        self.seen.lock().clear();
    }
}
