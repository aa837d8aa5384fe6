//! Values of messages into rows: JSON, CSV, Avro and Protocol Buffers, bare or with the id of the schema that they
//! were written by.

mod avro;
mod cursor;
mod protobuf;
mod wire;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use perennial_types::{
    Entry, Format, KafkaStream, LARGEST_DOUBLE, Row, RowError, Schema, SourceSpec, Timestamp, Value,
    WriterSchema,
};

use crate::decode::{DecodeError, entry_of, row_of};
use avro::AvroPlan;
use protobuf::ProtobufPlan;

/// The first and the last instant that are kept: the years 1 to 9999.
const INSTANTS: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

/// Decodes the messages of one source.
#[derive(Debug)]
pub struct MessageDecoder {
    source: Arc<SourceSpec>,
    format: Format,
    /// Whether values begin with the id of their schema.
    framed: bool,
    /// The columns that a value holds: all but the one that takes the message's timestamp.
    columns: Schema,
    /// Where that one stands.
    timestamp: Option<usize>,
    /// How values without an id are read.
    bare: Plan,
    /// How values are read by the id of their schema.
    by_id: HashMap<u32, Plan>,
}

/// How values are read.
#[derive(Debug)]
enum Plan {
    Json,
    Csv,
    Avro(AvroPlan),
    Protobuf(ProtobufPlan),
    /// They are not, for this reason.
    Refused(String),
}

impl Plan {
    fn new(written: &WriterSchema, columns: &Schema) -> Result<Self, Vec<String>> {
        match written.format {
            Format::Json => Ok(Self::Json),
            Format::Csv => Ok(Self::Csv),
            Format::Avro => AvroPlan::new(written, columns).map(Self::Avro),
            Format::Protobuf => ProtobufPlan::new(written, columns).map(Self::Protobuf),
        }
    }
}

/// What keeps rows written by a schema from being rows of a source; empty if nothing does.
///
/// A field that may be null and is no column, and a column that may be missing and is no field, are compatible.
/// Every other difference is named. Of a Protobuf schema the first message is compared.
pub fn differences(source: &SourceSpec, stream: &KafkaStream, written: &WriterSchema) -> Vec<String> {
    if written.format != stream.format {
        let (declared, found) = (stream.format.name(), written.format.name());
        return vec![format!("the source is declared as {declared}, and the schema is one of {found}")];
    }
    let (columns, _) = columns_of(source, stream);
    match Plan::new(written, &columns) {
        Ok(Plan::Protobuf(plan)) => plan.check(&[0]).err().unwrap_or_default(),
        Ok(Plan::Json | Plan::Csv | Plan::Avro(_) | Plan::Refused(_)) => Vec::new(),
        Err(differences) => differences,
    }
}

/// The columns of a value, and the place of the one that the message's timestamp fills.
fn columns_of(source: &SourceSpec, stream: &KafkaStream) -> (Schema, Option<usize>) {
    let place = stream.timestamp.as_ref().and_then(|name| source.schema.index_of(name));
    let mut columns = source.schema.columns().to_vec();
    if let Some(place) = place {
        columns.remove(place);
    }
    // Names that were different stay so.
    (Schema::new(columns).unwrap_or_default(), place)
}

impl MessageDecoder {
    /// A decoder for the messages of a source. A declared writer's schema that does not fit is the reason for which
    /// every message is refused.
    pub fn new(source: &Arc<SourceSpec>, stream: &KafkaStream) -> Self {
        let (columns, timestamp) = columns_of(source, stream);
        let format = stream.format;
        let text = stream.writer_schema.clone().unwrap_or_default();
        let written = WriterSchema { format, text, references: Vec::new() };
        let bare = match &stream.registry {
            Some(_) if format.needs_writer_schema() => Plan::Refused("its schema has no id".to_owned()),
            Some(_) | None => Plan::new(&written, &columns).unwrap_or_else(|differences| {
                Plan::Refused(refusal("the declared writer_schema", &differences))
            }),
        };
        let (source, framed) = (Arc::clone(source), stream.registry.is_some());
        Self { source, format, framed, columns, timestamp, bare, by_id: HashMap::new() }
    }

    /// The id of the schema that a value was written by, if it must be learnt before the value can be decoded.
    pub fn unknown_schema(&self, value: &[u8]) -> Option<u32> {
        if !self.framed || !self.format.needs_writer_schema() {
            return None;
        }
        let (id, _) = wire::split(value).ok()?;
        (!self.by_id.contains_key(&id)).then_some(id)
    }

    /// Take the schema of an id. If it does not fit the source, that is the reason for which its values are refused.
    pub fn learn(&mut self, id: u32, written: &WriterSchema) {
        let plan = if written.format == self.format {
            Plan::new(written, &self.columns)
                .unwrap_or_else(|differences| Plan::Refused(refusal(&format!("schema {id}"), &differences)))
        } else {
            let (declared, found) = (self.format.name(), written.format.name());
            Plan::Refused(format!("schema {id} is one of {found}, and the source is declared as {declared}"))
        };
        self.by_id.insert(id, plan);
    }

    /// Take note that no schema has an id.
    pub fn learn_missing(&mut self, id: u32) {
        self.by_id.insert(id, Plan::Refused(format!("schema {id} is not in the registry")));
    }

    /// The event of a message: of its value, and of the timestamp that it carries. `arrival` is the instant at which
    /// it was read.
    ///
    /// # Errors
    /// When the value cannot be read or does not fit the source.
    pub fn decode(
        &mut self,
        value: &[u8],
        timestamp: Option<Timestamp>,
        arrival: Timestamp,
    ) -> Result<Entry, DecodeError> {
        let mut row = self.row(value)?;
        if let Some(place) = self.timestamp {
            let name = || self.source.schema.columns()[place].name.to_string();
            let time = timestamp.ok_or_else(|| RowError::Missing(name()))?;
            row.insert(place, Value::Timestamp(time));
        }
        entry_of(&self.source, &row, arrival)
    }

    fn row(&mut self, value: &[u8]) -> Result<Row, DecodeError> {
        let framing = |reason| DecodeError::Bytes { format: "in the wire format of a registry", reason };
        let (plan, value) = if self.framed {
            let (id, value) = wire::split(value).map_err(framing)?;
            (self.by_id.get_mut(&id).unwrap_or(&mut self.bare), value)
        } else {
            (&mut self.bare, value)
        };
        match plan {
            Plan::Json => row_of(&self.columns, value),
            Plan::Csv => csv_row(&self.columns, value),
            Plan::Avro(plan) => plan.decode(value),
            Plan::Protobuf(plan) if self.framed => {
                let (path, value) = wire::message_path(value).map_err(framing)?;
                plan.decode(&path, value)
            }
            Plan::Protobuf(plan) => plan.decode(&[0], value),
            Plan::Refused(reason) => Err(DecodeError::Schema(reason.clone())),
        }
    }
}

fn refusal(what: &str, differences: &[String]) -> String {
    format!("{what} does not fit the source: {}", differences.join("; "))
}

/// A row of one line; its fields are in the order of the columns, and an empty one is NULL.
fn csv_row(columns: &Schema, line: &[u8]) -> Result<Row, DecodeError> {
    let wrong = |reason: String| DecodeError::Bytes { format: "CSV", reason };
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(line);
    let mut records = reader.records();
    let record = match records.next() {
        Some(record) => record.map_err(|error| wrong(error.to_string()))?,
        None => return Err(wrong("it is empty".to_owned())),
    };
    if records.next().is_some() {
        return Err(wrong("it has more than one line".to_owned()));
    }
    let wanted = columns.columns().len();
    if record.len() != wanted {
        return Err(wrong(format!("it has {} fields, and the schema has {wanted} columns", record.len())));
    }
    let row = columns.columns().iter().zip(&record).map(|(column, text)| column.decode_text(text));
    finished(columns, row.collect::<Result<_, _>>()?)
}

/// A row of NULLs.
fn blank(columns: &Schema) -> Row {
    vec![Value::Null; columns.columns().len()]
}

/// The row, if it has what every row of its schema has.
fn finished(columns: &Schema, row: Row) -> Result<Row, DecodeError> {
    for (column, value) in columns.columns().iter().zip(&row) {
        if value.null() && !column.nullable {
            return Err(RowError::Missing(column.name.to_string()).into());
        }
        if let Some(number) = unusable(value) {
            let (column, wanted) = (column.name.to_string(), column.data_type);
            return Err(RowError::WrongType { column, wanted, found: number.to_string() }.into());
        }
    }
    Ok(row)
}

/// The first number of a value that no row may hold.
fn unusable(value: &Value) -> Option<f64> {
    match value {
        Value::Double(number) => (number.is_nan() || number.abs() > LARGEST_DOUBLE).then_some(*number),
        Value::List(values) => values.iter().find_map(unusable),
        Value::Map(pairs) => pairs.iter().find_map(|(_, value)| unusable(value)),
        Value::Null
        | Value::Boolean(_)
        | Value::Int64(_)
        | Value::String(_)
        | Value::Timestamp(_)
        | Value::Duration(_) => None,
    }
}

/// What a list or map holds that is written with its parts one after the other; the last of one key counts.
#[derive(Debug)]
enum Parts {
    List(Vec<Value>),
    Map(BTreeMap<Arc<str>, Value>),
}

impl Parts {
    fn value(self) -> Value {
        match self {
            Self::List(values) => Value::List(values.into()),
            Self::Map(pairs) => Value::Map(pairs.into_iter().collect()),
        }
    }
}

/// An instant, if it is one that can be written.
fn instant(micros: i64) -> Option<Timestamp> {
    INSTANTS.contains(&micros).then(|| Timestamp::from_micros(micros))
}

#[cfg(test)]
mod tests;
