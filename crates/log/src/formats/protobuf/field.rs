//! One field of a message as bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_types::{DataType, Timestamp, Value};
use prost_reflect::{FieldDescriptor, Kind};

use super::default_of;
use crate::formats::cursor::{Cursor, Unreadable, unfold};
use crate::formats::instant;

/// Groups that are nested deeper are refused, so that no data can exhaust the stack.
const DEEPEST: usize = 64;

/// How the bytes of a field are delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Varint,
    Fixed64,
    Bytes,
    GroupStart,
    GroupEnd,
    Fixed32,
}

impl Wire {
    /// The number of the next field, and how it is delimited.
    pub(super) fn key(cursor: &mut Cursor<'_>) -> Result<(u32, Self), String> {
        let key = cursor.varint().map_err(text)?;
        let wire = match key & 7 {
            0 => Self::Varint,
            1 => Self::Fixed64,
            2 => Self::Bytes,
            3 => Self::GroupStart,
            4 => Self::GroupEnd,
            5 => Self::Fixed32,
            other => return Err(format!("a field of wire type {other}")),
        };
        match u32::try_from(key >> 3) {
            Ok(number) if number > 0 => Ok((number, wire)),
            Ok(_) | Err(_) => Err(format!("a field of number {}", key >> 3)),
        }
    }
}

/// Pass over a field whose key was read.
pub(super) fn pass_over(
    number: u32,
    wire: Wire,
    cursor: &mut Cursor<'_>,
    depth: usize,
) -> Result<(), String> {
    match wire {
        Wire::Varint => cursor.varint().map(drop).map_err(text),
        Wire::Fixed64 => cursor.take(8).map(drop).map_err(text),
        Wire::Fixed32 => cursor.take(4).map(drop).map_err(text),
        Wire::Bytes => cursor.varint_bytes().map(drop).map_err(text),
        Wire::GroupEnd => Err(format!("group {number} ends where it has not begun")),
        Wire::GroupStart if depth > DEEPEST => Err(format!("groups are nested deeper than {DEEPEST}")),
        Wire::GroupStart => loop {
            match Wire::key(cursor)? {
                (end, Wire::GroupEnd) if end == number => return Ok(()),
                (inner, wire) => pass_over(inner, wire, cursor, depth + 1)?,
            }
        },
    }
}

/// How a field is read into a column.
#[derive(Debug)]
pub(super) struct Reading {
    form: Form,
    /// Whether a number becomes a double, and a text an instant.
    wanted: DataType,
}

/// The bytes of a value.
#[derive(Debug)]
enum Form {
    Boolean,
    /// Signed, 64 bits of two's complement.
    Signed,
    /// Signed, of which the lower 32 bits count.
    Signed32,
    Unsigned,
    Unsigned32,
    Zigzag,
    Zigzag32,
    Fixed32,
    SignedFixed32,
    Fixed64,
    SignedFixed64,
    Float,
    Double,
    Text,
    Symbols(BTreeMap<i32, Arc<str>>),
    /// `google.protobuf.Timestamp`.
    Time,
    /// A message of `google/protobuf/wrappers.proto`: its one field is a value that may be missing.
    Wrapped(Box<Reading>, Value),
}

impl Reading {
    /// How a field is read into a column of a type; nothing if it cannot be.
    pub(super) fn of(field: &FieldDescriptor, wanted: DataType) -> Option<Self> {
        if field.is_list() || field.is_map() || field.is_group() {
            return None;
        }
        let number = wanted.numeric();
        let form = match field.kind() {
            Kind::Bool if wanted == DataType::Boolean => Form::Boolean,
            Kind::Int64 if number => Form::Signed,
            Kind::Int32 if number => Form::Signed32,
            Kind::Uint64 if number => Form::Unsigned,
            Kind::Uint32 if number => Form::Unsigned32,
            Kind::Sint64 if number => Form::Zigzag,
            Kind::Sint32 if number => Form::Zigzag32,
            Kind::Fixed32 if number => Form::Fixed32,
            Kind::Sfixed32 if number => Form::SignedFixed32,
            Kind::Fixed64 if number => Form::Fixed64,
            Kind::Sfixed64 if number => Form::SignedFixed64,
            Kind::Float if wanted == DataType::Double => Form::Float,
            Kind::Double if wanted == DataType::Double => Form::Double,
            Kind::String if matches!(wanted, DataType::String | DataType::Timestamp) => Form::Text,
            Kind::Enum(symbols) if wanted == DataType::String => Form::Symbols(
                symbols.values().map(|symbol| (symbol.number(), symbol.name().into())).collect(),
            ),
            Kind::Message(message) if message.full_name() == "google.protobuf.Timestamp" => {
                (wanted == DataType::Timestamp).then_some(Form::Time)?
            }
            Kind::Message(message) if is_wrapper(message.full_name()) => {
                let inner = message.get_field(1)?;
                let reading = Self::of(&inner, wanted)?;
                let absent = reading.converted(default_of(&inner.default_value(), &inner)).ok()?;
                Form::Wrapped(Box::new(reading), absent)
            }
            _ => return None,
        };
        Some(Self { form, wanted })
    }

    /// The value of a field that is not in the message.
    pub(super) fn absent(&self, field: &FieldDescriptor) -> Value {
        let no_default = field.field_descriptor_proto().default_value.is_none();
        if field.supports_presence() && no_default {
            return Value::Null;
        }
        self.converted(default_of(&field.default_value(), field)).unwrap_or(Value::Null)
    }

    /// Whether a field that is delimited so is of this form; others are unknown fields.
    pub(super) fn comes_as(&self, wire: Wire) -> bool {
        let expected = match &self.form {
            Form::Boolean
            | Form::Signed
            | Form::Signed32
            | Form::Unsigned
            | Form::Unsigned32
            | Form::Zigzag
            | Form::Zigzag32
            | Form::Symbols(_) => Wire::Varint,
            Form::Fixed32 | Form::SignedFixed32 | Form::Float => Wire::Fixed32,
            Form::Fixed64 | Form::SignedFixed64 | Form::Double => Wire::Fixed64,
            Form::Text | Form::Time | Form::Wrapped(..) => Wire::Bytes,
        };
        wire == expected
    }

    /// The value that comes next. Of a message that comes in parts, `before` is what the earlier ones said.
    pub(super) fn read(&self, cursor: &mut Cursor<'_>, before: &Value) -> Result<Value, String> {
        let number = |number: i64| self.converted(Value::Int64(number));
        match &self.form {
            Form::Boolean => Ok(Value::Boolean(cursor.varint().map_err(text)? != 0)),
            Form::Signed => number(cursor.varint().map_err(text)? as i64),
            Form::Signed32 => number(i64::from(cursor.varint().map_err(text)? as i32)),
            Form::Unsigned => self.unsigned(cursor.varint().map_err(text)?),
            Form::Unsigned32 => number(i64::from(cursor.varint().map_err(text)? as u32)),
            Form::Zigzag => number(cursor.zigzag().map_err(text)?),
            Form::Zigzag32 => number(unfold(u64::from(cursor.varint().map_err(text)? as u32))),
            Form::Fixed32 => number(i64::from(u32::from_le_bytes(cursor.array().map_err(text)?))),
            Form::SignedFixed32 => number(i64::from(i32::from_le_bytes(cursor.array().map_err(text)?))),
            Form::Fixed64 => self.unsigned(u64::from_le_bytes(cursor.array().map_err(text)?)),
            Form::SignedFixed64 => number(i64::from_le_bytes(cursor.array().map_err(text)?)),
            Form::Float => Ok(Value::Double(f64::from(f32::from_le_bytes(cursor.array().map_err(text)?)))),
            Form::Double => Ok(Value::Double(f64::from_le_bytes(cursor.array().map_err(text)?))),
            Form::Text => {
                let bytes = cursor.varint_bytes().map_err(text)?;
                let text = std::str::from_utf8(bytes).map_err(|_| "the text is not UTF-8".to_owned())?;
                self.converted(Value::String(text.into()))
            }
            Form::Symbols(symbols) => {
                let number = cursor.varint().map_err(text)? as i32;
                let unknown = || format!("symbol {number} is not in the schema");
                symbols.get(&number).cloned().map(Value::String).ok_or_else(unknown)
            }
            Form::Time => time(cursor.varint_bytes().map_err(text)?, before),
            Form::Wrapped(inner, absent) => {
                let mut inside = Cursor::new(cursor.varint_bytes().map_err(text)?);
                let mut value = if before.null() { absent.clone() } else { before.clone() };
                while inside.left() > 0 {
                    let (field, wire) = Wire::key(&mut inside)?;
                    if field == 1 && inner.comes_as(wire) {
                        value = inner.read(&mut inside, &Value::Null)?;
                    } else {
                        pass_over(field, wire, &mut inside, 0)?;
                    }
                }
                Ok(value)
            }
        }
    }

    fn unsigned(&self, number: u64) -> Result<Value, String> {
        if self.wanted == DataType::Double {
            return Ok(Value::Double(number as f64));
        }
        i64::try_from(number).map(Value::Int64).map_err(|_| format!("{number} is too large for an int64"))
    }

    /// A value as the column wants it.
    fn converted(&self, value: Value) -> Result<Value, String> {
        match (value, self.wanted) {
            (Value::Int64(number), DataType::Double) => Ok(Value::Double(number as f64)),
            (Value::String(text), DataType::Timestamp) => {
                Timestamp::parse(&text).map(Value::Timestamp).map_err(|error| error.to_string())
            }
            (value, _) => Ok(value),
        }
    }
}

fn is_wrapper(name: &str) -> bool {
    let kinds = ["Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String"];
    name.strip_prefix("google.protobuf.")
        .and_then(|name| name.strip_suffix("Value"))
        .is_some_and(|kind| kinds.contains(&kind))
}

/// Seconds and nanoseconds since 1970 UTC, of which microseconds are kept.
fn time(bytes: &[u8], before: &Value) -> Result<Value, String> {
    let (mut seconds, mut nanos) = match before {
        Value::Timestamp(time) => {
            (time.micros().div_euclid(1_000_000), time.micros().rem_euclid(1_000_000) * 1_000)
        }
        _ => (0, 0),
    };
    let mut cursor = Cursor::new(bytes);
    while cursor.left() > 0 {
        match Wire::key(&mut cursor)? {
            (1, Wire::Varint) => seconds = cursor.varint().map_err(text)? as i64,
            (2, Wire::Varint) => nanos = i64::from(cursor.varint().map_err(text)? as i32),
            (number, wire) => pass_over(number, wire, &mut cursor, 0)?,
        }
    }
    let micros =
        seconds.checked_mul(1_000_000).and_then(|micros| micros.checked_add(nanos.div_euclid(1_000)));
    let time = micros.and_then(instant);
    time.map(Value::Timestamp).ok_or_else(|| format!("second {seconds} lies beyond the years that are kept"))
}

fn text(error: Unreadable) -> String {
    error.to_string()
}
