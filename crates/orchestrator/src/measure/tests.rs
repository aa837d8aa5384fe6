//! Claims about drift and reports, on a real log in a temporary directory.

use perennial_control::{
    Applied, ControlRecord, DataRange, Dataset, Decided, Decision, DecisionVerdict, Judged, ModelShare,
    Outcome, ReportFormat, ReportRequest, Routed, RoutingCause, RunAction, RunFinished, RunRequest,
    RunVerdict, Trained,
};
use perennial_evaluate::UnitSpec;
use perennial_log::{Durability, LogOptions, Order};
use perennial_pipeline::{ArmProbability, FeedbackRecord, PipelineOptions, PredictionRecord, ServedVersion};
use perennial_project::Project;
use perennial_report::Report;
use perennial_store::Blobs;
use perennial_types::{Entry, Position, Stream, TimeSpan, Timestamp, hash64};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::*;
use crate::ControlFold;

const PROJECT: &str = r#"
kind: Project
name: taxi
tick: 1h
---
kind: Source
name: rides
schema: {at: timestamp, fare: double}
event_time: at
---
kind: Model
name: one
task: regression
request: {km: double, zone: string, hour: int64, note: string?}
on_demand: {far: "km * km"}
transforms: [{of: [km, far], fn: standardize}, {of: [zone, hour], fn: one_hot}]
learner: {kind: linear}
---
kind: Endpoint
name: fare
models: [one]
label: {name: paid, matures_after: 2h, give_up_after: 7d}
"#;

fn hour(hours: i64) -> Timestamp {
    Timestamp::parse("2024-05-06").unwrap() + TimeSpan::from_hours(hours)
}

/// A project with one version, whose training rows are as [`World::ask`] makes them without a move.
struct World {
    runtime: Runtime,
    observer: Observer,
    version: VersionRef,
    _dir: TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = PipelineOptions::new(dir.path());
        let log = LogOptions::new(options.log_dir());
        let blobs = Blobs::open(&dir.path().join("blobs")).unwrap();
        let fold = ControlFold::default();
        let state = fold.handle().state;
        let pipeline = Pipeline::open(options, log, blobs, vec![Box::new(fold)]).unwrap();
        let observer = Observer::new(pipeline, state);
        let (runtime, hash) = (Runtime::new().unwrap(), ContentHash::of(b"none yet"));
        let version = VersionRef { number: 1, content_hash: hash, artifact: hash, definition: hash };
        let mut world = Self { runtime, observer, version, _dir: dir };
        let project = Project::parse(&[("taxi.yaml".into(), PROJECT.into())])
            .unwrap_or_else(|faults| panic!("{faults:?}"));
        let (hash, compiled) = (project.hash(), project.compile().unwrap());
        let declarations = serde_json::to_value(&project).unwrap();
        let applied = Applied { at: hour(-1), hash, goal: compiled.goal.clone(), declarations };
        world.control(ControlRecord::Applied(applied), hour(-1));
        world.make_version(&compiled.models[0]);
        world
    }

    fn control(&self, record: ControlRecord, at: Timestamp) {
        let appended =
            self.observer.pipeline.append_control(std::slice::from_ref(&record), at, Durability::Synced);
        self.runtime.block_on(appended).unwrap();
    }

    /// Fit a version, keep its reference in two parts, and let it serve.
    fn make_version(&mut self, model: &CompiledModel) {
        let asked: Vec<serde_json::Value> =
            (0..600).map(|i| request(&format!("training {i}"), 0.0)).collect();
        let rows: Vec<_> =
            asked.iter().map(|request| Asked::decode(model, request).unwrap().complete([])).collect();
        let inputs: Vec<_> = rows.iter().map(|row| model.inputs_of(row)).collect();
        let labels: Vec<f64> = rows.iter().map(|row| 3.0 * row[0].as_f64().unwrap()).collect();
        let fitted = Fitted::fit(&model.fit, &inputs, &labels).unwrap();
        let blobs = self.observer.pipeline.blobs();
        let part = |before, rows: &[Vec<Value>]| {
            let part = ReferencePart { before, rows: RawColumns::new(model, rows.to_vec()) };
            blobs.put(&part.save().unwrap()).unwrap()
        };
        let reference = part(Some(part(None, &rows[..250])), &rows[250..]);
        let artifact = blobs.put(&fitted.save()).unwrap();
        let (content_hash, definition) = (fitted.content_hash(None), model.definition);
        self.version = VersionRef { number: 1, content_hash, artifact, definition };
        self.serve(model, reference);
    }

    fn serve(&self, model: &CompiledModel, reference: ContentHash) {
        let (at, run, name): (_, Arc<str>, Arc<str>) = (hour(-1), "run_1".into(), "one".into());
        let version = &self.version;
        let data = DataRange {
            after: Position::START,
            to: Position(1),
            since: None,
            replay_rows: 0,
            holdout_rows: 0,
            at_most: None,
        };
        let request = RunRequest {
            id: Arc::clone(&run),
            model: Arc::clone(&name),
            endpoint: "fare".into(),
            action: RunAction::FirstFit,
            requested_at: at,
            parent: None,
            definition: version.definition,
            data,
            epochs: 1,
            gates: Vec::new(),
        };
        let decision = Decision {
            key: "first".into(),
            policy: None,
            policy_version: None,
            model: Arc::clone(&name),
            verdict: DecisionVerdict::Started,
            trigger: None,
            reason: "there are labels enough".into(),
            evaluations: json!({}),
            signals: json!({}),
            memory: None,
            run: Some(request),
        };
        self.control(ControlRecord::Decided(Decided { at, decisions: vec![decision] }), at);
        let trained = trained(model, version, reference);
        let outcome = Outcome::Succeeded(Box::new(trained));
        let finished = RunFinished { run: Arc::clone(&run), model: Arc::clone(&name), at, outcome };
        self.control(ControlRecord::RunFinished(finished), at);
        self.control(
            ControlRecord::Judged(Judged {
                run,
                model: name,
                at,
                verdict: RunVerdict::Promoted,
                reason: "it is the first".into(),
                version: Some(version.clone()),
                first: true,
                endpoint: "fare".into(),
            }),
            at,
        );
    }

    fn append(&self, stream: Stream, id: &str, at: Timestamp, payload: Vec<u8>) {
        let (source, key) = ("fare".into(), "".into());
        let entry = Entry { stream, source, key, event_time: at, available_at: at, id: id.into(), payload };
        let queued = self.observer.pipeline.append(vec![entry], Durability::Written, Order::Clamp).unwrap();
        self.runtime.block_on(queued).unwrap();
    }

    /// Requests of an hour, whose distances are so many kilometres longer than those of training.
    fn ask(&self, from: i64, count: u32, longer: f64) {
        for i in 0..count {
            let (id, at) = (format!("h{from}/{i}"), hour(from));
            let VersionRef { number, content_hash, .. } = self.version;
            let served = ServedVersion { model: "one".into(), number, content_hash };
            let arm = ArmProbability { model: "one".into(), number, probability: 1.0 };
            let record = PredictionRecord {
                request: request(&id, longer),
                views: Vec::new(),
                experiment: None,
                epoch: Some(hour(-1)),
                unit: None,
                probabilities: vec![arm],
                drawn: Some(served.clone()),
                propensity: 1.0,
                served: Some(served),
                prediction: 10.0,
                fallback: None,
                shadows: Vec::new(),
            };
            self.append(Stream::Prediction, &id, at, serde_json::to_vec(&record).unwrap());
        }
        self.runtime.block_on(self.observer.pipeline.settled()).unwrap();
    }

    fn label(&self, id: &str, value: f64, at: Timestamp) {
        let record = FeedbackRecord { prediction_id: id.into(), value };
        self.append(Stream::Feedback, "", at, serde_json::to_vec(&record).unwrap());
    }

    fn measured(&self, from: i64, to: i64, columns: &[&str]) -> Result<DriftReading, String> {
        let state = self.observer.state.lock();
        let reference = state.model("one").unwrap().current().unwrap().reference;
        drop(state);
        let request = MeasureRequest {
            policy: "keep".into(),
            signal: "inputs".into(),
            model: "one".into(),
            endpoint: "fare".into(),
            version: self.version.clone(),
            from: hour(from),
            to: hour(to),
            what: Measurement::Drift {
                reference,
                columns: columns.iter().map(|column| Arc::from(*column)).collect(),
                rule: DriftRule::default(),
                min_rows: 100,
            },
        };
        let mut measured = self.observer.measure(std::slice::from_ref(&request)).unwrap();
        let measured = measured.pop().unwrap();
        assert_eq!((measured.number, measured.at), (1, hour(to)));
        measured.reading.map(|reading| match reading {
            Reading::Drift(reading) => reading,
            Reading::Data(_) => panic!("drift was asked for"),
        })
    }

    fn report(&self, from: i64, to: i64) -> (perennial_control::Reported, Report) {
        let request = ReportRequest {
            id: "report_1".into(),
            report: "weekly".into(),
            endpoint: "fare".into(),
            at: hour(to),
            from: hour(from),
            to: hour(to),
            formats: ReportFormat::ALL.to_vec(),
        };
        let reported = self.observer.report(&request, false).unwrap();
        let json = reported.files.iter().find(|file| file.format == ReportFormat::Json).unwrap();
        let bytes = self.observer.pipeline.blobs().get(&json.blob).unwrap();
        assert_eq!(bytes.len() as u64, json.bytes);
        (reported, Report::from_json(std::str::from_utf8(&bytes).unwrap()).unwrap())
    }
}

/// What the run that made the version says of it.
fn trained(model: &CompiledModel, version: &VersionRef, reference: ContentHash) -> Trained {
    let at = hour(-1);
    let dataset = Dataset {
        content_hash: ContentHash::of(b"rows"),
        endpoint: "fare".into(),
        streams: Vec::new(),
        from_position: Position(1),
        to_position: Position(1),
        from_time: at,
        to_time: at,
        rows: 600,
        holdout_rows: 0,
    };
    Trained {
        number: 1,
        content_hash: version.content_hash,
        artifact: version.artifact,
        action: RunAction::FirstFit,
        parent: None,
        definition: version.definition,
        inputs: model.fit.inputs.clone(),
        dataset,
        row_visits: 600,
        metrics: std::collections::BTreeMap::new(),
        reference: Some(reference),
        gates: Vec::new(),
    }
}

/// Columns of a request that depend on its id alone, but for the distance.
fn request(id: &str, longer: f64) -> serde_json::Value {
    let draw = |seed: u64| (hash64(seed, &[id]) % 1_000) as f64 / 100.0;
    let zone = ["north", "south", "east"][(hash64(2, &[id]) % 3) as usize];
    json!({"km": draw(1) + longer, "zone": zone, "hour": hash64(3, &[id]) % 24})
}

#[test]
fn a_window_like_the_training_rows_is_quiet_and_a_moved_one_names_its_columns() {
    let world = World::new();
    world.ask(0, 300, 0.0);
    world.ask(1, 300, 2.0);
    let quiet = world.measured(0, 1, &["*"]).unwrap();
    assert_eq!((quiet.reference_rows, quiet.current_rows, quiet.alarmed), (600, 300, false));
    assert_eq!((quiet.share, quiet.columns.len()), (0.0, 0));
    let moved = world.measured(1, 2, &["request.*", "on_demand.*"]).unwrap();
    let names: Vec<&str> = moved.columns.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["request.km", "on_demand.far"]);
    // Of five columns two moved, which bear more on the score than the others: fares depend on distances.
    assert_eq!(moved.share, 0.4);
    assert!(moved.weighted_share > moved.share, "{}", moved.weighted_share);
    let only_zone = world.measured(1, 2, &["request.zone"]).unwrap();
    assert!(!only_zone.alarmed);
}

#[test]
fn what_cannot_be_measured_says_why() {
    let world = World::new();
    world.ask(0, 99, 0.0);
    world.ask(1, 100, 0.0);
    assert_eq!(world.measured(0, 1, &["*"]).unwrap_err(), "the window of one 1 has 99 rows, fewer than 100");
    assert_eq!(world.measured(5, 6, &["*"]).unwrap_err(), "the window of one 1 has 0 rows, fewer than 100");
    assert_eq!(
        world.measured(1, 2, &["zone.*", "km"]).unwrap_err(),
        "one 1 has none of the columns zone.*, km"
    );
    assert!(world.measured(1, 2, &["*"]).is_ok(), "the end of one window is the beginning of the next");
}

#[test]
fn of_a_large_window_requests_are_drawn_by_their_ids_and_stay_in_order() {
    let world = World::new();
    world.ask(0, 50, 0.0);
    let reader = world.observer.pipeline.reader();
    let read = |endpoint: &str, most: usize| -> Vec<Position> {
        let window = Window::read_most(reader, &endpoint.into(), (hour(0), hour(1)), most).unwrap();
        window.sample.iter().map(|(position, _)| *position).collect()
    };
    let (all, some, fewer) = (read("fare", 50), read("fare", 20), read("fare", 10));
    assert_eq!((all.len(), some.len(), fewer.len()), (50, 20, 10));
    assert!(all.is_sorted() && some.is_sorted());
    assert!(some.iter().all(|position| all.contains(position)));
    // Who is drawn among few is drawn among more: it depends on nothing but the ids.
    assert!(fewer.iter().all(|position| some.contains(position)));
    assert_ne!(some, all[..20]);
    assert!(read("elsewhere", 50).is_empty());
}

#[test]
fn a_report_says_what_the_log_says_and_its_bytes_depend_on_nothing_else() {
    let world = World::new();
    world.ask(0, 150, 0.0);
    let route = Routed {
        endpoint: "fare".into(),
        at: hour(6),
        experiment: None,
        epoch: hour(6),
        unit: UnitSpec::Request,
        salt: "fare".into(),
        champion: "one".into(),
        shares: vec![ModelShare {
            model: "one".into(),
            share: 1.0,
            current: world.version.clone(),
            candidate: None,
        }],
        shadows: Vec::new(),
        cause: RoutingCause::Epoch,
        reason: "a new epoch".into(),
        evidence: json!({}),
    };
    world.control(ControlRecord::Routed(route), hour(6));
    world.ask(30, 150, 3.0);
    for i in 0..20 {
        world.label(&format!("h0/{i}"), 8.0, hour(31));
    }
    // What is known only after the report is due is not in it.
    world.label("h0/100", 8.0, hour(60));
    let (reported, report) = world.report(0, 48);
    assert_eq!((report.requests, report.labelled, report.fallbacks), (300, 20, 0));
    assert!(reported.alarmed);
    assert_eq!(reported.summary, report.verdict().sentence);
    let section = &report.models[0];
    assert_eq!((section.version.as_deref(), section.share), (Some("one/1"), 1.0));
    let drift = section.drift.as_ref().unwrap();
    assert_eq!((drift.reference_rows, drift.current_rows, drift.columns.len()), (600, 300, 5));
    assert!(drift.columns[0].alarmed && drift.columns[0].name == "request.km");
    let mae = &section.performance[0];
    let values: Vec<(Option<f64>, u64)> =
        mae.points.iter().filter(|point| point.rows > 0).map(|point| (point.value, point.rows)).collect();
    assert_eq!((mae.metric.as_str(), values), ("mae", vec![(Some(2.0), 20)]));
    let steps: Vec<Timestamp> = report.traffic.steps.iter().map(|step| step.at).collect();
    assert_eq!(steps, [hour(0), hour(6)]);
    assert_eq!(world.report(0, 48).0, reported);
    let (_, earlier) = world.report(-2, 0);
    let kinds: Vec<&str> = earlier.decisions.iter().map(|decision| decision.kind.as_str()).collect();
    assert_eq!((earlier.requests, kinds), (0, vec!["started", "promoted"]));
}
