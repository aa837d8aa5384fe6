//! Tables as CSV, for programs that read nothing else.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use perennial_types::{Row, Schema, Value};

use super::{put_in_place, unfinished};
use crate::LogError;

/// Write rows as CSV with a head: NULL is an empty field, times are RFC 3339, doubles have as many digits as
/// tell them apart, lists and maps are JSON. The file has its name only when it is whole and on the disk.
///
/// # Errors
/// When the file cannot be written.
pub fn write_csv(path: &Path, schema: &Schema, rows: &[Row]) -> Result<(), LogError> {
    let unfinished = unfinished(path);
    let file = File::create(&unfinished).map_err(LogError::io("create", &unfinished))?;
    let failed = |error: csv::Error| LogError::io("write to", &unfinished)(error.into());
    let mut writer = csv::Writer::from_writer(BufWriter::new(file));
    writer.write_record(schema.names()).map_err(failed)?;
    for row in rows {
        for value in row {
            writer.write_field(field(value)).map_err(failed)?;
        }
        writer.write_record(None::<&[u8]>).map_err(failed)?;
    }
    let inner = writer.into_inner().map_err(|error| {
        LogError::io("write to", &unfinished)(std::io::Error::other(error.error().to_string()))
    })?;
    let mut inner = inner;
    inner.flush().map_err(LogError::io("write to", &unfinished))?;
    let file =
        inner.into_inner().map_err(|error| LogError::io("write to", &unfinished)(error.into_error()))?;
    put_in_place(&file, &unfinished, path)
}

fn field(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        // The shortest text that is read back as the same bits.
        Value::Double(number) => format!("{number:?}"),
        Value::Boolean(_)
        | Value::Int64(_)
        | Value::String(_)
        | Value::Timestamp(_)
        | Value::Duration(_)
        | Value::List(_)
        | Value::Map(_) => value.to_string(),
    }
}
