//! Tables as Parquet: training sets, with typed columns and the same bits when they are read back.

mod nested;
mod text;
mod wider;

pub use text::write_csv;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{DataType as ArrowType, Field, Schema as ArrowSchema, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use perennial_types::{Column, DataType, Element, Row, Schema, Timestamp, Value};

use crate::LogError;

const BATCH_ROWS: usize = 8192;
/// Metadata that Arrow adds for itself.
const ARROW_SCHEMA: &str = "ARROW:schema";

/// Write rows as Parquet, with `metadata` as its key-value pairs. The file has its name only when it is whole
/// and on the disk; an older one of that name is replaced.
///
/// # Errors
/// `Invalid` when a row does not fit the schema, which has no duration column; when the file cannot be
/// written.
pub fn write_table(
    path: &Path,
    schema: &Schema,
    rows: &[Row],
    metadata: &[(String, String)],
) -> Result<(), LogError> {
    let unfinished = unfinished(path);
    let unfinished = unfinished.as_path();
    let file = File::create(unfinished).map_err(LogError::io("create", unfinished))?;
    let fields: Vec<Field> = schema
        .columns()
        .iter()
        .map(|column| arrow_field(column).map_err(|reason| LogError::content(path, reason)))
        .collect::<Result<_, _>>()?;
    let fields = Arc::new(ArrowSchema::new(fields));
    let pairs = metadata.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(Some(pairs))
        .build();
    let failed = |error: parquet::errors::ParquetError| LogError::io("write to", unfinished)(error.into());
    let file_again = file.try_clone().map_err(LogError::io("write to", unfinished))?;
    let mut writer = ArrowWriter::try_new(file, Arc::clone(&fields), Some(properties)).map_err(failed)?;
    for (i, rows) in rows.chunks(BATCH_ROWS).enumerate() {
        let columns = schema.columns().iter().enumerate();
        let arrays = columns.map(|(at, column)| to_array(column, at, rows, i * BATCH_ROWS));
        let arrays: Result<_, String> = arrays.collect();
        let arrays = arrays.map_err(|reason| LogError::content(path, reason))?;
        let batch = RecordBatch::try_new(Arc::clone(&fields), arrays);
        let batch = batch.map_err(|error| LogError::content(path, error))?;
        writer.write(&batch).map_err(failed)?;
    }
    writer.close().map_err(failed)?;
    put_in_place(&file_again, unfinished, path)
}

/// Where a file stands while it is written.
fn unfinished(path: &Path) -> PathBuf {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    unfinished.into()
}

/// Give a whole file its name once it is on the disk.
fn put_in_place(file: &File, unfinished: &Path, path: &Path) -> Result<(), LogError> {
    file.sync_all().map_err(LogError::io("sync", unfinished))?;
    std::fs::rename(unfinished, path).map_err(LogError::io("rename", unfinished))?;
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(LogError::io("sync", dir))
}

/// A table as it was written: its schema, rows and metadata.
pub type Table = (Schema, Vec<Row>, Vec<(String, String)>);

/// Read a Parquet file of boolean, number, text and time columns and of lists and maps of ours; times are kept to the
/// microsecond.
///
/// # Errors
/// `NotFound`; `Invalid` when it is not Parquet or has columns of other types.
pub fn read_table(path: &Path) -> Result<Table, LogError> {
    let file = File::open(path).map_err(LogError::io("open", path))?;
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| LogError::content(path, error))?;
    let columns = builder.schema().fields().iter().map(|field| column_of(field));
    let columns: Result<Vec<Column>, String> = columns.collect();
    let schema = columns.and_then(|columns| Schema::new(columns).map_err(|error| error.to_string()));
    let schema = schema.map_err(|reason| LogError::content(path, reason))?;
    let pairs = builder.metadata().file_metadata().key_value_metadata().into_iter().flatten();
    let metadata = pairs
        .filter(|pair| pair.key != ARROW_SCHEMA)
        .map(|pair| (pair.key.clone(), pair.value.clone().unwrap_or_default()))
        .collect();
    let mut rows = Vec::new();
    for batch in builder.build().map_err(|error| LogError::content(path, error))? {
        let batch = batch.map_err(|error| LogError::content(path, error))?;
        for i in 0..batch.num_rows() {
            rows.push(batch.columns().iter().map(|column| value_at(column, i)).collect());
        }
    }
    Ok((schema, rows, metadata))
}

fn arrow_field(column: &Column) -> Result<Field, String> {
    Ok(Field::new(&*column.name, arrow_type(column)?, column.nullable))
}

fn arrow_type(column: &Column) -> Result<ArrowType, String> {
    Ok(match column.data_type {
        DataType::Boolean => ArrowType::Boolean,
        DataType::Int64 => ArrowType::Int64,
        DataType::Double => ArrowType::Float64,
        DataType::String => ArrowType::Utf8,
        DataType::Timestamp => ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Duration => return Err(no_duration(column)),
        DataType::List(element) => ArrowType::List(nested::list_field(element)),
        DataType::Map(element) => ArrowType::Map(nested::entries_field(element), false),
    })
}

/// Our column for one of a file.
pub(crate) fn column_of(field: &Field) -> Result<Column, String> {
    let data_type = type_of(field.data_type()).ok_or_else(|| {
        let known = "boolean, int64, double, string or timestamp, or a list or map of them";
        format!("column {:?} is of type {}; expected {known}", field.name(), field.data_type())
    })?;
    Ok(Column { name: field.name().as_str().into(), data_type, nullable: field.is_nullable() })
}

fn type_of(arrow: &ArrowType) -> Option<DataType> {
    match arrow {
        ArrowType::Boolean => Some(DataType::Boolean),
        ArrowType::Int64 => Some(DataType::Int64),
        ArrowType::Float64 => Some(DataType::Double),
        ArrowType::Utf8 => Some(DataType::String),
        ArrowType::Timestamp(TimeUnit::Microsecond, _) => Some(DataType::Timestamp),
        ArrowType::List(field) => Element::new(type_of(field.data_type())?).map(DataType::List),
        ArrowType::Map(entries, _) => match entries.data_type() {
            ArrowType::Struct(fields) => match fields.as_ref() {
                [_, values] => Element::new(type_of(values.data_type())?).map(DataType::Map),
                _ => None,
            },
            _ => None,
        },
        other => wider::type_of(other),
    }
}

/// The value of row `i` in a column that [`column_of`] knows.
pub(crate) fn value_at(column: &ArrayRef, i: usize) -> Value {
    if column.is_null(i) {
        return Value::Null;
    }
    match column.data_type() {
        ArrowType::Boolean => Value::Boolean(column.as_boolean().value(i)),
        ArrowType::Int64 => Value::Int64(column.as_primitive::<Int64Type>().value(i)),
        ArrowType::Float64 => Value::Double(column.as_primitive::<Float64Type>().value(i)),
        ArrowType::Utf8 => Value::String(column.as_string::<i32>().value(i).into()),
        ArrowType::Timestamp(TimeUnit::Microsecond, _) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(i);
            Value::Timestamp(Timestamp::from_micros(micros))
        }
        ArrowType::List(_) => nested::list_at(column, i),
        ArrowType::Map(_, _) => nested::map_at(column, i),
        _ => wider::value_at(column, i),
    }
}

fn to_array(column: &Column, at: usize, rows: &[Row], before: usize) -> Result<ArrayRef, String> {
    for (i, row) in rows.iter().enumerate() {
        let value = row.get(at).ok_or_else(|| {
            format!("row {} has {} values, too few for column {:?}", before + i + 1, row.len(), column.name)
        })?;
        let fits = nested::fits(value, column);
        if !fits {
            let (name, wanted) = (&column.name, column.data_type);
            return Err(format!("row {}: column {name:?} wants {wanted}, found {value}", before + i + 1));
        }
    }
    let values = rows.iter().map(|row| &row[at]);
    Ok(match column.data_type {
        DataType::Boolean => Arc::new(BooleanArray::from_iter(
            values.map(|value| if let Value::Boolean(value) = value { Some(*value) } else { None }),
        )),
        DataType::Int64 => Arc::new(Int64Array::from_iter(
            values.map(|value| if let Value::Int64(value) = value { Some(*value) } else { None }),
        )),
        DataType::Double => Arc::new(Float64Array::from_iter(
            values.map(|value| if let Value::Double(value) = value { Some(*value) } else { None }),
        )),
        DataType::String => Arc::new(StringArray::from_iter(
            values.map(|value| if let Value::String(value) = value { Some(&**value) } else { None }),
        )),
        DataType::Timestamp => {
            let micros = values
                .map(|value| if let Value::Timestamp(time) = value { Some(time.micros()) } else { None });
            Arc::new(TimestampMicrosecondArray::from_iter(micros).with_timezone("UTC"))
        }
        DataType::Duration => return Err(no_duration(column)),
        DataType::List(_) | DataType::Map(_) => nested::to_array(column, values)?,
    })
}

fn no_duration(column: &Column) -> String {
    format!("column {:?} is a duration; write it as int64", column.name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schema() -> Schema {
        let columns = [
            ("flag", "boolean?"),
            ("n", "int64?"),
            ("x", "double?"),
            ("text", "string?"),
            ("at", "timestamp"),
        ];
        Schema::parse(&columns).unwrap()
    }

    fn row() -> impl Strategy<Value = Row> {
        let some = |value: Option<Value>| value.unwrap_or(Value::Null);
        let flag = prop::option::of(any::<bool>().prop_map(Value::Boolean)).prop_map(some);
        let n = prop::option::of(any::<i64>().prop_map(Value::Int64)).prop_map(some);
        let x = prop::option::of(any::<u64>().prop_map(|bits| Value::Double(f64::from_bits(bits))))
            .prop_map(some);
        let text = prop::option::of(".*".prop_map(|text: String| Value::String(text.into()))).prop_map(some);
        let at = any::<i64>().prop_map(|micros| Value::Timestamp(Timestamp::from_micros(micros)));
        (flag, n, x, text, at).prop_map(|(flag, n, x, text, at)| vec![flag, n, x, text, at])
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        #[test]
        fn a_table_is_read_back_with_the_same_bits(rows in prop::collection::vec(row(), 0..50)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("table.parquet");
            let metadata = vec![("b".to_owned(), "2".to_owned()), ("a".to_owned(), "ü".to_owned())];
            write_table(&path, &schema(), &rows, &metadata).unwrap();
            prop_assert_eq!(read_table(&path).unwrap(), (schema(), rows, metadata));
        }
    }

    #[test]
    fn lists_and_maps_are_read_back_as_they_were() {
        let column = |name: &str, data_type| Column { name: name.into(), data_type, nullable: true };
        let schema = Schema::new(vec![
            column("list", DataType::List(Element::Double)),
            column("map", DataType::Map(Element::String)),
        ])
        .unwrap();
        let list = Value::List([Value::Double(0.1), Value::Double(-0.0)].into());
        let map = Value::Map([("a".into(), Value::String("x".into()))].into());
        let rows = vec![
            vec![list, Value::Null],
            vec![Value::List([].into()), map],
            vec![Value::Null, Value::Map([].into())],
        ];
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nested.parquet");
        write_table(&path, &schema, &rows, &[]).unwrap();
        let (found_schema, found, _) = read_table(&path).unwrap();
        assert_eq!((found_schema, found), (schema.clone(), rows));
        let wrong = vec![vec![Value::List([Value::Int64(1)].into()), Value::Null]];
        let error = write_table(&path, &schema, &wrong, &[]).unwrap_err().to_string();
        assert!(error.contains("wants list<double>, found [1]"), "{error}");
    }

    #[test]
    fn a_row_that_does_not_fit_is_named_and_leaves_the_older_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("table.parquet");
        let schema = Schema::parse(&[("n", "int64")]).unwrap();
        let good = vec![vec![Value::Int64(1)]];
        write_table(&path, &schema, &good, &[]).unwrap();
        let error =
            write_table(&path, &schema, &[vec![Value::Int64(1)], vec![Value::Null]], &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{}: row 2: column \"n\" wants int64, found NULL", path.display())
        );
        assert_eq!(read_table(&path).unwrap().1, good);
    }
}
