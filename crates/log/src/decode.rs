//! Bytes into entries: JSON objects, arrays and lines, and what becomes of those that do not fit.

use std::sync::Arc;

use perennial_types::{
    AvailableAt, Entry, EventTime, Kind, Row, RowError, Schema, SourceSpec, Stream, TimeSpan, Timestamp,
    Value,
};
use serde_json::Value as Json;
use serde_json::value::RawValue;

pub use crate::letter::{DeadLetter, Origin};

/// Why a row is no event of its source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON.
    #[error("not JSON: {0}")]
    Json(String),
    /// Bytes that are not of their format.
    #[error("not {format}: {reason}")]
    Bytes {
        /// The format.
        format: &'static str,
        /// What is wrong with them.
        reason: String,
    },
    /// Written by a schema that does not fit the source.
    #[error("{0}")]
    Schema(String),
    /// A row that does not fit the schema.
    #[error(transparent)]
    Row(#[from] RowError),
    /// A column that carries a time or the id, and has none.
    #[error("column {column:?}, which carries the {role}, {problem}")]
    Role {
        /// The column.
        column: Arc<str>,
        /// What it carries.
        role: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Dated further into the future than the source allows.
    #[error(
        "it is dated {event_time}, more than {bound} after {available_at}, when it became known; \
         at_most_ahead of the source says how far ahead is right"
    )]
    Ahead {
        /// When it says it happened.
        event_time: Timestamp,
        /// When it became known.
        available_at: Timestamp,
        /// How far after that it may be dated.
        bound: TimeSpan,
    },
}

impl DecodeError {
    /// What a caller can do about it: send something else.
    pub fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

/// Decode a request body: a JSON object, a JSON array of objects, or an object a line. One result a row, in
/// order; a bad line spoils only itself, and a body that is no JSON array though it begins as one is a
/// single dead letter. `arrival` is the instant of admission.
pub fn decode_events(source: &SourceSpec, body: &[u8], arrival: Timestamp) -> Vec<Result<Entry, DeadLetter>> {
    let decode = |(i, text): (usize, &[u8])| {
        let decoded = row_of(&source.schema, text).and_then(|row| entry_of(source, &row, arrival));
        decoded.map_err(|error| DeadLetter::new(error, text, Origin::Request { line: i + 1 }))
    };
    if body.trim_ascii_start().first() == Some(&b'[') {
        return match serde_json::from_slice::<Vec<&RawValue>>(body) {
            Ok(rows) => rows.iter().map(|row| row.get().as_bytes()).enumerate().map(decode).collect(),
            Err(error) => {
                let from = Origin::Request { line: 1 };
                vec![Err(DeadLetter::new(DecodeError::Json(error.to_string()), body.trim_ascii(), from))]
            }
        };
    }
    // An object may be written over several lines.
    if serde_json::from_slice::<&RawValue>(body).is_ok() {
        return vec![decode((0, body.trim_ascii()))];
    }
    let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).enumerate();
    lines.filter(|(_, line)| !line.is_empty()).map(decode).collect()
}

/// The row of the text of a JSON object.
pub(crate) fn row_of(columns: &Schema, text: &[u8]) -> Result<Row, DecodeError> {
    match columns.decode_plain_json(text) {
        Some(row) => Ok(row),
        // What is not plainly written may be a row all the same; if not, the tree says why.
        None => Ok(columns.decode_json(&parse(text)?)?),
    }
}

/// The event of a row: its payload is the row as the schema writes it, so that equal rows have equal bytes.
/// `arrival` is the instant of admission.
pub(crate) fn entry_of(source: &SourceSpec, row: &Row, arrival: Timestamp) -> Result<Entry, DecodeError> {
    let available_at = match &source.available_at {
        AvailableAt::Arrival => arrival,
        AvailableAt::Column(column) => time_of(source, row, column, "available_at")?,
    };
    let event_time = match &source.event_time {
        EventTime::Arrival => available_at,
        EventTime::Column(column) => time_of(source, row, column, "event time")?,
    };
    match source.at_most_ahead {
        Some(bound) if event_time > available_at + bound => {
            return Err(DecodeError::Ahead { event_time, available_at, bound });
        }
        Some(_) | None => {}
    }
    // Room for most rows without growing.
    let mut payload = Vec::with_capacity(32 * row.len());
    source.schema.write_json(row, &mut payload);
    Ok(Entry {
        stream: Stream::Event,
        source: Arc::clone(&source.name),
        key: Arc::default(),
        event_time,
        available_at,
        id: id_of(source, row)?,
        payload,
    })
}

/// The row of a stored payload, with the bits that were decoded when it came in. It fitted its source then, whose
/// schema may have grown before or since: columns that this one does not have are passed over, and one that the row
/// does not have is NULL.
///
/// # Errors
/// When a column is of another type than the source's schema says.
pub fn decode_row(source: &SourceSpec, payload: &[u8]) -> Result<Row, DecodeError> {
    match source.schema.decode_plain_json(payload) {
        Some(row) => Ok(row),
        None => Ok(source.schema.decode_known_json(&parse(payload)?)?),
    }
}

fn parse(text: &[u8]) -> Result<Json, DecodeError> {
    serde_json::from_slice(text).map_err(|error| DecodeError::Json(error.to_string()))
}

fn value_of<'a>(source: &SourceSpec, row: &'a Row, column: &str) -> Option<&'a Value> {
    source.schema.index_of(column).and_then(|i| row.get(i))
}

fn time_of(
    source: &SourceSpec,
    row: &Row,
    column: &Arc<str>,
    role: &'static str,
) -> Result<Timestamp, DecodeError> {
    let problem = match value_of(source, row, column) {
        Some(Value::Timestamp(time)) => return Ok(*time),
        Some(Value::Null) => "is null",
        Some(_) => "is no timestamp",
        None => "is not in the schema",
    };
    Err(DecodeError::Role { column: Arc::clone(column), role, problem })
}

/// The id as text; empty when the source has none or the row's is null.
fn id_of(source: &SourceSpec, row: &Row) -> Result<Arc<str>, DecodeError> {
    let Some(column) = &source.id else { return Ok(Arc::default()) };
    let problem = match value_of(source, row, column) {
        Some(Value::String(id)) => return Ok(Arc::clone(id)),
        Some(Value::Int64(id)) => return Ok(id.to_string().into()),
        Some(Value::Null) => return Ok(Arc::default()),
        Some(_) => "is neither a string nor an int64",
        None => "is not in the schema",
    };
    Err(DecodeError::Role { column: Arc::clone(column), role: "id", problem })
}

#[cfg(test)]
mod tests {
    use perennial_types::{LARGEST_DOUBLE, Schema};
    use proptest::prelude::*;

    use super::*;

    fn source(available_at: AvailableAt) -> SourceSpec {
        let columns = [("event_id", "string"), ("hour", "timestamp"), ("cnt", "int64"), ("temp", "double?")];
        SourceSpec {
            id: Some("event_id".into()),
            available_at,
            ..SourceSpec::new("demand", Schema::parse(&columns).unwrap(), "hour")
        }
    }

    const ROW: &str = r#"{"cnt": 3, "event_id": "a", "hour": "2011-01-01 05:00:00"}"#;
    const ARRIVAL: Timestamp = Timestamp::from_micros(7);

    fn decode(body: &str) -> Vec<Result<Entry, DeadLetter>> {
        decode_events(&source(AvailableAt::Arrival), body.as_bytes(), ARRIVAL)
    }

    #[test]
    fn a_row_becomes_an_entry_with_a_canonical_payload() {
        let entry = decode(ROW).remove(0).unwrap();
        assert_eq!(
            String::from_utf8(entry.payload).unwrap(),
            r#"{"event_id":"a","hour":"2011-01-01T05:00:00Z","cnt":3}"#
        );
        assert_eq!((&*entry.id, entry.available_at), ("a", ARRIVAL));
        assert_eq!(entry.event_time, Timestamp::parse("2011-01-01T05:00:00Z").unwrap());
        let by_column = source(AvailableAt::Column("hour".into()));
        let entry = decode_events(&by_column, ROW.as_bytes(), ARRIVAL).remove(0).unwrap();
        assert_eq!(entry.available_at, entry.event_time);
    }

    #[test]
    fn an_event_may_be_dated_ahead_of_its_arrival_by_no_more_than_the_source_allows() {
        let bounded =
            SourceSpec { at_most_ahead: Some(TimeSpan::from_secs(600)), ..source(AvailableAt::Arrival) };
        let hour = Timestamp::parse("2011-01-01T05:00:00Z").unwrap();
        let decode = |arrival| decode_events(&bounded, ROW.as_bytes(), arrival).remove(0);
        assert!(decode(hour - TimeSpan::from_secs(600)).is_ok());
        let letter = decode(hour - TimeSpan::from_secs(601)).unwrap_err();
        assert_eq!(
            letter.reason,
            "it is dated 2011-01-01T05:00:00Z, more than 10m after 2011-01-01T04:49:59Z, when it became known; \
             at_most_ahead of the source says how far ahead is right"
        );
        // Of imported history the bound is against its own time of becoming known.
        let known = SourceSpec { available_at: AvailableAt::Column("hour".into()), ..bounded };
        assert!(decode_events(&known, ROW.as_bytes(), Timestamp::MIN).remove(0).is_ok());
    }

    #[test]
    fn rows_without_a_time_of_their_own_happen_when_they_become_known() {
        let table = SourceSpec { event_time: EventTime::Arrival, ..source(AvailableAt::Arrival) };
        let entry = decode_events(&table, ROW.as_bytes(), ARRIVAL).remove(0).unwrap();
        assert_eq!(entry.event_time, ARRIVAL);
    }

    #[test]
    fn object_array_and_lines_are_the_same_rows() {
        let one = decode(ROW);
        let spread = ROW.replace(", ", ",\n  ");
        assert_eq!(decode(&spread), one);
        let two = [one.clone(), one].concat();
        assert_eq!(decode(&format!("[{ROW},\n {ROW}]")), two);
        assert_eq!(decode(&format!("{ROW}\n{ROW}\r\n\n")), two);
        assert!(decode(" \n").is_empty());
    }

    #[test]
    fn a_bad_line_spoils_only_itself() {
        let results = decode(&format!("{ROW}\n{{\"cnt\": \n{{\"event_id\": \"b\"}}\n{ROW}"));
        assert!(results[0].is_ok() && results[3].is_ok());
        let broken = results[1].clone().unwrap_err();
        assert_eq!((broken.from, &*broken.original), (Origin::Request { line: 2 }, &b"{\"cnt\":"[..]));
        assert!(broken.reason.starts_with("not JSON: "), "{}", broken.reason);
        let missing = results[2].clone().unwrap_err();
        assert_eq!(missing.reason, "column \"hour\" is missing");
        let entry = missing.entry("demand", ARRIVAL);
        assert_eq!(
            String::from_utf8(entry.payload).unwrap(),
            r#"{"reason":"column \"hour\" is missing","line":3,"payload":"{\"event_id\": \"b\"}"}"#
        );
    }

    #[test]
    fn any_bytes_are_refused_with_a_reason() {
        let mut body = vec![b'['; 10];
        body.extend(vec![0xff; 10_000]);
        assert!(decode_events(&source(AvailableAt::Arrival), &body, ARRIVAL)[0].is_err());
        assert!(decode(&"[".repeat(10_000))[0].is_err());
    }

    #[test]
    fn a_time_that_could_not_be_read_from_the_log_again_is_refused() {
        let refused = decode(&ROW.replace("2011-", "-2011-")).remove(0).unwrap_err();
        assert_eq!(refused.reason, "column \"hour\" wants timestamp, found \"-2011-01-01 05:00:00\"");
    }

    /// Every double that input may hold.
    fn doubles() -> impl Strategy<Value = f64> {
        use prop::num::f64::{NORMAL, SUBNORMAL, ZERO};
        let usable = |number: &f64| number.abs() <= LARGEST_DOUBLE;
        (NORMAL | SUBNORMAL | ZERO).prop_filter("input is bounded", usable)
    }

    proptest! {
        #[test]
        fn a_stored_payload_decodes_to_the_same_bits(id in ".*", cnt: i64, temp in prop::option::of(doubles()), micros in -62_135_596_800_000_000_i64..253_402_300_800_000_000) {
            let source = source(AvailableAt::Arrival);
            let row = vec![
                Value::String(id.into()),
                Value::Timestamp(Timestamp::from_micros(micros)),
                Value::Int64(cnt),
                temp.map_or(Value::Null, Value::Double),
            ];
            let body = source.schema.encode_json(&row).to_string();
            let entry = decode_events(&source, body.as_bytes(), ARRIVAL).remove(0).unwrap();
            prop_assert_eq!(decode_row(&source, &entry.payload).unwrap(), row);
        }
    }
}
