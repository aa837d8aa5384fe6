//! The contract with trainer processes.

use perennial_learn::contract::{
    ARTIFACT_FILE, Action, CONTRACT_VERSION, Manifest, Parent, Progress, RunSpec, TRAINING_SET_FILE,
    TrainMetrics, train,
};
use perennial_learn::{
    FitSpec, Fitted, LearnError, LearnerSpec, Missing, OutputSpec, SgdSpec, Task, TransformFn, TransformSpec,
};
use perennial_types::{ContentHash, Kind, Row, Value};
use serde_json::json;

fn run(action: Action, parent: Option<Parent>) -> RunSpec {
    RunSpec {
        format_version: CONTRACT_VERSION,
        run_id: "run-7".to_owned(),
        action,
        fit: FitSpec {
            task: Task::Regression,
            inputs: vec!["x".into()],
            transforms: vec![TransformSpec {
                of: vec!["x".into()],
                function: TransformFn::Pass { missing: Missing::Zero },
            }],
            learner: LearnerSpec::Linear(SgdSpec { learning_rate: 0.1, l2: 0.0, epochs: 4 }),
            output: OutputSpec::default(),
        },
        epochs: 2,
        parent,
        training_set: TRAINING_SET_FILE.to_owned(),
        label: "cnt".into(),
        rows: 3,
    }
}

fn rows() -> (Vec<Row>, Vec<f64>) {
    ((0..3).map(|i| vec![Value::Int64(i)]).collect(), vec![1.0, 2.0, 4.0])
}

fn parent_of(bytes: &[u8]) -> Parent {
    Parent {
        artifact: "parent.artifact".to_owned(),
        sha256: ContentHash::of(bytes),
        content_hash: ContentHash::of(b"the parent"),
    }
}

#[test]
fn a_first_fit_and_a_fine_tune_are_those_of_the_state() {
    let (rows, labels) = rows();
    let first = run(Action::Fit, None);
    let mut told = vec![];
    let parent = train(&first, &rows, &labels, None, &mut |progress| told.push(progress)).unwrap();
    assert_eq!(parent, Fitted::fit(&first.fit, &rows, &labels).unwrap());
    assert_eq!(told, [Progress { rows_done: 12, rows_total: 12 }]);

    let bytes = parent.save();
    let second = run(Action::FineTune, Some(parent_of(&bytes)));
    let read = parent_of(&bytes).read(&bytes).unwrap();
    let child = train(&second, &rows, &labels, Some(&read), &mut |_| {}).unwrap();
    assert_eq!(child, parent.fine_tune(&rows, &labels, 2).unwrap());

    let manifest = Manifest::of(&second, &child, &child.save());
    assert_eq!(manifest.row_visits, 6);
    assert_eq!(manifest.sha256, ContentHash::of(&child.save()));
    assert_eq!(manifest.content_hash, child.content_hash(Some(ContentHash::of(b"the parent"))));
    assert_eq!(manifest.artifact, ARTIFACT_FILE);

    let metrics = TrainMetrics::of(&child, &rows, &labels).unwrap();
    assert_eq!(metrics.0.keys().collect::<Vec<_>>(), ["mae", "rmse"]);
}

#[test]
fn fine_tune_takes_new_settings_from_the_run() {
    let (rows, labels) = rows();
    let parent = train(&run(Action::Fit, None), &rows, &labels, None, &mut |_| {}).unwrap();
    let mut slower = run(Action::FineTune, Some(parent_of(&parent.save())));
    slower.fit.learner = LearnerSpec::Linear(SgdSpec { learning_rate: 0.01, l2: 0.0, epochs: 4 });
    let child = train(&slower, &rows, &labels, Some(&parent), &mut |_| {}).unwrap();
    assert_eq!(child.spec(), &slower.fit);
    assert_ne!(child.predict(&rows[1]), parent.fine_tune(&rows, &labels, 2).unwrap().predict(&rows[1]));
}

#[test]
fn retrain_starts_from_scratch_though_there_is_a_parent() {
    let (rows, labels) = rows();
    let parent = train(&run(Action::Fit, None), &rows, &labels, None, &mut |_| {}).unwrap();
    let again = run(Action::Retrain, Some(parent_of(&parent.save())));
    let child = train(&again, &rows, &labels, Some(&parent), &mut |_| {}).unwrap();
    assert_eq!(child, parent);
    let manifest = Manifest::of(&again, &child, &child.save());
    assert_ne!(
        manifest.content_hash,
        Manifest::of(&run(Action::Fit, None), &parent, &parent.save()).content_hash
    );
}

#[test]
fn runs_that_contradict_themselves_are_refused() {
    let (rows, labels) = rows();
    let parent = parent_of(b"");
    let refusal = |run: &RunSpec| train(run, &rows, &labels, None, &mut |_| {}).unwrap_err().to_string();
    let mut newer = run(Action::Fit, None);
    newer.format_version = 9;
    assert_eq!(refusal(&newer), r#"run "run-7": run.json has format_version 9, this trainer reads 1"#);
    let mut longer = run(Action::Fit, None);
    longer.rows = 5;
    assert_eq!(refusal(&longer), r#"run "run-7": "training_set.parquet" has 3 rows, run.json says 5"#);
    assert_eq!(
        refusal(&run(Action::Fit, Some(parent.clone()))),
        r#"run "run-7": action fit has a parent; say retrain or fine_tune"#
    );
    assert_eq!(
        refusal(&run(Action::FineTune, None)),
        r#"run "run-7": action fine_tune has no parent; say fit or retrain"#
    );
    assert_eq!(
        refusal(&run(Action::FineTune, Some(parent.clone()))),
        r#"run "run-7": action fine_tune was given no parent's state"#
    );
    let fault = parent.read(b"other bytes").unwrap_err();
    assert!(matches!(&fault, LearnError::WrongFile { file, .. } if file == "parent.artifact"));
    assert_eq!(fault.kind(), Kind::Internal);
}

#[test]
fn files_are_written_as_others_read_them() {
    let written = serde_json::to_value(run(Action::FineTune, Some(parent_of(b"")))).unwrap();
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let expected = json!({
        "format_version": 1,
        "run_id": "run-7",
        "action": "fine_tune",
        "fit": {
            "task": "regression",
            "inputs": ["x"],
            "transforms": [{"of": ["x"], "function": {"fn": "pass", "missing": "zero"}}],
            "learner": {"kind": "linear", "learning_rate": 0.1, "l2": 0.0, "epochs": 4},
            "output": {"min": null, "max": null}
        },
        "epochs": 2,
        "parent": {
            "artifact": "parent.artifact",
            "sha256": empty,
            "content_hash": ContentHash::of(b"the parent").to_string()
        },
        "training_set": "training_set.parquet",
        "label": "cnt",
        "rows": 3
    });
    assert_eq!(written, expected);
    assert_eq!(
        serde_json::from_value::<RunSpec>(expected).unwrap(),
        run(Action::FineTune, Some(parent_of(b"")))
    );
    let progress = serde_json::to_string(&Progress { rows_done: 3, rows_total: 6 }).unwrap();
    assert_eq!(progress, r#"{"rows_done":3,"rows_total":6}"#);
    let metrics = TrainMetrics([("mae".to_owned(), 0.1)].into());
    assert_eq!(serde_json::to_string(&metrics).unwrap(), r#"{"mae":0.1}"#);
}
