//! Declarations and rows without a service: what a model's inputs were, as they were known when it was asked.

use anyhow::{Context, Result, bail};
use perennial_features::point_in_time::{Mode, Query, replay};
use perennial_features::{EntityKey, Event};
use perennial_project::{Compiled, CompiledModel, Project};
use perennial_remote::ProjectFile;
use perennial_types::{Position, Row, Schema, SourceSpec, Timestamp, Value};
use serde_json::{Map, Value as Json};

/// A question to an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// When.
    pub at: Timestamp,
    /// How many events had been sent before it.
    pub seen: usize,
    /// The request.
    pub request: Map<String, Json>,
}

/// An event that was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// When it arrived.
    pub at: Timestamp,
    /// The source.
    pub source: &'static str,
    /// The event.
    pub event: Json,
}

/// The declarations of an example, made ready.
#[derive(Clone, Debug)]
pub struct Declared {
    sources: Vec<SourceSpec>,
    compiled: Compiled,
}

impl Declared {
    /// Read declarations.
    ///
    /// # Errors
    /// When they have faults; with all of them.
    pub fn read(files: &[ProjectFile]) -> Result<Self> {
        let files: Vec<_> = files.iter().map(|file| (file.name.clone(), file.text.clone())).collect();
        match Project::parse(&files).and_then(|project| Ok((project.compile()?, project))) {
            Ok((compiled, project)) => Ok(Self { sources: project.sources, compiled }),
            Err(faults) => {
                let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                bail!("the project has faults:\n{}", faults.join("\n"))
            }
        }
    }

    /// A model.
    ///
    /// # Errors
    /// When none has this name.
    pub fn model(&self, name: &str) -> Result<&CompiledModel> {
        let model =
            self.compiled.model(name).with_context(|| format!("the project has no model {name:?}"))?;
        Ok(model)
    }

    /// Each question's row with the inputs of a model, in the order of its `fit.inputs`. Events
    /// are in the order of their arrival.
    ///
    /// # Errors
    /// When a question or an event does not fit its schema.
    pub fn rows(&self, model: &CompiledModel, asked: &[Asked], sent: &[Sent]) -> Result<Vec<Row>> {
        let told = self.told(sent)?;
        let events: Vec<Event<'_>> = told.iter().map(Told::event).collect();
        let request = |asked: &Asked| model.spec.request.decode_json(&Json::Object(asked.request.clone()));
        let mut rows = asked.iter().map(request).collect::<Result<Vec<Row>, _>>()?;
        for row in &mut rows {
            for program in &model.before {
                row.push(program.expr.evaluate(row));
            }
        }
        for lookup in &model.lookups {
            let query = |(asked, row): (&Asked, &Row)| Query {
                key: EntityKey::from_values(&CompiledModel::key_of(lookup, row)),
                at: asked.at,
                seen: Position(asked.seen as u64),
            };
            let queries: Vec<Query> = asked.iter().zip(&rows).map(query).collect();
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
        Ok(rows.iter().map(|row| model.inputs_of(row)).collect())
    }

    fn told<'a>(&'a self, sent: &'a [Sent]) -> Result<Vec<Told<'a>>> {
        let one = |(index, sent): (usize, &'a Sent)| {
            let source = self.sources.iter().find(|source| &*source.name == sent.source);
            let source = source.with_context(|| format!("the project has no source {:?}", sent.source))?;
            let row = source.schema.decode_json(&sent.event)?;
            let event_time = match source.event_time.column() {
                Some(column) => instant(&source.schema, &row, column)?,
                None => sent.at,
            };
            let position = Position(index as u64 + 1);
            Ok(Told { position, source: &source.name, row, event_time, available_at: sent.at })
        };
        sent.iter().enumerate().map(one).collect()
    }
}

/// An event as its source's schema reads it.
struct Told<'a> {
    position: Position,
    source: &'a str,
    row: Row,
    event_time: Timestamp,
    available_at: Timestamp,
}

impl Told<'_> {
    fn event(&self) -> Event<'_> {
        Event {
            position: self.position,
            source: self.source,
            row: &self.row,
            event_time: self.event_time,
            available_at: self.available_at,
        }
    }
}

fn instant(schema: &Schema, row: &Row, column: &str) -> Result<Timestamp> {
    let index = schema.names().position(|name| name == column);
    match index.and_then(|index| row.get(index)) {
        Some(Value::Timestamp(at)) => Ok(*at),
        other => bail!("the event time {column:?} is {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PROJECT: &str = r#"
kind: Project
name: kiln
---
kind: Source
name: readings
schema: {id: string, at: timestamp, kiln: int64, heat: double}
id: id
event_time: at
---
kind: FeatureView
name: recent
entity: [kiln]
from: readings
aggregates: [{name: heat, op: max, of: heat, windows: [1h]}]
---
kind: Model
name: yield
task: regression
request: {kiln: int64}
features: [recent.*]
on_demand: {hotter: "recent.heat_1h + 1"}
transforms: [{of: [hotter], fn: standardize}]
learner: {kind: linear}
---
kind: Endpoint
name: kilns
models: [yield]
label: {name: tons, matures_after: 1h, give_up_after: 2h}
"#;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn a_row_has_what_had_happened_and_arrived_before_its_question() {
        let files = [ProjectFile { name: "kiln.yaml".to_owned(), text: PROJECT.to_owned() }];
        let declared = Declared::read(&files).unwrap();
        let model = declared.model("yield").unwrap();
        let sent = |arrived: &str, happened: &str, heat: f64| Sent {
            at: at(arrived),
            source: "readings",
            event: json!({"id": happened, "at": happened, "kiln": 1, "heat": heat}),
        };
        let sent = [
            sent("2026-01-01T00:10:00Z", "2026-01-01T00:00:00Z", 7.0),
            sent("2026-01-01T00:20:00Z", "2026-01-01T00:20:00Z", 9.0),
        ];
        let ask = |time: &str| {
            let request = json!({"kiln": 1}).as_object().cloned().unwrap();
            let seen = sent.iter().filter(|event| event.at <= at(time)).count();
            Asked { at: at(time), seen, request }
        };
        let asked = ["2026-01-01T00:05:00Z", "2026-01-01T00:20:00Z", "2026-01-01T00:21:00Z"].map(ask);
        let rows = declared.rows(model, &asked, &sent).unwrap();
        assert_eq!(rows, [[Value::Null], [Value::Double(8.0)], [Value::Double(10.0)]]);
        assert!(declared.model("yeild").unwrap_err().to_string().contains("yeild"));
    }
}
