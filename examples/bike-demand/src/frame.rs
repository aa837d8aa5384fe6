//! The hours as rows of a training set: the declared inputs, as they were known, and the truth.

use anyhow::{Context, Result, bail};
use perennial_features::point_in_time::{Mode, Query, replay};
use perennial_features::{EntityKey, Event};
use perennial_learn::{FitSpec, LearnerSpec};
use perennial_project::{Compiled, CompiledModel, Project};
use perennial_types::{Position, Row, SourceSpec};
use serde_json::Value as Json;

use crate::data::{Hour, project};

/// Which inputs a model has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inputs {
    /// Those that need the request alone.
    Raw,
    /// All that the project declares.
    Windowed,
}

/// Every hour with its inputs as they were known when it was asked for, in order of time.
#[derive(Clone, Debug)]
pub struct Frame {
    /// How a model of these rows is fitted: as the project declares.
    pub spec: FitSpec,
    /// The hours.
    pub hours: Vec<Hour>,
    /// Their inputs, in the order of `spec.inputs`.
    pub rows: Vec<Row>,
    /// Their truths.
    pub labels: Vec<f64>,
}

impl Frame {
    /// The rows of the project's model, for a client who tells the truth of an hour a day later and before he
    /// asks for that day's hour.
    ///
    /// # Errors
    /// When the declarations of the project have a fault, or do not fit the hours.
    pub fn as_known(hours: Vec<Hour>, inputs: Inputs) -> Result<Self> {
        let (source, compiled) = declared()?;
        let model = compiled.models.first().context("the project has no model")?;
        let complete = complete_rows(model, &source, &hours)?;
        let wanted = |name: &str| match inputs {
            Inputs::Raw => !name.contains('.'),
            Inputs::Windowed => true,
        };
        let mut spec = model.fit.clone();
        spec.inputs.retain(|name| wanted(name));
        for transform in &mut spec.transforms {
            transform.of.retain(|name| wanted(name));
        }
        let columns: Vec<usize> =
            model.inputs.iter().filter(|input| wanted(&input.name)).map(|i| i.column).collect();
        let pick = |row: &Row| columns.iter().map(|column| row[*column].clone()).collect();
        let rows = complete.iter().map(pick).collect();
        let labels = hours.iter().map(|hour| hour.cnt as f64).collect();
        Ok(Self { spec, hours, rows, labels })
    }

    /// Passes of a fit from scratch.
    pub fn epochs(&self) -> u32 {
        match &self.spec.learner {
            LearnerSpec::Linear(sgd) | LearnerSpec::Logistic(sgd) => sgd.epochs,
            LearnerSpec::LogisticBatch(_) => 1,
        }
    }
}

/// The source of the project, and the project made ready.
fn declared() -> Result<(SourceSpec, Compiled)> {
    let files: Vec<_> = project().into_iter().map(|file| (file.name, file.text)).collect();
    let parsed = Project::parse(&files).and_then(|project| Ok((project.compile()?, project)));
    match parsed {
        Ok((compiled, project)) => {
            let source = project.sources.into_iter().next().context("the project has no source")?;
            Ok((source, compiled))
        }
        Err(faults) => {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            bail!("the project has faults:\n{}", faults.join("\n"))
        }
    }
}

/// Each hour's row in the layout of the model: request, on-demand, looked-up features, on-demand again.
fn complete_rows(model: &CompiledModel, source: &SourceSpec, hours: &[Hour]) -> Result<Vec<Row>> {
    let decode = |hour: &Hour| model.spec.request.decode_json(&Json::Object(hour.request()));
    let mut rows = hours.iter().map(decode).collect::<Result<Vec<Row>, _>>()?;
    let told =
        hours.iter().map(|hour| source.schema.decode_json(&hour.event())).collect::<Result<Vec<_>, _>>()?;
    let event = |(index, hour): (usize, &Hour)| Event {
        position: Position(index as u64 + 1),
        source: &source.name,
        row: &told[index],
        event_time: hour.at,
        available_at: hour.due(),
    };
    let events: Vec<Event<'_>> = hours.iter().enumerate().map(event).collect();
    for row in &mut rows {
        for program in &model.before {
            row.push(program.expr.evaluate(row));
        }
    }
    for lookup in &model.lookups {
        let query = |(hour, row): (&Hour, &Row)| Query {
            key: EntityKey::from_values(&CompiledModel::key_of(lookup, row)),
            at: hour.at,
            seen: Position(hours.partition_point(|earlier| earlier.due() <= hour.at) as u64),
        };
        let queries: Vec<Query> = hours.iter().zip(&rows).map(query).collect();
        let features = replay(&lookup.view, &events, &queries, Mode::AsServed);
        for (row, features) in rows.iter_mut().zip(features) {
            row.extend(lookup.outputs.iter().map(|output| features[*output].clone()));
        }
    }
    for row in &mut rows {
        for program in &model.after {
            row.push(program.expr.evaluate(row));
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::hours;

    #[test]
    fn raw_inputs_are_the_declared_ones_without_the_view() {
        let hours = hours().unwrap()[..200].to_vec();
        let windowed = Frame::as_known(hours.clone(), Inputs::Windowed).unwrap();
        let raw = Frame::as_known(hours, Inputs::Raw).unwrap();
        assert_eq!(windowed.spec.inputs.len(), raw.spec.inputs.len() + 6);
        assert!(raw.spec.inputs.iter().all(|name| windowed.spec.inputs.contains(name)));
        assert_eq!(raw.rows[0].len(), raw.spec.inputs.len());
    }

    #[test]
    fn no_demand_is_known_on_the_first_day_and_some_on_the_next() {
        let hours = hours().unwrap()[..60].to_vec();
        let frame = Frame::as_known(hours, Inputs::Windowed).unwrap();
        let column = frame.spec.inputs.iter().position(|name| &**name == "slot_demand.rides_avg_7d").unwrap();
        // The first 24 hours of the data are complete, and both days are no working days.
        assert!(frame.rows[..24].iter().all(|row| row[column].null()));
        assert_eq!(frame.rows[24][column].as_f64(), Some(frame.labels[0]));
    }
}
