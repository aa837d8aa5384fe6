//! The skew of a table that another system computed: its values beside those that the log gives.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use perennial_features::point_in_time::{Mode, Query, replay};
use perennial_features::{EntityKey, Event, View};
use perennial_log::LogReader;
use perennial_log::decode::decode_row;
use perennial_log::files;
use perennial_types::{
    Column, DataType, Position, Record, Schema, SourceSpec, Stream, Timestamp, Value, did_you_mean,
};

use super::FeatureSkew;
use crate::{Declared, PipelineError};

/// A table in a file (CSV, JSONL, Parquet): columns of the entity, a column of instants, and features by full name or
/// by what follows the view's.
#[derive(Clone, Debug)]
pub struct Against<'a> {
    /// The file.
    pub file: &'a Path,
    /// The view whose features it has, as the log declares it last.
    pub view: &'a str,
    /// The column of instants.
    pub time: &'a str,
    /// Which events its values are of.
    pub mode: Mode,
    /// Numbers that are apart by no more than this part of the larger one are equal.
    pub tolerance: f64,
}

impl Against<'_> {
    /// Compare every value of the table with what the log gives for its entity and instant, by feature. A feature of
    /// which the table has no value at all is left out.
    ///
    /// # Errors
    /// When the log or the file cannot be read, there is no such view, or a row does not fit.
    pub fn run(&self, reader: &LogReader) -> Result<BTreeMap<Arc<str>, FeatureSkew>, PipelineError> {
        let declared = declared(reader)?;
        let (view, source) = self.view(&declared)?;
        let (queries, theirs) = self.table(&view, &source)?;
        let events = events(reader, &view, &source, &queries)?;
        let of_log: Vec<Event<'_>> = events
            .iter()
            .map(|(record, row)| Event {
                position: record.position,
                source: &source.name,
                row,
                event_time: record.entry.event_time,
                available_at: record.entry.available_at,
            })
            .collect();
        let ours = replay(&view, &of_log, &queries, self.mode);
        let mut found = BTreeMap::new();
        for (place, column) in view.outputs().columns().iter().enumerate() {
            if theirs.iter().all(|row| row[place].null()) {
                continue;
            }
            let mut skew = FeatureSkew::default();
            for (theirs, ours) in theirs.iter().zip(&ours) {
                skew.add_within(&theirs[place], &ours[place], self.tolerance);
            }
            found.insert(Arc::clone(&column.name), skew);
        }
        if found.is_empty() {
            let names: Vec<&str> = view.outputs().names().map(AsRef::as_ref).collect();
            let message = format!("{} has no values of {}", self.file.display(), names.join(", "));
            return Err(PipelineError::Invalid(message));
        }
        Ok(found)
    }

    fn view(&self, declared: &Declared) -> Result<(Arc<View>, Arc<SourceSpec>), PipelineError> {
        let goal =
            declared.goal().ok_or_else(|| PipelineError::NotFound("the log has no project".to_owned()))?;
        let views = &goal.compiled.views;
        let found = views.iter().find(|view| &*view.spec().name == self.view);
        let found = found.and_then(|view| declared.views().get(&view.version()));
        found.cloned().ok_or_else(|| {
            let help = did_you_mean(self.view, views.iter().map(|view| &*view.spec().name));
            PipelineError::NotFound(format!("no feature view {:?}{help}", self.view))
        })
    }

    /// The questions that the table answers, and its answers in the order of the view's outputs.
    fn table(
        &self,
        view: &View,
        source: &SourceSpec,
    ) -> Result<(Vec<Query>, Vec<Vec<Value>>), PipelineError> {
        let entity = view.entity().len();
        let form = self.form(view, source)?;
        let (mut queries, mut answers) = (Vec::new(), Vec::new());
        for (number, row) in (1_u64..).zip(files::rows(self.file, &form)?) {
            let wrong = |reason: String| {
                PipelineError::Invalid(format!("{}: row {number}: {reason}", self.file.display()))
            };
            let row = row.map_err(|problem| wrong(problem.to_string()))?;
            let row = form.schema.decode_json(&row).map_err(|error| wrong(error.to_string()))?;
            let Value::Timestamp(at) = row[entity] else {
                return Err(wrong(format!("column {:?} has no instant", self.time)));
            };
            queries.push(Query { key: EntityKey::from_values(&row[..entity]), at, seen: Position::START });
            let value = |name: &Arc<str>| {
                let named = [Some(&**name), name.split_once('.').map(|(_, short)| short)];
                let places = named.into_iter().flatten().filter_map(|name| form.schema.index_of(name));
                let mut values = places.filter(|place| *place > entity).map(|place| row[place].clone());
                values.find(|value| !value.null()).unwrap_or(Value::Null)
            };
            answers.push(view.outputs().columns().iter().map(|column| value(&column.name)).collect());
        }
        Ok((queries, answers))
    }

    /// The form of the file: the entity, the instant, and every feature by both of its names.
    fn form(&self, view: &View, source: &SourceSpec) -> Result<SourceSpec, PipelineError> {
        let mut columns: Vec<Column> =
            view.entity().iter().map(|column| Column { nullable: true, ..column.clone() }).collect();
        columns.push(Column { name: self.time.into(), data_type: DataType::Timestamp, nullable: false });
        for column in view.outputs().columns() {
            let short = column.name.split_once('.').map(|(_, short)| short);
            for name in [Some(&*column.name), short].into_iter().flatten() {
                if columns.iter().all(|known| *known.name != *name) {
                    columns.push(Column { name: name.into(), nullable: true, ..column.clone() });
                }
            }
        }
        let schema = Schema::new(columns).map_err(|error| PipelineError::Invalid(error.to_string()))?;
        Ok(SourceSpec { schema, id: None, event_time: self.time.into(), ..source.clone() })
    }
}

/// What is declared at the end of a log.
fn declared(reader: &LogReader) -> Result<Declared, PipelineError> {
    let mut declared = Declared::default();
    for record in reader.read(Position(1), reader.head())? {
        declared.apply(&record?)?;
    }
    Ok(declared)
}

/// The events of the entities that are asked for.
fn events(
    reader: &LogReader,
    view: &View,
    source: &SourceSpec,
    queries: &[Query],
) -> Result<Vec<(Record, Vec<Value>)>, PipelineError> {
    let asked: HashSet<&EntityKey> = queries.iter().map(|query| &query.key).collect();
    let places: Vec<usize> =
        view.entity().iter().filter_map(|column| source.schema.index_of(&column.name)).collect();
    let last: Option<Timestamp> = queries.iter().map(|query| query.at).max();
    let mut events = Vec::new();
    for record in reader.read(Position(1), reader.head())? {
        let mut record = record?;
        if record.entry.stream != Stream::Event || record.entry.source != source.name {
            continue;
        }
        if last.is_none_or(|last| record.entry.event_time >= last) {
            continue;
        }
        let row = decode_row(source, &record.entry.payload)
            .map_err(|error| PipelineError::record(record.position, error))?;
        let key: Vec<Value> = places.iter().map(|place| row[*place].clone()).collect();
        if asked.contains(&EntityKey::from_values(&key)) {
            record.entry.payload = Vec::new();
            events.push((record, row));
        }
    }
    Ok(events)
}
