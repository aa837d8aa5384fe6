//! One field of a message as bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_types::{DataType, Timestamp, Value};
use prost_reflect::{FieldDescriptor, Kind};

use super::default_of;
use crate::formats::cursor::{Cursor, Unreadable, unfold};
use crate::formats::{Parts, instant};

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
    /// A field that comes once for each item of a list; numbers come together, too.
    Repeated(Box<Reading>),
    /// A message for each pair of a map: how its value is read, and the value of one that has none.
    Entries(Box<Reading>, Value),
}

impl Reading {
    /// How a field is read into a column of a type; nothing if it cannot be.
    pub(super) fn of(field: &FieldDescriptor, wanted: DataType) -> Option<Self> {
        if field.is_map() {
            let DataType::Map(element) = wanted else { return None };
            let kind = field.kind();
            let entry = kind.as_message()?;
            let textual = entry.map_entry_key_field().kind() == Kind::String;
            let value = entry.map_entry_value_field();
            let reading = Self::of_one(&value, element.data_type()).filter(|_| textual)?;
            let absent = reading.converted(default_of(&value.default_value(), &value)).ok()?;
            return Some(Self { form: Form::Entries(Box::new(reading), absent), wanted });
        }
        if field.is_list() {
            let DataType::List(element) = wanted else { return None };
            let reading = Self::of_one(field, element.data_type())?;
            return Some(Self { form: Form::Repeated(Box::new(reading)), wanted });
        }
        Self::of_one(field, wanted)
    }

    /// How one value of a field is read.
    fn of_one(field: &FieldDescriptor, wanted: DataType) -> Option<Self> {
        if field.is_group() {
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
                let reading = Self::of_one(&inner, wanted)?;
                let absent = reading.converted(default_of(&inner.default_value(), &inner)).ok()?;
                Form::Wrapped(Box::new(reading), absent)
            }
            _ => return None,
        };
        Some(Self { form, wanted })
    }

    /// The value of a field that is not in the message.
    pub(super) fn absent(&self, field: &FieldDescriptor) -> Value {
        match &self.form {
            Form::Repeated(_) => return Value::List([].into()),
            Form::Entries(..) => return Value::Map([].into()),
            _ => {}
        }
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
            Form::Text | Form::Time | Form::Wrapped(..) | Form::Entries(..) => Wire::Bytes,
            Form::Repeated(item) => return item.comes_as(wire) || wire == Wire::Bytes,
        };
        wire == expected
    }

    /// What the field gathers, if it comes in parts.
    pub(super) fn parts(&self) -> Option<Parts> {
        match &self.form {
            Form::Repeated(_) => Some(Parts::List(Vec::new())),
            Form::Entries(..) => Some(Parts::Map(BTreeMap::new())),
            _ => None,
        }
    }

    /// Read what comes next into the parts of a list or map.
    pub(super) fn gather(
        &self,
        cursor: &mut Cursor<'_>,
        wire: Wire,
        parts: &mut Parts,
    ) -> Result<(), String> {
        match (&self.form, parts) {
            (Form::Repeated(item), Parts::List(values)) if item.comes_as(wire) => {
                values.push(item.read_some(cursor)?);
            }
            (Form::Repeated(item), Parts::List(values)) => {
                let mut packed = Cursor::new(cursor.varint_bytes().map_err(text)?);
                while packed.left() > 0 {
                    values.push(item.read_some(&mut packed)?);
                }
            }
            (Form::Entries(reading, absent), Parts::Map(pairs)) => {
                let mut inside = Cursor::new(cursor.varint_bytes().map_err(text)?);
                let (mut key, mut value) = ("", absent.clone());
                while inside.left() > 0 {
                    match Wire::key(&mut inside)? {
                        (1, Wire::Bytes) => {
                            let bytes = inside.varint_bytes().map_err(text)?;
                            key = std::str::from_utf8(bytes).map_err(|_| "a key is not UTF-8".to_owned())?;
                        }
                        (2, wire) if reading.comes_as(wire) => value = reading.read(&mut inside, &value)?,
                        (number, wire) => pass_over(number, wire, &mut inside, 0)?,
                    }
                }
                if value.null() {
                    return Err(format!("the pair of {key:?} has no value"));
                }
                pairs.insert(key.into(), value);
            }
            _ => return Err("it is no list and no map".to_owned()),
        }
        Ok(())
    }

    /// A value that is not NULL.
    fn read_some(&self, cursor: &mut Cursor<'_>) -> Result<Value, String> {
        let value = self.read(cursor, &Value::Null)?;
        if value.null() { Err("a list holds no NULL".to_owned()) } else { Ok(value) }
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
            Form::Repeated(_) | Form::Entries(..) => Err("it comes in parts".to_owned()),
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
