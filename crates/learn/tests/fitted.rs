//! What fitting and fine-tuning promise, and how they refuse.
#![expect(clippy::unwrap_used, reason = "what the tests share may panic as they do")]

use perennial_learn::{
    BatchSpec, FitSpec, Fitted, InFineTune, LearnError, LearnerSpec, Missing, OutputSpec, SgdSpec, Task,
    TransformFn, TransformSpec, UnknownCategory,
};
use perennial_types::{Kind, Row, Value};
use proptest::prelude::*;

const FROZEN: InFineTune = InFineTune::Frozen;
const MOVING: InFineTune = InFineTune::Moving;

/// Inputs `x`, `y` (numbers) and `color` (a category).
fn spec(task: Task, in_fine_tune: InFineTune) -> FitSpec {
    let sgd = SgdSpec { learning_rate: 0.05, l2: 1e-3, epochs: 3 };
    FitSpec {
        task,
        inputs: vec!["x".into(), "y".into(), "color".into()],
        transforms: vec![
            TransformSpec {
                of: vec!["x".into(), "y".into()],
                function: TransformFn::Standardize { clip: 5.0, missing: Missing::Mean, in_fine_tune },
            },
            TransformSpec {
                of: vec!["color".into()],
                function: TransformFn::OneHot { unknown: UnknownCategory::Other },
            },
        ],
        learner: match task {
            Task::Regression => LearnerSpec::Linear(sgd),
            Task::Binary => LearnerSpec::Logistic(sgd),
        },
        output: OutputSpec::default(),
    }
}

fn with_settings(mut spec: FitSpec, change: impl Fn(&mut SgdSpec)) -> FitSpec {
    if let LearnerSpec::Linear(sgd) | LearnerSpec::Logistic(sgd) = &mut spec.learner {
        change(sgd);
    }
    spec
}

fn row(x: f64, y: f64, color: &str) -> Row {
    vec![Value::Double(x), Value::Double(y), Value::String(color.into())]
}

/// Rows that depend on a number; the color repeats every three rows.
fn rows(range: std::ops::Range<u32>) -> Vec<Row> {
    range
        .map(|i| row(f64::from(i * i % 17), f64::from(i % 5) - 9.0, ["blue", "green", "red"][i as usize % 3]))
        .collect()
}

fn numbers(rows: &[Row]) -> Vec<f64> {
    rows.iter().map(|row| 3.0 * row[0].as_f64().unwrap() - row[1].as_f64().unwrap() + 7.0).collect()
}

fn classes(rows: &[Row]) -> Vec<f64> {
    rows.iter().map(|row| f64::from(u8::from(row[0].as_f64().unwrap() > 7.0))).collect()
}

fn message(fault: Result<impl Sized, LearnError>) -> String {
    fault.err().map_or_else(|| "no error".to_owned(), |fault| fault.to_string())
}

#[test]
fn frozen_fine_tune_in_two_parts_equals_one_pass() {
    for task in [Task::Regression, Task::Binary] {
        let all = rows(0..90);
        let labels = if task == Task::Regression { numbers(&all) } else { classes(&all) };
        let parent = Fitted::fit(&spec(task, FROZEN), &all[..30], &labels[..30]).unwrap();
        let once = parent.fine_tune(&all[30..], &labels[30..], 1).unwrap();
        let first = parent.fine_tune(&all[30..57], &labels[30..57], 1).unwrap();
        let resumed = Fitted::load(&first.save()).unwrap().fine_tune(&all[57..], &labels[57..], 1).unwrap();
        assert_eq!(once.save(), resumed.save());
        assert_ne!(once.save(), parent.save());
    }
}

#[test]
fn moving_fine_tune_depends_on_where_it_is_cut_but_its_scaler_does_not() {
    let all = rows(0..90);
    let labels = numbers(&all);
    let still = with_settings(spec(Task::Regression, MOVING), |sgd| sgd.learning_rate = 0.0);
    let parent = Fitted::fit(&still, &all[..30], &labels[..30]).unwrap();
    let once = parent.fine_tune(&all[30..], &labels[30..], 1).unwrap();
    let first = parent.fine_tune(&all[30..57], &labels[30..57], 1).unwrap();
    let twice = first.fine_tune(&all[57..], &labels[57..], 1).unwrap();
    // Without steps the parameters are all zero, so that only the scalers are compared.
    assert_eq!(once.save(), twice.save());
}

proptest! {
    #[test]
    fn moving_scaler_leaves_predictions_as_they_were(
        new in prop::collection::vec((-20.0..40.0_f64, -30.0..9.0_f64), 1..40),
        asked in prop::collection::vec((0.0..16.0_f64, -9.0..-5.0_f64), 1..10),
        regression in any::<bool>(),
    ) {
        let task = if regression { Task::Regression } else { Task::Binary };
        let old = rows(0..60);
        let labels = if regression { numbers(&old) } else { classes(&old) };
        let parent = Fitted::fit(&spec(task, MOVING), &old, &labels).unwrap();
        let still = with_settings(spec(task, MOVING), |sgd| sgd.learning_rate = 0.0);
        let new: Vec<Row> = new.into_iter().map(|(x, y)| row(x, y, "red")).collect();
        let labels = if regression { numbers(&new) } else { classes(&new) };
        let child = parent.under(&still).unwrap().fine_tune(&new, &labels, 1).unwrap();
        prop_assert_ne!(child.save(), parent.under(&still).unwrap().save());
        for (x, y) in asked {
            let asked = row(x, y, "green");
            let (before, after) = (parent.predict(&asked).unwrap(), child.predict(&asked).unwrap());
            prop_assert!((before - after).abs() <= 1e-9 * before.abs().max(1.0), "{} became {}", before, after);
        }
    }
}

#[test]
fn constant_column_that_begins_to_vary_is_scaled_by_its_own_deviation() {
    let fast = with_settings(spec(Task::Regression, MOVING), |sgd| sgd.l2 = 0.0);
    let old: Vec<Row> = (0..50).map(|i| row(f64::from(i), 4.0, "red")).collect();
    let new: Vec<Row> = (0..50).map(|i| row(25.0, 4.0 + 1000.0 * f64::from(i % 2), "red")).collect();
    let parent = Fitted::fit(&fast, &old, &numbers(&old)).unwrap();
    let child = parent.fine_tune(&new, &numbers(&new), 60).unwrap();
    for new in &new[..2] {
        let (found, expected) = (child.predict(new).unwrap(), numbers(std::slice::from_ref(new))[0]);
        assert!((found - expected).abs() < 25.0, "{found} is far from {expected}");
    }
}

#[test]
fn missing_numbers_stand_for_what_was_declared() {
    for (missing, equal) in [(Missing::Mean, 2.0), (Missing::Zero, 0.0), (Missing::Constant(7.5), 7.5)] {
        let limit = TransformFn::Clip { min: Some(-100.0), max: Some(100.0), missing };
        let scale = TransformFn::Standardize { clip: 5.0, missing, in_fine_tune: FROZEN };
        for function in [limit, scale, TransformFn::Pass { missing }] {
            let mut spec = spec(Task::Regression, FROZEN);
            spec.transforms = vec![TransformSpec { of: vec!["x".into()], function }];
            let mut rows = vec![row(1.0, 0.0, "a"), row(3.0, 0.0, "a"), row(0.0, 0.0, "a")];
            rows[2][0] = Value::Null;
            let fitted = Fitted::fit(&spec, &rows, &[1.0, 2.0, 9.0]).unwrap();
            let answer = fitted.predict(&rows[2]).unwrap();
            assert_eq!(answer, fitted.predict(&row(equal, 0.0, "a")).unwrap());
            assert_ne!(answer, fitted.predict(&row(1.0, 0.0, "a")).unwrap());
        }
    }
}

#[test]
fn limits_hold_for_inputs_and_answers() {
    let mut spec = spec(Task::Regression, FROZEN);
    let function = TransformFn::Clip { min: Some(0.0), max: Some(2.0), missing: Missing::Zero };
    spec.transforms = vec![TransformSpec { of: vec!["x".into()], function }];
    let rows: Vec<Row> = (0..40).map(|i| row(f64::from(i % 3), 0.0, "a")).collect();
    let free = Fitted::fit(&spec, &rows, &numbers(&rows)).unwrap();
    let at = |fitted: &Fitted, x| fitted.predict(&row(x, 0.0, "a")).unwrap();
    assert_eq!((at(&free, -9.0), at(&free, 9.0)), (at(&free, 0.0), at(&free, 2.0)));
    assert!(at(&free, 0.0) < 9.0 && at(&free, 2.0) > 11.0);
    spec.output = OutputSpec { min: Some(9.0), max: Some(11.0) };
    let bounded = free.under(&spec).unwrap();
    assert_eq!((at(&bounded, 0.0), at(&bounded, 2.0)), (9.0, 11.0));
}

#[test]
fn unseen_categories_and_null_are_one_unknown_that_fine_tuning_can_learn() {
    let parent_spec = with_settings(spec(Task::Regression, FROZEN), |sgd| sgd.l2 = 0.0);
    let old = rows(0..60);
    let parent = Fitted::fit(&parent_spec, &old, &numbers(&old)).unwrap();
    let violet = vec![row(8.0, -7.0, "violet"); 40];
    let child = parent.fine_tune(&violet, &[500.0; 40], 1).unwrap();
    let mut null = row(8.0, -7.0, "");
    null[2] = Value::Null;
    let gain = |asked: &Row| child.predict(asked).unwrap() - parent.predict(asked).unwrap();
    assert_eq!(gain(&null), gain(&violet[0]));
    assert_eq!(gain(&row(8.0, -7.0, "black")), gain(&violet[0]));
    assert!(gain(&violet[0]) > gain(&row(8.0, -7.0, "red")) + 1.0);
}

#[test]
fn unknown_zero_gives_an_unseen_category_no_weight() {
    let mut spec = spec(Task::Regression, FROZEN);
    spec.transforms[1].function = TransformFn::OneHot { unknown: UnknownCategory::Zero };
    let old = rows(0..60);
    let parent = Fitted::fit(&spec, &old, &numbers(&old)).unwrap();
    let child = parent.fine_tune(&[row(8.0, -7.0, "violet")], &[90.0], 1).unwrap();
    assert!(
        child.predict(&row(8.0, -7.0, "violet")).unwrap()
            > parent.predict(&row(8.0, -7.0, "violet")).unwrap()
    );
}

#[test]
fn batch_fit_separates_and_its_fine_tune_starts_from_the_parent() {
    let mut spec = spec(Task::Binary, MOVING);
    spec.learner = LearnerSpec::LogisticBatch(BatchSpec { l2: 0.1, max_iterations: 100 });
    let all = rows(0..120);
    let labels = classes(&all);
    let fitted = Fitted::fit(&spec, &all, &labels).unwrap();
    let right = all
        .iter()
        .zip(&labels)
        .filter(|(row, label)| (fitted.predict(row).unwrap() >= 0.5) == (**label == 1.0));
    assert_eq!(right.count(), 120);
    assert_eq!(fitted.save(), Fitted::fit(&spec, &all, &labels).unwrap().save());

    // One iteration from the optimum stays near it; one from zero does not reach it.
    spec.learner = LearnerSpec::LogisticBatch(BatchSpec { l2: 0.1, max_iterations: 1 });
    let warm = fitted.under(&spec).unwrap().fine_tune(&all, &labels, 1).unwrap();
    let cold = Fitted::fit(&spec, &all, &labels).unwrap();
    let asked = row(8.0, -7.0, "red");
    let optimum = fitted.predict(&asked).unwrap();
    assert!((warm.predict(&asked).unwrap() - optimum).abs() < 1e-3);
    assert!((cold.predict(&asked).unwrap() - optimum).abs() > 1e-2);

    let one_class = message(Fitted::fit(&spec, &all[..1], &labels[..1]));
    assert!(
        one_class.starts_with("all 1 labels are 0: a logistic batch fit needs both classes"),
        "{one_class}"
    );
}

#[test]
fn divergence_is_refused_and_names_the_learning_rate() {
    let mut wild = with_settings(spec(Task::Regression, FROZEN), |sgd| sgd.learning_rate = 30.0);
    let rows: Vec<Row> = (0..2000).map(|i| row(f64::from(i), 1.0, "a")).collect();
    let fault = Fitted::fit(&wild, &rows, &numbers(&rows)).unwrap_err();
    assert!(matches!(fault, LearnError::Diverged { learning_rate: 30.0, row_visits: 1.. }), "{fault}");
    assert!(fault.to_string().contains("learning_rate 30: lower the learning rate"), "{fault}");

    let calm = with_settings(spec(Task::Regression, FROZEN), |sgd| sgd.learning_rate = 0.01);
    let parent = Fitted::fit(&calm, &rows, &numbers(&rows)).unwrap();
    wild.output = calm.output;
    let fault = parent.under(&wild).unwrap().fine_tune(&rows, &numbers(&rows), 2);
    assert!(matches!(fault, Err(LearnError::Diverged { .. })));
}

#[test]
fn inputs_that_cannot_be_used_are_named() {
    let regression = spec(Task::Regression, FROZEN);
    let good = rows(0..9);
    let labels = numbers(&good);
    let fitted = Fitted::fit(&regression, &good, &labels).unwrap();
    let changed = |at: usize, value: Value| {
        let mut row = good[3].clone();
        row[at] = value;
        row
    };
    assert_eq!(
        message(fitted.predict(&changed(0, Value::String("warm".into())))),
        r#"column "x" is string "warm": expected a finite number (int64, double or boolean) or NULL"#
    );
    assert_eq!(
        message(fitted.predict(&changed(1, Value::Double(f64::NAN)))),
        r#"column "y" is double NaN: expected a finite number (int64, double or boolean) or NULL"#
    );
    assert_eq!(
        message(fitted.predict(&changed(2, Value::Int64(3)))),
        r#"column "color" is int64 3: expected string, as the first categories seen, or NULL"#
    );
    let mut rows = good.clone();
    rows[4] = changed(2, Value::Double(0.5));
    assert_eq!(
        message(Fitted::fit(&regression, &rows, &labels)),
        r#"row 4: column "color" is double 0.5: expected string, as the first categories seen, or NULL"#
    );
    rows[4] = changed(0, Value::Double(f64::INFINITY));
    assert_eq!(
        message(fitted.fine_tune(&rows, &labels, 1)),
        r#"row 4: column "x" is double inf: expected a finite number (int64, double or boolean) or NULL"#
    );
    assert_eq!(
        message(fitted.predict(&good[0][..2])),
        "the row, one value for each input, has 2, expected 3"
    );
    let huge = [changed(0, Value::Double(1e300)), changed(0, Value::Double(-1e300))];
    assert!(message(Fitted::fit(&regression, &huge, &[0.0, 1.0])).contains("its variance overflows"));
}

#[test]
fn too_many_categories_are_refused() {
    let rows: Vec<Row> = (0..=10_000).map(|i| row(0.0, 0.0, &format!("user {i}"))).collect();
    let fault = message(Fitted::fit(&spec(Task::Regression, FROZEN), &rows, &vec![0.0; rows.len()]));
    assert!(
        fault.starts_with("row 10000: column \"color\" is string \"user 10000\": expected at most 10000"),
        "{fault}"
    );
}

#[test]
fn labels_that_cannot_be_used_are_named() {
    let (regression, binary) = (spec(Task::Regression, FROZEN), spec(Task::Binary, FROZEN));
    let rows = rows(0..3);
    assert_eq!(Fitted::fit(&regression, &[], &[]), Err(LearnError::NoRows));
    assert_eq!(
        message(Fitted::fit(&binary, &rows, &[0.0, 1.0, 2.0])),
        "row 2: the label is 2: expected 0 or 1, since the task is binary"
    );
    assert_eq!(
        message(Fitted::fit(&regression, &rows, &[0.0, f64::NAN, 2.0])),
        "row 1: the label is NaN: expected a finite number"
    );
    assert_eq!(
        message(Fitted::fit(&regression, &rows, &[0.0])),
        "the list of labels, one for each row, has 1, expected 3"
    );
    let fitted = Fitted::fit(&regression, &rows, &[0.0, 1.0, 2.0]).unwrap();
    assert_eq!(fitted.fine_tune(&[], &[], 1), Err(LearnError::NoRows));
    assert_eq!(
        message(fitted.fine_tune(&rows, &[1.0; 3], 0)),
        "epochs of a fine-tune is 0: expected at least 1"
    );
}

#[test]
fn declarations_that_cannot_be_meant_are_named() {
    let good = spec(Task::Regression, FROZEN);
    let refusal = |change: fn(&mut FitSpec)| {
        let mut changed = good.clone();
        change(&mut changed);
        let fault = changed.check().unwrap_err();
        assert_eq!(fault.kind(), Kind::Invalid);
        fault.to_string()
    };
    assert_eq!(good.check(), Ok(()));
    assert_eq!(
        refusal(|spec| spec.transforms[1].of = vec!["colour".into()]),
        r#"transform 2 names column "colour", which is no input; did you mean "color"?"#
    );
    assert_eq!(
        refusal(|spec| spec.inputs.push("x".into())),
        r#"inputs is a list with "x" twice: each column may be named once"#
    );
    assert_eq!(
        refusal(|spec| spec.transforms.clear()),
        "transforms is without a column: a learner sees only columns named in a transform"
    );
    assert_eq!(
        refusal(|spec| spec.task = Task::Binary),
        "learner.kind is linear: task binary needs logistic or logistic_batch"
    );
    assert_eq!(
        refusal(|spec| spec.output = OutputSpec { min: Some(2.0), max: Some(1.0) }),
        "min of output is 2: expected a number not above max"
    );
    assert_eq!(
        refusal(|spec| *spec = with_settings(spec.clone(), |sgd| sgd.learning_rate = -0.1)),
        "learning_rate is -0.1: expected a number not below 0"
    );
}

#[test]
fn a_state_is_not_used_under_a_declaration_that_it_does_not_fit() {
    let rows = rows(0..9);
    let fitted = Fitted::fit(&spec(Task::Regression, FROZEN), &rows, &numbers(&rows)).unwrap();
    let mut other = spec(Task::Regression, FROZEN);
    other.inputs.push("z".into());
    let fault = fitted.under(&other).unwrap_err();
    assert_eq!(fault, LearnError::NotTheParents { what: "the input list" });
    assert_eq!(fault.kind(), Kind::Conflict);
    let moving = fitted.under(&spec(Task::Regression, MOVING));
    assert_eq!(moving, Err(LearnError::NotTheParents { what: "the list of transforms" }));
}

#[test]
fn importance_is_what_an_input_can_change_of_the_score() {
    let rows = rows(0..60);
    let spec = with_settings(spec(Task::Regression, FROZEN), |sgd| sgd.epochs = 50);
    let fitted = Fitted::fit(&spec, &rows, &numbers(&rows)).unwrap();
    let [x, y, color] = fitted.importance()[..] else { panic!("three inputs") };
    // The label rises three times as fast in x as it falls in y, and does not depend on the color.
    assert!(x > y && y > color && color >= 0.0, "{x} {y} {color}");
    let fitted = Fitted::fit(&spec_without_y(&spec), &rows, &numbers(&rows)).unwrap();
    assert_eq!(fitted.importance()[1], 0.0, "an input in no transformation bears on nothing");
}

fn spec_without_y(spec: &FitSpec) -> FitSpec {
    let mut spec = spec.clone();
    spec.transforms[0].of.retain(|name| &**name != "y");
    spec
}
