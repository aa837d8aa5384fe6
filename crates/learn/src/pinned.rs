//! A declared spec that was checked, with the bytes that it is written as.

use std::collections::HashSet;
use std::sync::Arc;

use perennial_types::did_you_mean;

use crate::error::LearnError;
use crate::spec::{FitSpec, InFineTune, LearnerSpec, Missing, Task, TransformFn};

/// A checked spec. The bytes are made (or read) once, so that writing a state cannot fail.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pinned {
    spec: FitSpec,
    json: Vec<u8>,
    identity: Vec<u8>,
}

impl Pinned {
    /// Check a spec and write it down.
    pub(crate) fn new(spec: &FitSpec) -> Result<Self, LearnError> {
        spec.check()?;
        let json = written(serde_json::to_vec(spec))?;
        Self::assemble(spec.clone(), json)
    }

    /// Read a spec back and keep its bytes as they are.
    pub(crate) fn read(json: &[u8]) -> Result<Self, LearnError> {
        let corrupt = |fault: &dyn std::fmt::Display| LearnError::Corrupt(format!("its spec: {fault}"));
        let spec: FitSpec = serde_json::from_slice(json).map_err(|fault| corrupt(&fault))?;
        spec.check().map_err(|fault| corrupt(&fault))?;
        Self::assemble(spec, json.to_vec())
    }

    /// What was declared.
    pub(crate) fn spec(&self) -> &FitSpec {
        &self.spec
    }

    /// The spec as it stands in an artifact.
    pub(crate) fn json(&self) -> &[u8] {
        &self.json
    }

    /// The input list and the declared transformations, as they enter the content hash.
    pub(crate) fn identity(&self) -> &[u8] {
        &self.identity
    }

    fn assemble(spec: FitSpec, json: Vec<u8>) -> Result<Self, LearnError> {
        let identity = written(serde_json::to_vec(&(&spec.inputs, &spec.transforms)))?;
        Ok(Self { spec, json, identity })
    }
}

fn written(json: serde_json::Result<Vec<u8>>) -> Result<Vec<u8>, LearnError> {
    json.map_err(|fault| setting("the spec", fault, "expected one that JSON can hold"))
}

impl FitSpec {
    /// Check that names are known, settings are within their ranges and the learner fits the task.
    ///
    /// # Errors
    /// [`LearnError::UnknownColumn`] and [`LearnError::Setting`], at the first fault.
    pub fn check(&self) -> Result<(), LearnError> {
        distinct("inputs", &self.inputs)?;
        for (index, transform) in self.transforms.iter().enumerate() {
            let number = index + 1;
            distinct(&format!("transform {number}"), &transform.of)?;
            for column in &transform.of {
                if !self.inputs.contains(column) {
                    let known = self.inputs.iter().map(|input| &**input);
                    return Err(LearnError::UnknownColumn {
                        transform: number,
                        column: Arc::clone(column),
                        help: did_you_mean(column, known),
                    });
                }
            }
            check_function(number, &transform.function)?;
        }
        if self.transforms.iter().all(|transform| transform.of.is_empty()) {
            return Err(setting(
                "transforms",
                "without a column",
                "a learner sees only columns named in a transform",
            ));
        }
        check_bounds("output", self.output.min, self.output.max)?;
        self.check_learner()
    }

    /// Whether a fine-tune moves the scalers, and with them that of the target.
    pub(crate) fn moving(&self) -> bool {
        self.transforms.iter().any(|transform| match transform.function {
            TransformFn::Standardize { in_fine_tune, .. } => in_fine_tune == InFineTune::Moving,
            TransformFn::OneHot { .. } | TransformFn::Clip { .. } | TransformFn::Pass { .. } => false,
        })
    }

    fn check_learner(&self) -> Result<(), LearnError> {
        let l2 = match &self.learner {
            LearnerSpec::Linear(sgd) | LearnerSpec::Logistic(sgd) => {
                if !(sgd.learning_rate.is_finite() && sgd.learning_rate >= 0.0) {
                    return Err(setting("learning_rate", sgd.learning_rate, "expected a number not below 0"));
                }
                if sgd.epochs == 0 {
                    return Err(setting("epochs", 0, "expected at least 1"));
                }
                sgd.l2
            }
            LearnerSpec::LogisticBatch(batch) => {
                if batch.max_iterations == 0 {
                    return Err(setting("max_iterations", 0, "expected at least 1"));
                }
                batch.l2
            }
        };
        if !(l2.is_finite() && l2 >= 0.0) {
            return Err(setting("l2", l2, "expected a number not below 0"));
        }
        match (&self.learner, self.task) {
            (LearnerSpec::Linear(_), Task::Regression)
            | (LearnerSpec::Logistic(_) | LearnerSpec::LogisticBatch(_), Task::Binary) => Ok(()),
            (LearnerSpec::Linear(_), Task::Binary) => {
                Err(setting("learner.kind", "linear", "task binary needs logistic or logistic_batch"))
            }
            (LearnerSpec::Logistic(_), Task::Regression) => {
                Err(setting("learner.kind", "logistic", "task regression needs linear"))
            }
            (LearnerSpec::LogisticBatch(_), Task::Regression) => {
                Err(setting("learner.kind", "logistic_batch", "task regression needs linear"))
            }
        }
    }
}

fn check_function(number: usize, function: &TransformFn) -> Result<(), LearnError> {
    let missing = match function {
        TransformFn::Standardize { clip, missing, .. } => {
            if !(clip.is_finite() && *clip > 0.0) {
                let name = format!("clip of transform {number}");
                return Err(setting(&name, clip, "expected a number above 0"));
            }
            *missing
        }
        TransformFn::Clip { min, max, missing } => {
            check_bounds(&format!("transform {number}"), *min, *max)?;
            *missing
        }
        TransformFn::Pass { missing } => *missing,
        TransformFn::OneHot { .. } => Missing::Zero,
    };
    match missing {
        Missing::Constant(constant) if !constant.is_finite() => {
            let name = format!("missing of transform {number}");
            Err(setting(&name, constant, "expected a finite number"))
        }
        Missing::Constant(_) | Missing::Mean | Missing::Zero => Ok(()),
    }
}

fn check_bounds(of: &str, min: Option<f64>, max: Option<f64>) -> Result<(), LearnError> {
    for (name, bound) in [("min", min), ("max", max)] {
        if let Some(bound) = bound
            && !bound.is_finite()
        {
            return Err(setting(&format!("{name} of {of}"), bound, "expected a finite number"));
        }
    }
    match (min, max) {
        (Some(min), Some(max)) if min > max => {
            Err(setting(&format!("min of {of}"), min, "expected a number not above max"))
        }
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

fn distinct(of: &str, names: &[Arc<str>]) -> Result<(), LearnError> {
    let mut seen = HashSet::new();
    match names.iter().find(|name| !seen.insert(&***name)) {
        Some(twice) => {
            Err(setting(of, format!("a list with {twice:?} twice"), "each column may be named once"))
        }
        None => Ok(()),
    }
}

fn setting(name: &str, value: impl ToString, expected: &'static str) -> LearnError {
    LearnError::Setting { setting: name.to_owned(), value: value.to_string(), expected }
}
