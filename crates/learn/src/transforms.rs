//! Model-dependent transformations, fitted on a training set.

mod category;
mod moments;
mod number;

use std::sync::Arc;

use perennial_types::{Row, Value};

pub use category::MAX_CATEGORIES;
pub(crate) use category::{Categories, OneHot};
pub(crate) use moments::Moments;
pub(crate) use number::Number;
use number::{A_NUMBER, NumberFn};

use crate::encoded::EncodedRows;
use crate::error::LearnError;
use crate::parameters::{Move, Parameters};
use crate::spec::{FitSpec, InFineTune, TransformFn};

/// The fitted transformations of a model. The columns of the learner are the numbers in declared order, then
/// the one-hot columns of each categorical in declared order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Transforms {
    inputs: Vec<Arc<str>>,
    numbers: Vec<Number>,
    categoricals: Vec<OneHot>,
}

impl Transforms {
    /// As declared, before any row was seen. The spec has been checked.
    pub(crate) fn unfitted(spec: &FitSpec) -> Self {
        let mut transforms = Self { inputs: spec.inputs.clone(), numbers: vec![], categoricals: vec![] };
        for transform in &spec.transforms {
            for name in &transform.of {
                if let Some(column) = spec.inputs.iter().position(|input| input == name) {
                    transforms.declare(column, &transform.function);
                }
            }
        }
        transforms
    }

    /// Fit on all rows of a training set.
    pub(crate) fn fit(spec: &FitSpec, rows: &[Row]) -> Result<Self, LearnError> {
        let mut transforms = Self::unfitted(spec);
        for (index, row) in rows.iter().enumerate() {
            transforms.check_width(Some(index), row)?;
            for number in &mut transforms.numbers {
                let value = &row[number.column];
                let input = &transforms.inputs[number.column];
                number.observe(value).ok_or_else(|| refused(Some(index), input, value, A_NUMBER))?;
            }
            for categorical in &mut transforms.categoricals {
                let value = &row[categorical.column];
                let input = &transforms.inputs[categorical.column];
                let taken = categorical.categories.insert(value);
                taken.map_err(|expected| refused(Some(index), input, value, expected))?;
            }
        }
        transforms.check_moments()?;
        transforms.place_categoricals();
        Ok(transforms)
    }

    /// Let the moving scalers count new rows.
    pub(crate) fn follow(&mut self, rows: &[Row]) -> Result<(), LearnError> {
        for (index, row) in rows.iter().enumerate() {
            self.check_width(Some(index), row)?;
            for number in self.numbers.iter_mut().filter(|number| number.moving()) {
                let value = &row[number.column];
                let input = &self.inputs[number.column];
                number.observe(value).ok_or_else(|| refused(Some(index), input, value, A_NUMBER))?;
            }
        }
        self.check_moments()
    }

    /// How each number column moved since an earlier state.
    pub(crate) fn moves_since(&self, earlier: &Self) -> Vec<Move> {
        self.numbers.iter().zip(&earlier.numbers).map(|(now, earlier)| now.moved_from(earlier)).collect()
    }

    /// How many columns the learner sees.
    pub(crate) fn width(&self) -> usize {
        self.numbers.len() + self.categoricals.iter().map(OneHot::width).sum::<usize>()
    }

    /// Encode a training set.
    pub(crate) fn encode(&self, rows: &[Row]) -> Result<EncodedRows, LearnError> {
        let mut encoded = EncodedRows::with_capacity(rows.len(), self.numbers.len(), self.categoricals.len());
        let (mut numbers, mut active) = (vec![], vec![]);
        for (index, row) in rows.iter().enumerate() {
            self.check_width(Some(index), row)?;
            numbers.clear();
            active.clear();
            for number in &self.numbers {
                numbers.push(self.number(number, row, Some(index))?);
            }
            for categorical in &self.categoricals {
                active.push(self.category(categorical, row, Some(index))?);
            }
            encoded.push(&numbers, &active);
        }
        Ok(encoded)
    }

    /// The score of one row, in the order of summation that training uses, without a copy of the row.
    pub(crate) fn score(&self, parameters: &Parameters, row: &[Value]) -> Result<f64, LearnError> {
        self.check_width(None, row)?;
        let mut score = parameters.bias;
        for (number, weight) in self.numbers.iter().zip(&parameters.weights) {
            score += weight * self.number(number, row, None)?;
        }
        for categorical in &self.categoricals {
            score += parameters.score_of(self.category(categorical, row, None)?);
        }
        Ok(score)
    }

    /// The sum of the absolute weights of each input's columns.
    pub(crate) fn importance(&self, parameters: &Parameters) -> Vec<f64> {
        let mut importance = vec![0.0; self.inputs.len()];
        for (number, weight) in self.numbers.iter().zip(&parameters.weights) {
            importance[number.column] += weight.abs();
        }
        for categorical in &self.categoricals {
            let own = parameters.weights.iter().skip(categorical.first as usize).take(categorical.width());
            importance[categorical.column] += own.map(|weight| weight.abs()).sum::<f64>();
        }
        importance
    }

    /// The fitted state of each number column, in order.
    pub(crate) fn moments(&self) -> impl ExactSizeIterator<Item = &Moments> {
        self.numbers.iter().map(|number| &number.moments)
    }

    /// The fitted state of each categorical, in order.
    pub(crate) fn categories(&self) -> impl ExactSizeIterator<Item = &Categories> {
        self.categoricals.iter().map(|categorical| &categorical.categories)
    }

    /// Put a fitted state in; nothing when it has another shape than was declared.
    pub(crate) fn with_state(mut self, moments: &[Moments], categories: Vec<Categories>) -> Option<Self> {
        if moments.len() != self.numbers.len() || categories.len() != self.categoricals.len() {
            return None;
        }
        for (number, moments) in self.numbers.iter_mut().zip(moments) {
            number.moments = *moments;
        }
        for (categorical, categories) in self.categoricals.iter_mut().zip(categories) {
            categorical.categories = categories;
        }
        self.place_categoricals();
        Some(self)
    }

    fn declare(&mut self, column: usize, function: &TransformFn) {
        let (function, missing) = match *function {
            TransformFn::Standardize { clip, missing, in_fine_tune } => {
                let moving = in_fine_tune == InFineTune::Moving;
                (NumberFn::Standardize { clip, moving }, missing)
            }
            TransformFn::Clip { min, max, missing } => (NumberFn::Limit { min, max }, missing),
            TransformFn::Pass { missing } => (NumberFn::Limit { min: None, max: None }, missing),
            TransformFn::OneHot { unknown } => {
                let categories = Categories::Unseen;
                self.categoricals.push(OneHot { column, unknown, categories, first: 0 });
                return;
            }
        };
        self.numbers.push(Number { column, function, missing, moments: Moments::default() });
    }

    /// Say where the columns of each categorical begin.
    fn place_categoricals(&mut self) {
        let mut first = self.numbers.len() as u32;
        for categorical in &mut self.categoricals {
            categorical.first = first;
            first += categorical.width() as u32;
        }
    }

    fn number(&self, number: &Number, row: &[Value], index: Option<usize>) -> Result<f64, LearnError> {
        let value = &row[number.column];
        number.encode(value).ok_or_else(|| refused(index, &self.inputs[number.column], value, A_NUMBER))
    }

    fn category(&self, categorical: &OneHot, row: &[Value], index: Option<usize>) -> Result<u32, LearnError> {
        let value = &row[categorical.column];
        let column = categorical.encode(value);
        column.map_err(|expected| refused(index, &self.inputs[categorical.column], value, expected))
    }

    fn check_width(&self, index: Option<usize>, row: &[Value]) -> Result<(), LearnError> {
        if row.len() == self.inputs.len() {
            return Ok(());
        }
        let what = index.map_or_else(|| "the row".to_owned(), |index| format!("row {index}"));
        Err(LearnError::Length {
            what: format!("{what}, one value for each input,"),
            found: row.len(),
            expected: self.inputs.len(),
        })
    }

    fn check_moments(&self) -> Result<(), LearnError> {
        match self.numbers.iter().find(|number| !number.moments.usable()) {
            Some(number) => Err(LearnError::Input {
                row: None,
                column: Arc::clone(&self.inputs[number.column]),
                value: "so large that its variance overflows".to_owned(),
                expected: "values below 1e150; use fn: clip, or another unit",
            }),
            None => Ok(()),
        }
    }
}

fn refused(row: Option<usize>, column: &Arc<str>, value: &Value, expected: &'static str) -> LearnError {
    let value = match (value, value.data_type()) {
        (Value::String(text), _) => format!("string {:?}", shortened(text)),
        (_, Some(data_type)) => format!("{data_type} {value}"),
        (_, None) => "NULL".to_owned(),
    };
    LearnError::Input { row, column: Arc::clone(column), value, expected }
}

/// At most the first 40 characters: a message is no place for a document.
fn shortened(text: &str) -> &str {
    text.char_indices().nth(40).map_or(text, |(end, _)| &text[..end])
}
