//! The figures that others measured on real data with the same protocol, in numpy: rows in file order, the
//! first tenth fitted from scratch over 5 epochs and not scored, labels known at once, fine-tuning every N
//! scored rows on the rows since the last time.
//!
//! The data is not part of the repository. Where it is not found, the tests say so and pass.

#![expect(clippy::unwrap_used, reason = "what the tests share may panic as they do")]
#![expect(clippy::disallowed_methods, reason = "the data lies in files")]

use std::path::Path;
use std::sync::Arc;

use perennial_learn::metrics::{accuracy, mae, roc_auc};
use perennial_learn::{
    FitSpec, Fitted, InFineTune, LearnerSpec, Missing, OutputSpec, SgdSpec, Task, TransformFn, TransformSpec,
    UnknownCategory,
};
use perennial_types::{Row, Value};

struct Data {
    inputs: Vec<Arc<str>>,
    rows: Vec<Row>,
    labels: Vec<f64>,
}

/// Rows of doubles and whole numbers, in this order; nothing when the file is not there.
fn data(name: &str, numbers: &[&str], whole: &[&str], label: &str) -> Option<Data> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    let Ok(file) = std::fs::File::open(&path) else {
        eprintln!("\n*** NOT CHECKED: {} is not there, so no figure was compared ***\n", path.display());
        return None;
    };
    let mut reader = csv::Reader::from_reader(flate2::read::GzDecoder::new(file));
    let header = reader.headers().unwrap().clone();
    let place = |column: &str| header.iter().position(|name| name == column).unwrap();
    let numbers: Vec<usize> = numbers.iter().map(|column| place(column)).collect();
    let whole: Vec<usize> = whole.iter().map(|column| place(column)).collect();
    let inputs = numbers.iter().chain(&whole).map(|&column| header[column].into()).collect();
    let mut data = Data { inputs, rows: vec![], labels: vec![] };
    for row in reader.records().map(Result::unwrap) {
        let doubles = numbers.iter().map(|&column| Value::Double(row[column].parse().unwrap()));
        let integers = whole.iter().map(|&column| Value::Int64(row[column].parse().unwrap()));
        data.rows.push(doubles.chain(integers).collect());
        data.labels.push(row[place(label)].parse().unwrap());
    }
    Some(data)
}

fn standardize(of: Vec<Arc<str>>, in_fine_tune: InFineTune) -> TransformSpec {
    TransformSpec {
        of,
        function: TransformFn::Standardize { clip: 5.0, missing: Missing::Mean, in_fine_tune },
    }
}

const SGD: SgdSpec = SgdSpec { learning_rate: 0.01, l2: 1e-5, epochs: 5 };

/// Predictions and labels of the scored rows; no fine-tuning without `every`.
fn play(data: &Data, spec: &FitSpec, every: Option<usize>) -> (Vec<f64>, Vec<f64>) {
    let first = data.rows.len() / 10;
    let mut model = Fitted::fit(spec, &data.rows[..first], &data.labels[..first]).unwrap();
    let mut predictions = vec![];
    let mut trained = first;
    for t in first..data.rows.len() {
        predictions.push(model.predict(&data.rows[t]).unwrap());
        if every.is_some_and(|every| t + 1 - trained == every) {
            model = model.fine_tune(&data.rows[trained..=t], &data.labels[trained..=t], 1).unwrap();
            trained = t + 1;
        }
    }
    assert_eq!(model.rows_seen(), trained as u64);
    (predictions, data.labels[first..].to_vec())
}

fn bike_spec(inputs: &[Arc<str>], in_fine_tune: InFineTune) -> FitSpec {
    let one_hot = TransformFn::OneHot { unknown: UnknownCategory::Other };
    FitSpec {
        task: Task::Regression,
        inputs: inputs.to_vec(),
        transforms: vec![
            standardize(inputs[..4].to_vec(), in_fine_tune),
            TransformSpec { of: vec!["slot".into(), "weathersit".into()], function: one_hot },
            TransformSpec {
                of: vec!["holiday".into()],
                function: TransformFn::Pass { missing: Missing::Zero },
            },
        ],
        learner: LearnerSpec::Linear(SGD),
        output: OutputSpec { min: Some(0.0), max: None },
    }
}

/// The hourly rentals, hour and working day joined into a slot.
fn bike() -> Option<Data> {
    let numbers = ["temp", "atemp", "hum", "windspeed"];
    let mut data = data("bike_hour.csv.gz", &numbers, &["hr", "weathersit", "holiday", "workingday"], "cnt")?;
    data.inputs =
        [&numbers[..], &["slot", "weathersit", "holiday"]].concat().into_iter().map(Arc::from).collect();
    for row in &mut data.rows {
        if let (Some(Value::Int64(workingday)), Value::Int64(hr)) = (row.pop(), &mut row[4]) {
            *hr += 24 * workingday;
        }
    }
    Some(data)
}

#[test]
fn bike_figures_are_those_of_the_numpy_protocol() {
    let Some(data) = bike() else { return };
    for (every, in_fine_tune, expected, tolerance) in [
        (None, InFineTune::Frozen, 104.6, 0.3),
        (Some(250), InFineTune::Frozen, 71.1, 0.5),
        (Some(250), InFineTune::Moving, 61.9, 0.7),
    ] {
        let (predictions, labels) = play(&data, &bike_spec(&data.inputs, in_fine_tune), every);
        let found = mae(&predictions, &labels).unwrap();
        eprintln!("bike {every:?} {in_fine_tune:?}: MAE {found:.3}");
        assert!(
            (found - expected).abs() <= tolerance,
            "{every:?} {in_fine_tune:?}: MAE {found}, not {expected}"
        );
    }
}

#[test]
fn elec_figures_are_those_of_the_numpy_protocol() {
    let numbers = ["period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer"];
    let Some(data) = data("elec.csv.gz", &numbers, &[], "class") else { return };
    let spec = FitSpec {
        task: Task::Binary,
        inputs: data.inputs.clone(),
        transforms: vec![standardize(data.inputs.clone(), InFineTune::Frozen)],
        learner: LearnerSpec::Logistic(SGD),
        output: OutputSpec::default(),
    };
    for (every, expected_accuracy, expected_auc) in
        [(None, 0.7525, 0.7822), (Some(250), 0.780, 0.855), (Some(1000), 0.7741, 0.8513)]
    {
        let (predictions, labels) = play(&data, &spec, every);
        let found = (accuracy(&predictions, &labels).unwrap(), roc_auc(&predictions, &labels).unwrap());
        eprintln!("elec {every:?}: accuracy {:.4}, AUC {:.4}", found.0, found.1);
        assert!((found.0 - expected_accuracy).abs() <= 0.002, "{every:?}: accuracy {}", found.0);
        assert!((found.1 - expected_auc).abs() <= 0.003, "{every:?}: AUC {}", found.1);
    }
}
