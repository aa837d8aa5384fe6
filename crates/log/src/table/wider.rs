//! Columns as other programs write them, where one of our types holds every value.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Float32Type, Int8Type, Int16Type, Int32Type, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType as ArrowType, TimeUnit};
use perennial_types::{DataType, Timestamp, Value};

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Our type for one that we do not write; times are kept to the microsecond.
pub(super) fn type_of(arrow: &ArrowType) -> Option<DataType> {
    match arrow {
        ArrowType::Int8
        | ArrowType::Int16
        | ArrowType::Int32
        | ArrowType::UInt8
        | ArrowType::UInt16
        | ArrowType::UInt32 => Some(DataType::Int64),
        ArrowType::Float32 => Some(DataType::Double),
        ArrowType::LargeUtf8 | ArrowType::Utf8View => Some(DataType::String),
        ArrowType::Timestamp(_, _) | ArrowType::Date32 => Some(DataType::Timestamp),
        _ => None,
    }
}

/// The value of row `i`, which is not NULL, in a column that [`type_of`] knows.
pub(super) fn value_at(column: &ArrayRef, i: usize) -> Value {
    let time = |micros: i64| Value::Timestamp(Timestamp::from_micros(micros));
    match column.data_type() {
        ArrowType::Int8 => Value::Int64(column.as_primitive::<Int8Type>().value(i).into()),
        ArrowType::Int16 => Value::Int64(column.as_primitive::<Int16Type>().value(i).into()),
        ArrowType::Int32 => Value::Int64(column.as_primitive::<Int32Type>().value(i).into()),
        ArrowType::UInt8 => Value::Int64(column.as_primitive::<UInt8Type>().value(i).into()),
        ArrowType::UInt16 => Value::Int64(column.as_primitive::<UInt16Type>().value(i).into()),
        ArrowType::UInt32 => Value::Int64(column.as_primitive::<UInt32Type>().value(i).into()),
        ArrowType::Float32 => Value::Double(column.as_primitive::<Float32Type>().value(i).into()),
        ArrowType::LargeUtf8 => Value::String(column.as_string::<i64>().value(i).into()),
        ArrowType::Utf8View => Value::String(column.as_string_view().value(i).into()),
        ArrowType::Timestamp(TimeUnit::Second, _) => {
            time(column.as_primitive::<TimestampSecondType>().value(i).saturating_mul(1_000_000))
        }
        ArrowType::Timestamp(TimeUnit::Millisecond, _) => {
            time(column.as_primitive::<TimestampMillisecondType>().value(i).saturating_mul(1_000))
        }
        ArrowType::Timestamp(TimeUnit::Nanosecond, _) => {
            time(column.as_primitive::<TimestampNanosecondType>().value(i).div_euclid(1_000))
        }
        ArrowType::Date32 => time(i64::from(column.as_primitive::<Date32Type>().value(i)) * DAY),
        _ => Value::Null,
    }
}
