//! The sections that hold what was learned.

use std::sync::Arc;

use super::bytes::{Reader, Writer, corrupt};
use crate::error::LearnError;
use crate::fitted::Fitted;
use crate::parameters::Parameters;
use crate::pinned::Pinned;
use crate::spec::{LearnerSpec, Task};
use crate::transforms::{Categories, MAX_CATEGORIES, Moments, Transforms};

pub(super) fn write_parameters(fitted: &Fitted, writer: &mut Writer) {
    writer.f64(fitted.parameters.bias);
    writer.count(fitted.parameters.weights.len());
    fitted.parameters.weights.iter().for_each(|weight| writer.f64(*weight));
}

pub(super) fn read_parameters(reader: &mut Reader<'_>) -> Result<Parameters, LearnError> {
    let bias = reader.f64()?;
    let weights = (0..reader.count(8)?).map(|_| reader.f64()).collect::<Result<_, _>>()?;
    Ok(Parameters { bias, weights })
}

pub(super) fn write_optimiser(fitted: &Fitted, writer: &mut Writer) {
    writer.u8(optimiser_code(&fitted.spec().learner));
}

pub(super) fn read_optimiser(pinned: &Pinned, reader: &mut Reader<'_>) -> Result<(), LearnError> {
    let (code, expected) = (reader.u8()?, optimiser_code(&pinned.spec().learner));
    if code == expected {
        Ok(())
    } else {
        Err(corrupt(format!("optimiser {code} where its spec says {expected}")))
    }
}

fn optimiser_code(learner: &LearnerSpec) -> u8 {
    match learner {
        LearnerSpec::Linear(_) | LearnerSpec::Logistic(_) => 0,
        LearnerSpec::LogisticBatch(_) => 1,
    }
}

/// Fitted transformations, that of the target included.
pub(super) fn write_transforms(fitted: &Fitted, writer: &mut Writer) {
    let moments = fitted.transforms.moments();
    writer.count(moments.len());
    moments.for_each(|moments| write_moments(moments, writer));
    let categories = fitted.transforms.categories();
    writer.count(categories.len());
    categories.for_each(|categories| write_categories(categories, writer));
    writer.u8(u8::from(fitted.target.is_some()));
    if let Some(target) = &fitted.target {
        write_moments(target, writer);
    }
}

pub(super) fn read_transforms(
    pinned: &Pinned,
    reader: &mut Reader<'_>,
) -> Result<(Transforms, Option<Moments>), LearnError> {
    let moments = (0..reader.count(24)?).map(|_| read_moments(reader)).collect::<Result<Vec<_>, _>>()?;
    let categories = (0..reader.count(5)?).map(|_| read_categories(reader)).collect::<Result<Vec<_>, _>>()?;
    let transforms = Transforms::unfitted(pinned.spec())
        .with_state(&moments, categories)
        .ok_or_else(|| corrupt("its transformations are not those of its spec"))?;
    let target = match (reader.u8()?, pinned.spec().task) {
        (0, Task::Binary) => None,
        (1, Task::Regression) => Some(read_moments(reader)?),
        (code, Task::Binary | Task::Regression) => {
            return Err(corrupt(format!("target scaler {code} does not fit the task of its spec")));
        }
    };
    Ok((transforms, target))
}

fn write_moments(moments: &Moments, writer: &mut Writer) {
    writer.u64(moments.count);
    writer.f64(moments.mean);
    writer.f64(moments.m2);
}

fn read_moments(reader: &mut Reader<'_>) -> Result<Moments, LearnError> {
    let moments = Moments { count: reader.tally()?, mean: reader.f64()?, m2: reader.f64()? };
    if moments.usable() { Ok(moments) } else { Err(corrupt("a sum of squares is negative")) }
}

fn write_categories(categories: &Categories, writer: &mut Writer) {
    match categories {
        Categories::Unseen => {
            writer.u8(0);
            writer.count(0);
        }
        Categories::Boolean(values) => {
            writer.u8(1);
            writer.count(values.len());
            values.iter().for_each(|value| writer.u8(u8::from(*value)));
        }
        Categories::Int64(values) => {
            writer.u8(2);
            writer.count(values.len());
            values.iter().for_each(|value| writer.i64(*value));
        }
        Categories::String(values) => {
            writer.u8(3);
            writer.count(values.len());
            values.iter().for_each(|value| writer.text(value.as_bytes()));
        }
    }
}

fn read_categories(reader: &mut Reader<'_>) -> Result<Categories, LearnError> {
    let code = reader.u8()?;
    let (size, least) = match code {
        0 => (1, 0),
        1 => (1, 1),
        2 => (8, 1),
        3 => (4, 1),
        _ => return Err(corrupt(format!("there are no categories of type {code}"))),
    };
    let count = reader.count(size)?;
    if count < least || count > MAX_CATEGORIES || (code == 0 && count > 0) {
        return Err(corrupt(format!("{count} categories of type {code}")));
    }
    let categories = match code {
        0 => Categories::Unseen,
        1 => Categories::Boolean(ascending(count, || read_boolean(reader))?),
        2 => Categories::Int64(ascending(count, || reader.i64())?),
        _ => Categories::String(ascending(count, || read_string(reader))?),
    };
    Ok(categories)
}

fn ascending<T: PartialOrd>(
    count: usize,
    mut read: impl FnMut() -> Result<T, LearnError>,
) -> Result<Vec<T>, LearnError> {
    let values = (0..count).map(|_| read()).collect::<Result<Vec<_>, _>>()?;
    let sorted = values.windows(2).all(|pair| pair[0] < pair[1]);
    if sorted { Ok(values) } else { Err(corrupt("its categories are not in order")) }
}

fn read_boolean(reader: &mut Reader<'_>) -> Result<bool, LearnError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        code => Err(corrupt(format!("{code} is no boolean"))),
    }
}

fn read_string(reader: &mut Reader<'_>) -> Result<Arc<str>, LearnError> {
    let text =
        std::str::from_utf8(reader.text()?).map_err(|fault| corrupt(format!("a category: {fault}")))?;
    Ok(Arc::from(text))
}
