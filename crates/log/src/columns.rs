//! Records as columns: the form of closed segments, which pyarrow, DuckDB and Spark read as they are.

use std::sync::Arc;

use arrow_array::builder::{Int64Builder, StringBuilder, TimestampMicrosecondBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use perennial_types::{Entry, Position, Record, Stream, Timestamp};

/// The version of the columns, in the metadata of the file.
pub(crate) const FORMAT: (&str, &str) = ("perennial.log.format", "1");
/// Metadata: the position of the first record.
pub(crate) const FIRST_POSITION: &str = "perennial.log.first_position";
/// Metadata: the position of the last record.
pub(crate) const LAST_POSITION: &str = "perennial.log.last_position";
/// Metadata: when the first record became available, in microseconds since 1970 UTC.
pub(crate) const FIRST_AVAILABLE_AT: &str = "perennial.log.first_available_at_us";
/// The column by which instants are found.
pub(crate) const AVAILABLE_AT: &str = "available_at";

/// The columns of a closed segment.
pub(crate) fn schema() -> SchemaRef {
    let time = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("position", DataType::Int64, false),
        Field::new("stream", DataType::Utf8, false),
        Field::new("source", DataType::Utf8, false),
        Field::new("key", DataType::Utf8, false),
        Field::new("event_time", time(), false),
        Field::new(AVAILABLE_AT, time(), false),
        Field::new("id", DataType::Utf8, false),
        Field::new("payload", DataType::Utf8, false),
    ]))
}

/// Records as one batch. Payloads are UTF-8, which the log checks when they are appended.
pub(crate) fn from_records(records: &[Record]) -> Result<RecordBatch, ArrowError> {
    let mut positions = Int64Builder::with_capacity(records.len());
    let mut times = [0; 2].map(|_| TimestampMicrosecondBuilder::new().with_timezone("UTC"));
    let mut texts = [0; 5].map(|_| StringBuilder::new());
    for Record { position, entry } in records {
        positions.append_value(position.0 as i64);
        times[0].append_value(entry.event_time.micros());
        times[1].append_value(entry.available_at.micros());
        let payload = std::str::from_utf8(&entry.payload)
            .map_err(|error| ArrowError::InvalidArgumentError(format!("payload of {position}: {error}")))?;
        let values = [entry.stream.name(), &entry.source, &entry.key, &entry.id, payload];
        texts.iter_mut().zip(values).for_each(|(column, value)| column.append_value(value));
    }
    let [event_times, available] = times.map(|mut column| Arc::new(column.finish()) as ArrayRef);
    let [streams, sources, keys, ids, payloads] =
        texts.map(|mut column| Arc::new(column.finish()) as ArrayRef);
    let positions = Arc::new(positions.finish());
    let columns: Vec<ArrayRef> =
        vec![positions, streams, sources, keys, event_times, available, ids, payloads];
    RecordBatch::try_new(schema(), columns)
}

/// The records of a batch; the reason when it is not one of ours.
pub(crate) fn to_records(batch: &RecordBatch) -> Result<Vec<Record>, String> {
    let missing = |name: &str| format!("column {name:?} is missing or of another type");
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| missing(name));
    let text = |name: &str| -> Result<&StringArray, String> {
        column(name)?.as_string_opt::<i32>().ok_or_else(|| missing(name))
    };
    let time = |name: &str| {
        column(name)?.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(|| missing(name))
    };
    let positions = column("position")?.as_primitive_opt::<Int64Type>().ok_or_else(|| missing("position"))?;
    let [streams, sources, keys] = [text("stream")?, text("source")?, text("key")?];
    let (ids, payloads) = (text("id")?, text("payload")?);
    let (event_times, available) = (time("event_time")?, time(AVAILABLE_AT)?);
    let mut records = Vec::with_capacity(batch.num_rows());
    let mut source: Arc<str> = "".into();
    for i in 0..batch.num_rows() {
        // Neighbours mostly have one source: they share its text.
        if *source != *sources.value(i) {
            source = sources.value(i).into();
        }
        let stream = streams.value(i);
        let entry = Entry {
            stream: Stream::from_name(stream).ok_or_else(|| format!("unknown stream {stream:?}"))?,
            source: Arc::clone(&source),
            key: keys.value(i).into(),
            event_time: Timestamp::from_micros(event_times.value(i)),
            available_at: Timestamp::from_micros(available.value(i)),
            id: ids.value(i).into(),
            payload: payloads.value(i).as_bytes().to_vec(),
        };
        records.push(Record { position: Position(positions.value(i) as u64), entry });
    }
    Ok(records)
}
