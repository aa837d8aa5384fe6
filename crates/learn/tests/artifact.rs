//! Bytes: what is saved is loaded with the same bits, and nothing else is taken for it.
#![expect(clippy::unwrap_used, reason = "what the tests share may panic as they do")]

use perennial_learn::{
    BatchSpec, FORMAT_VERSION, FitSpec, Fitted, InFineTune, LearnError, LearnerSpec, Missing, OutputSpec,
    SgdSpec, Task, TransformFn, TransformSpec, UnknownCategory,
};
use perennial_types::{ContentHash, Row, Value};
use proptest::prelude::*;

const SGD: SgdSpec = SgdSpec { learning_rate: 0.1, l2: 1e-5, epochs: 2 };

/// One input for each kind of fitted state.
fn spec(task: Task) -> FitSpec {
    let of = |names: &[&str], function| TransformSpec {
        of: names.iter().map(|name| (*name).into()).collect(),
        function,
    };
    FitSpec {
        task,
        inputs: ["x", "limited", "flag", "slot", "color", "unused"].map(Into::into).to_vec(),
        transforms: vec![
            of(&["slot", "color"], TransformFn::OneHot { unknown: UnknownCategory::Other }),
            of(
                &["x"],
                TransformFn::Standardize {
                    clip: 5.0,
                    missing: Missing::Mean,
                    in_fine_tune: InFineTune::Moving,
                },
            ),
            of(&["flag"], TransformFn::OneHot { unknown: UnknownCategory::Zero }),
            of(
                &["limited"],
                TransformFn::Clip { min: None, max: Some(0.3), missing: Missing::Constant(0.1) },
            ),
        ],
        learner: match task {
            Task::Regression => LearnerSpec::Linear(SGD),
            Task::Binary => LearnerSpec::Logistic(SGD),
        },
        output: OutputSpec { min: Some(-1e3), max: None },
    }
}

fn row(i: u32) -> Row {
    vec![
        if i % 7 == 3 { Value::Null } else { Value::Double(0.1 * f64::from(i)) },
        Value::Double(1.0 / f64::from(i + 1)),
        Value::Boolean(i.is_multiple_of(2)),
        Value::Int64(i64::from(i % 4) - 2),
        Value::String(["red", "blü", ""][i as usize % 3].into()),
        Value::Null,
    ]
}

fn rows(count: u32) -> (Vec<Row>, Vec<f64>) {
    ((0..count).map(row).collect(), (0..count).map(|i| f64::from(i % 2)).collect())
}

fn fitted(task: Task) -> Fitted {
    let (rows, labels) = rows(20);
    Fitted::fit(&spec(task), &rows, &labels).unwrap()
}

/// Put the right digest under changed content.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let digest = ContentHash::of(&bytes);
    bytes.extend_from_slice(digest.as_bytes());
    bytes
}

fn content(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len() - 32].to_vec()
}

proptest! {
    #[test]
    fn saved_states_are_loaded_with_the_same_bits(
        numbers in prop::collection::vec((-1e9..1e9_f64, prop::option::of("[a-c]{0,2}"), any::<bool>()), 1..30),
        binary in any::<bool>(),
    ) {
        let task = if binary { Task::Binary } else { Task::Regression };
        let rows: Vec<Row> = numbers.iter().enumerate().map(|(i, (x, color, _))| {
            let mut row = row(i as u32);
            row[0] = Value::Double(*x);
            row[4] = color.as_deref().map_or(Value::Null, |color| Value::String(color.into()));
            row
        }).collect();
        let labels: Vec<f64> = numbers.iter().map(|(x, _, one)| {
            if binary { f64::from(u8::from(*one)) } else { x / 3.0 }
        }).collect();
        let state = Fitted::fit(&spec(task), &rows, &labels).unwrap();
        let bytes = state.save();
        let loaded = Fitted::load(&bytes).unwrap();
        prop_assert_eq!(loaded.save(), bytes);
        prop_assert_eq!(loaded.content_hash(None), state.content_hash(None));
        for row in &rows {
            let (before, after) = (state.predict(row).unwrap(), loaded.predict(row).unwrap());
            prop_assert_eq!(before.to_bits(), after.to_bits());
        }
        prop_assert_eq!(loaded, state);
    }

    #[test]
    fn damaged_bytes_are_refused(place in any::<prop::sample::Index>(), flip in 1_u8..=255) {
        let mut bytes = fitted(Task::Regression).save();
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        prop_assert!(Fitted::load(&bytes).is_err());
    }

    /// Behind a right digest, so that every check of the content is reached.
    #[test]
    fn forged_bytes_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = content(&fitted(Task::Binary).save());
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(loaded) = Fitted::load(&sealed(bytes.clone())) {
            prop_assert_eq!(loaded.save(), sealed(bytes));
            let (rows, labels) = rows(9);
            let _answered_or_refused = loaded.predict(&rows[1]);
            let _trained_or_refused = loaded.fine_tune(&rows, &labels, 1);
        }
    }
}

#[test]
fn version_1_is_still_read() {
    let golden = include_bytes!("golden/version_1.artifact");
    let loaded = Fitted::load(golden).unwrap();
    assert_eq!(loaded.spec(), &spec(Task::Regression));
    assert_eq!(loaded.rows_seen(), 20);
    assert_eq!(loaded.save(), golden);
    assert_eq!(loaded, fitted(Task::Regression));
    assert_eq!(
        loaded.content_hash(None).to_string(),
        "7fa75ca80bf99ee2dd18940c281956d4f70bb6876c8ba167efd2d2b74fc57b55"
    );
}

#[test]
fn foreign_newer_and_short_bytes_are_told_apart() {
    let bytes = fitted(Task::Regression).save();
    for foreign in [b"".as_slice(), b"PERLEAR", b"PK\x03\x04 and so on"] {
        assert_eq!(Fitted::load(foreign), Err(LearnError::Foreign));
    }
    let mut newer = bytes.clone();
    newer[8] = 2;
    assert_eq!(Fitted::load(&newer), Err(LearnError::Newer { found: 2, known: FORMAT_VERSION }));
    let message = |bytes: &[u8]| Fitted::load(bytes).unwrap_err().to_string();
    assert_eq!(message(&bytes[..20]), "the artifact is damaged: it ends after 20 bytes");
    assert_eq!(
        message(&bytes[..bytes.len() - 1]),
        format!("the artifact is damaged: the SHA-256 of its {} bytes is another", bytes.len() - 1)
    );
    let mut longer = content(&bytes);
    longer.push(0);
    assert_eq!(message(&sealed(longer)), "the artifact is damaged: 1 bytes are left over");
}

#[test]
fn claims_of_great_length_are_refused_before_any_space_is_reserved() {
    let mut bytes = content(&fitted(Task::Regression).save());
    bytes[10..14].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(
        Fitted::load(&sealed(bytes)).unwrap_err().to_string(),
        "the artifact is damaged: byte 10 announces 4294967295 items, more than there is room for"
    );
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    let mut bytes = content(&fitted(Task::Regression).save());
    let spec_length = u32::from_le_bytes(bytes[10..14].try_into().unwrap()) as usize;
    let bias = 14 + spec_length;
    bytes[bias..bias + 8].copy_from_slice(&f64::NAN.to_le_bytes());
    let fault = Fitted::load(&sealed(bytes)).unwrap_err().to_string();
    assert_eq!(fault, format!("the artifact is damaged: the number at byte {bias} is NaN"));
}

#[test]
fn content_hash_changes_with_each_constituent() {
    let state = fitted(Task::Regression);
    let hash = state.content_hash(None);
    let (rows, labels) = rows(20);
    let still = |in_fine_tune| {
        let mut spec = spec(Task::Regression);
        spec.learner = LearnerSpec::Linear(SgdSpec { learning_rate: 0.0, ..SGD });
        if let TransformFn::Standardize { in_fine_tune: own, .. } = &mut spec.transforms[1].function {
            *own = in_fine_tune;
        }
        Fitted::fit(&spec, &rows, &labels).unwrap()
    };

    // The parent.
    let parent = ContentHash::of(b"parent");
    assert_ne!(state.content_hash(Some(parent)), hash);
    assert_ne!(state.content_hash(Some(parent)), state.content_hash(Some(ContentHash::of(b"another"))));
    // Parameters alone: without steps they stay zero.
    assert_ne!(still(InFineTune::Moving).content_hash(None), hash);
    // Fitted transformations alone: without steps the parameters stay zero, while the scaler moves.
    let moved = still(InFineTune::Moving).fine_tune(&rows[..5], &labels[..5], 1).unwrap();
    assert_ne!(moved.content_hash(None), still(InFineTune::Moving).content_hash(None));
    // A declared transformation.
    assert_ne!(still(InFineTune::Frozen).content_hash(None), still(InFineTune::Moving).content_hash(None));
    // The input list, though the unused column changes nothing that is learned.
    let mut renamed = spec(Task::Regression);
    renamed.inputs[5] = "idle".into();
    assert_ne!(Fitted::fit(&renamed, &rows, &labels).unwrap().content_hash(None), hash);
    // The optimiser: classes that no number separates leave both learners at zero weights after no step.
    let mut online = spec(Task::Binary);
    online.learner = LearnerSpec::Logistic(SgdSpec { learning_rate: 0.0, ..SGD });
    online.transforms = vec![TransformSpec {
        of: vec!["limited".into()],
        function: TransformFn::Clip { min: Some(0.0), max: Some(0.0), missing: Missing::Zero },
    }];
    let mut batch = online.clone();
    batch.learner = LearnerSpec::LogisticBatch(BatchSpec { l2: 1.0, max_iterations: 5 });
    let (online, batch) =
        (Fitted::fit(&online, &rows, &labels).unwrap(), Fitted::fit(&batch, &rows, &labels).unwrap());
    assert_eq!(online.predict(&rows[0]), batch.predict(&rows[0]));
    assert_ne!(online.content_hash(None), batch.content_hash(None));
}

#[test]
fn content_hash_does_not_change_with_anything_else() {
    let state = fitted(Task::Regression);
    let hash = state.content_hash(None);
    assert_eq!(fitted(Task::Regression).content_hash(None), hash);
    let mut settings = spec(Task::Regression);
    settings.learner = LearnerSpec::Linear(SgdSpec { learning_rate: 0.2, l2: 0.5, epochs: 9 });
    settings.output = OutputSpec::default();
    assert_eq!(state.under(&settings).unwrap().content_hash(None), hash);

    // Row counts: frozen scalers and no steps leave the same state after more rows.
    let (rows, labels) = rows(20);
    let mut still = spec(Task::Regression);
    still.learner = LearnerSpec::Linear(SgdSpec { learning_rate: 0.0, ..SGD });
    still.transforms.remove(1);
    let parent = Fitted::fit(&still, &rows, &labels).unwrap();
    let child = parent.fine_tune(&rows, &labels, 3).unwrap();
    assert_ne!(child.rows_seen(), parent.rows_seen());
    assert_eq!(child.content_hash(None), parent.content_hash(None));
}
