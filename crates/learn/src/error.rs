//! What can go wrong between a declared learner and an answer.

use std::sync::Arc;

use perennial_types::{ContentHash, Kind};

/// Why a state could not be fitted, fine-tuned, asked, written or read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LearnError {
    /// A transformation names a column that is no input.
    #[error("transform {transform} names column {column:?}, which is no input{help}")]
    UnknownColumn {
        /// The number of the transformation, counted from 1.
        transform: usize,
        /// The name that was written.
        column: Arc<str>,
        /// The nearest name, or the names there are.
        help: String,
    },
    /// A setting has a value that it cannot have, or two settings contradict each other.
    #[error("{setting} is {value}: {expected}")]
    Setting {
        /// Which setting.
        setting: String,
        /// What it is.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// There is nothing to learn from.
    #[error("the training set is empty: a fit needs at least one labelled row")]
    NoRows,
    /// Two things that must have the same length have not.
    #[error("{what} has {found}, expected {expected}")]
    Length {
        /// What was counted.
        what: String,
        /// How many there are.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
    /// A value cannot be used by the transformation of its column.
    #[error("{}column {column:?} is {value}: expected {expected}", at(*row))]
    Input {
        /// The row of the training set, counted from 0; nothing for a single prediction.
        row: Option<usize>,
        /// The input column.
        column: Arc<str>,
        /// The value, with its type.
        value: String,
        /// What would do.
        expected: &'static str,
    },
    /// A label is not what the task needs.
    #[error("row {row}: the label is {label}: expected {expected}")]
    Label {
        /// The row of the training set, counted from 0.
        row: usize,
        /// The label.
        label: f64,
        /// What would do.
        expected: &'static str,
    },
    /// A batch fit of two classes was given one.
    #[error(
        "all {rows} labels are {label}: a logistic batch fit needs both classes; wait for more labels, or use \
         kind: logistic, which learns from one"
    )]
    OneClass {
        /// The only label.
        label: f64,
        /// How often.
        rows: usize,
    },
    /// The parameters left the finite numbers.
    #[error(
        "training diverged after {row_visits} row visits with learning_rate {learning_rate}: lower the learning \
         rate, or standardize the inputs"
    )]
    Diverged {
        /// The step that was too long.
        learning_rate: f64,
        /// Rows times epochs that were visited by then.
        row_visits: u64,
    },
    /// The batch solver gave up.
    #[error("the logistic batch fit failed: {0}; standardize the inputs, or raise l2")]
    Solver(String),
    /// An answer is no finite number.
    #[error("the answer is not a finite number: an input that no transform limits is too large")]
    Unanswerable,
    /// A fine-tune or run does not fit the state it starts from.
    #[error("{what} of the run differs from the parent's: that needs a retrain, not a fine-tune")]
    NotTheParents {
        /// Which part of the declaration.
        what: &'static str,
    },
    /// A run says something that its action cannot use.
    #[error("run {run_id:?}: {fault}")]
    Run {
        /// The run.
        run_id: String,
        /// What is wrong with it.
        fault: String,
    },
    /// A file is not the one that was named.
    #[error("{file:?} has sha256 {found}, expected {expected}: it is damaged, or another file")]
    WrongFile {
        /// The file in the run directory.
        file: String,
        /// What it hashes to.
        found: ContentHash,
        /// What was announced.
        expected: ContentHash,
    },
    /// Bytes that are something else.
    #[error("this is no artifact of a learner: it does not start with PERLEARN")]
    Foreign,
    /// Bytes of a later format.
    #[error("the artifact has format version {found}; this build reads up to {known}: update perennial")]
    Newer {
        /// The version in the bytes.
        found: u16,
        /// The newest that is known here.
        known: u16,
    },
    /// Bytes that are damaged.
    #[error("the artifact is damaged: {0}")]
    Corrupt(String),
}

impl LearnError {
    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::UnknownColumn { .. }
            | Self::Setting { .. }
            | Self::NoRows
            | Self::Length { .. }
            | Self::Input { .. }
            | Self::Label { .. }
            | Self::OneClass { .. }
            | Self::Diverged { .. }
            | Self::Solver(_)
            | Self::Unanswerable
            | Self::Run { .. }
            | Self::Foreign
            | Self::Newer { .. } => Kind::Invalid,
            Self::NotTheParents { .. } => Kind::Conflict,
            Self::WrongFile { .. } | Self::Corrupt(_) => Kind::Internal,
        }
    }
}

fn at(row: Option<usize>) -> String {
    row.map_or_else(String::new, |row| format!("row {row}: "))
}
