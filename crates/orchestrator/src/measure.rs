//! Measuring drift: what came in over a window against what a version was trained on; and figures of the data.

mod data;

use std::sync::Arc;

use parking_lot::Mutex;
use perennial_control::{DriftReading, MeasureRequest, Measured, Measurement, Reading, State, VersionRef};
use perennial_learn::{Fitted, TransformFn};
use perennial_pipeline::{Asked, Definition, Pipeline, RawColumns, ReferencePart};
use perennial_policy::DriftRule;
use perennial_project::{CompiledModel, matches};
use perennial_stats::drift::{Assessment, ColumnDrift, Rule, Sample, assess, compare};
use perennial_types::{ContentHash, DataType, Value};

use crate::OrchestratorError;
use crate::window::Window;

/// References that are kept ready: more than one for each model of a large project.
const KEPT: usize = 16;

/// Measures and reports what is in the log. It changes nothing but the blobs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Observer {
    pub(crate) pipeline: Pipeline,
    pub(crate) state: Arc<Mutex<State>>,
    references: Arc<References>,
}

/// References whose samples are made, the one used last in front.
#[derive(Default)]
struct References(Mutex<Vec<(ContentHash, Arc<Vec<Sample>>)>>);

/// What a version is compared by.
pub(crate) struct Subject<'a> {
    pub(crate) model: &'a Arc<str>,
    pub(crate) version: &'a VersionRef,
    /// The sample of its training rows.
    pub(crate) reference: Option<ContentHash>,
    /// Names of columns, or patterns.
    pub(crate) columns: &'a [Arc<str>],
    /// Rows that either side must have.
    pub(crate) min_rows: u64,
}

/// The columns of a version in both windows.
pub(crate) struct Compared {
    pub(crate) columns: Vec<ComparedColumn>,
    pub(crate) reference_rows: u64,
    pub(crate) current_rows: u64,
    /// All samples of the reference, by the place in the model's row.
    reference: Arc<Vec<Sample>>,
}

/// One column in both windows.
pub(crate) struct ComparedColumn {
    pub(crate) name: Arc<str>,
    pub(crate) current: Sample,
    drift: ColumnDrift,
    weight: f64,
    index: usize,
}

impl Compared {
    /// The verdict over all columns, in their order.
    pub(crate) fn assess(&self, rule: DriftRule) -> Result<Assessment, String> {
        let DriftRule { alpha, min_wasserstein_sd, min_js, min_missing_change } = rule;
        let rule = Rule { alpha, min_wasserstein_sd, min_js, min_missing_change };
        let columns: Vec<(String, ColumnDrift, f64)> = self
            .columns
            .iter()
            .map(|column| (column.name.to_string(), column.drift.clone(), column.weight))
            .collect();
        assess(&columns, rule).map_err(|error| error.to_string())
    }

    /// A column of the reference.
    pub(crate) fn reference(&self, column: &ComparedColumn) -> &Sample {
        &self.reference[column.index]
    }
}

impl Observer {
    /// Of a pipeline and the loop's state that follows it.
    pub(crate) fn new(pipeline: Pipeline, state: Arc<Mutex<State>>) -> Self {
        Self { pipeline, state, references: Arc::default() }
    }

    /// Carry out the measurements of an instant. What nobody can say anything about is a reading too, with its
    /// reason. Blocks.
    ///
    /// # Errors
    /// When the log or a blob cannot be read.
    pub(crate) fn measure(&self, requests: &[MeasureRequest]) -> Result<Vec<Measured>, OrchestratorError> {
        let mut windows: Vec<(&MeasureRequest, Window)> = Vec::new();
        let mut measured = Vec::with_capacity(requests.len());
        for request in requests {
            let (reference, columns, rule, min_rows) = match &request.what {
                Measurement::Drift { reference, columns, rule, min_rows } => {
                    (*reference, columns, *rule, *min_rows)
                }
                Measurement::Data { figure, of, limit } => {
                    let (from, to) = (request.from, request.to);
                    let asked = data::Asked { figure: *figure, of, limit: *limit, from, to };
                    let reading = data::measure(&self.pipeline, &asked);
                    measured.push(measured_of(request, reading.map(Reading::Data)));
                    continue;
                }
            };
            let same = |known: &MeasureRequest| {
                (&known.endpoint, known.from, known.to) == (&request.endpoint, request.from, request.to)
            };
            let window = match windows.iter().position(|(known, _)| same(known)) {
                Some(index) => &windows[index].1,
                None => {
                    let reader = self.pipeline.reader();
                    let window = Window::read(reader, &request.endpoint, request.from, request.to)?;
                    windows.push((request, window));
                    &windows[windows.len() - 1].1
                }
            };
            let subject =
                Subject { model: &request.model, version: &request.version, reference, columns, min_rows };
            let compared = self.compare(&subject, window)?;
            let reading = compared.and_then(|compared| reading(&compared, rule));
            measured.push(measured_of(request, reading.map(Reading::Drift)));
        }
        Ok(measured)
    }

    /// The columns of a version over a window against its reference, or why they cannot be compared.
    pub(crate) fn compare(
        &self,
        subject: &Subject<'_>,
        window: &Window,
    ) -> Result<Result<Compared, String>, OrchestratorError> {
        let (model, number) = (subject.model, subject.version.number);
        let Some(reference) = subject.reference else {
            return Ok(Err(format!("there is no sample of the rows that {model} {number} was trained on")));
        };
        let declared = self.pipeline.declared();
        let Some(definition) = declared.definition(subject.version.definition) else {
            return Ok(Err(format!("the definition of {model} {number} is no longer in use")));
        };
        let current = current(definition, window)?;
        let reference = self.reference(reference, &definition.model)?;
        let rows = |sample: Option<&Sample>| sample.map_or(0, Sample::rows);
        let (reference_rows, current_rows) = (rows(reference.first()), current.rows() as u64);
        for (side, rows) in [("reference", reference_rows), ("window", current_rows)] {
            if rows < subject.min_rows {
                let least = subject.min_rows;
                return Ok(Err(format!(
                    "the {side} of {model} {number} has {rows} rows, fewer than {least}"
                )));
            }
        }
        let weights = self.weights(subject.version, &definition.model)?;
        let mut columns = Vec::new();
        for (index, name) in current.names().iter().enumerate() {
            if !subject.columns.iter().any(|pattern| matches(pattern, name)) {
                continue;
            }
            let sample = sample(&definition.model, index, current.column(index));
            let drift = compare(&reference[index], &sample)
                .map_err(|error| OrchestratorError::Internal(format!("column {name:?}: {error}")))?;
            let (name, weight) = (Arc::clone(name), weights[index]);
            columns.push(ComparedColumn { name, current: sample, drift, weight, index });
        }
        if columns.is_empty() {
            return Ok(Err(format!(
                "{model} {number} has none of the columns {}",
                subject.columns.join(", ")
            )));
        }
        Ok(Ok(Compared { columns, reference_rows, current_rows, reference }))
    }

    /// The samples of a reference, column by column.
    fn reference(
        &self,
        hash: ContentHash,
        model: &CompiledModel,
    ) -> Result<Arc<Vec<Sample>>, OrchestratorError> {
        let mut kept = self.references.0.lock();
        if let Some(index) = kept.iter().position(|(known, _)| *known == hash) {
            kept[..=index].rotate_right(1);
            return Ok(Arc::clone(&kept[0].1));
        }
        let blobs = self.pipeline.blobs();
        let rows = ReferencePart::join(hash, |part| Ok(blobs.get(part)?))?;
        let columns = 0..rows.names().len();
        let samples: Vec<Sample> = columns.map(|index| sample(model, index, rows.column(index))).collect();
        let samples = Arc::new(samples);
        kept.insert(0, (hash, Arc::clone(&samples)));
        kept.truncate(KEPT);
        Ok(samples)
    }

    /// How much each column of a model's row bears on what a version answers.
    fn weights(&self, version: &VersionRef, model: &CompiledModel) -> Result<Vec<f64>, OrchestratorError> {
        let bytes = self.pipeline.blobs().get(&version.artifact)?;
        let fitted = Fitted::load(&bytes).map_err(|error| OrchestratorError::Internal(error.to_string()))?;
        let mut weights = vec![0.0; model.row.columns().len()];
        for (input, importance) in model.inputs.iter().zip(fitted.importance()) {
            weights[input.column] += importance;
        }
        Ok(weights)
    }
}

fn measured_of(request: &MeasureRequest, reading: Result<Reading, String>) -> Measured {
    Measured {
        policy: Arc::clone(&request.policy),
        signal: Arc::clone(&request.signal),
        model: Arc::clone(&request.model),
        number: request.version.number,
        at: request.to,
        reading,
    }
}

/// The raw columns of a window's requests by a definition. Requests to which its views were not served are left
/// out: what they were cannot be compared.
fn current(definition: &Definition, window: &Window) -> Result<RawColumns, OrchestratorError> {
    let mut rows = Vec::with_capacity(window.sample.len());
    for (position, record) in &window.sample {
        let row = Asked::as_served(&definition.model, record)
            .map_err(|error| OrchestratorError::Internal(format!("record {position}: {error}")))?;
        rows.extend(row);
    }
    Ok(RawColumns::new(&definition.model, rows))
}

/// What is text, true or false, or encoded category by category is categorical; everything else is a number.
fn sample(model: &CompiledModel, index: usize, values: &[Value]) -> Sample {
    let column = &model.row.columns()[index];
    let input = model.inputs.iter().find(|input| input.column == index);
    let encoded = input.is_some_and(|input| {
        let one_hot = model.fit.transforms.iter().filter(|transform| match transform.function {
            TransformFn::OneHot { .. } => true,
            TransformFn::Standardize { .. } | TransformFn::Clip { .. } | TransformFn::Pass { .. } => false,
        });
        one_hot.into_iter().any(|transform| transform.of.contains(&input.name))
    });
    let categorical = match column.data_type {
        DataType::Boolean | DataType::String => true,
        DataType::Int64 | DataType::Double | DataType::Timestamp | DataType::Duration => encoded,
        // Compared by how often each text of them stands there.
        DataType::List(_) | DataType::Map(_) => true,
    };
    if categorical {
        Sample::categorical(values.iter().map(category))
    } else {
        Sample::numeric(values.iter().map(number))
    }
}

fn category(value: &Value) -> Option<Arc<str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Arc::clone(text)),
        Value::Boolean(_)
        | Value::Int64(_)
        | Value::Double(_)
        | Value::Timestamp(_)
        | Value::Duration(_)
        | Value::List(_)
        | Value::Map(_) => Some(value.to_string().into()),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Double(number) => Some(*number),
        Value::Int64(number) => Some(*number as f64),
        Value::Timestamp(instant) => Some(instant.micros() as f64),
        Value::Duration(length) => Some(length.micros() as f64),
        Value::Null | Value::Boolean(_) | Value::String(_) | Value::List(_) | Value::Map(_) => None,
    }
}

fn reading(compared: &Compared, rule: DriftRule) -> Result<DriftReading, String> {
    let assessment = compared.assess(rule)?;
    let alarmed = assessment.columns.iter().filter(|column| column.alarmed);
    Ok(DriftReading {
        reference_rows: compared.reference_rows,
        current_rows: compared.current_rows,
        share: assessment.share,
        weighted_share: assessment.weighted_share,
        worst: assessment.worst.as_deref().map(Arc::from),
        max_effect: assessment.max_effect,
        alarmed: assessment.alarmed,
        columns: alarmed.map(|column| (column.name.as_str().into(), column.reason.clone())).collect(),
    })
}

#[cfg(test)]
mod tests;
