//! Avro values, read into rows by the schema that they were written by.
//!
//! The schema is compared with the source's columns once. What is left to do for a value is to read its fields in
//! order and to pass over those that are no columns.

mod shape;

use std::collections::BTreeMap;

use apache_avro::Schema as AvroSchema;
use apache_avro::schema::RecordSchema;
use perennial_types::{Column, DataType, Element, Row, Schema, Timestamp, Value, WriterSchema};

use super::cursor::Cursor;
use super::{Parts, blank, finished, instant};
use crate::decode::DecodeError;
use shape::{Shape, Shapes, variant};

/// How the rows of a schema are read from values of one writer's schema.
#[derive(Debug)]
pub(crate) struct AvroPlan {
    shapes: Shapes,
    /// The fields of the written record in their order, with the columns they fill; those without are passed over.
    fields: Vec<(Shape, Option<usize>)>,
    columns: Schema,
}

impl AvroPlan {
    /// Compare the writer's schema with the columns that are wanted.
    ///
    /// # Errors
    /// Every difference that is no compatible one: all but fields that may be null and are no columns, and columns
    /// that may be missing and are no fields.
    pub(crate) fn new(written: &WriterSchema, columns: &Schema) -> Result<Self, Vec<String>> {
        let unreadable = |reason: String| vec![format!("it is no Avro schema: {reason}")];
        let references: Vec<&str> = written.references.iter().map(|(_, text)| &**text).collect();
        let (schema, others) = AvroSchema::parse_str_with_list(&written.text, references)
            .map_err(|error| unreadable(error.to_string()))?;
        let AvroSchema::Record(record) = &schema else {
            return Err(vec![format!("it is {}, and a row is a record", name_of(&schema))]);
        };
        let mut shapes = Shapes::default();
        others.iter().chain([&schema]).for_each(|schema| shapes.define(schema, None));
        for schema in others.iter().chain([&schema]) {
            shapes.of(schema, None).map_err(unreadable)?;
        }
        let name = record.name.fully_qualified_name(None);
        let mut fields = Vec::new();
        for field in &record.fields {
            let shape = shapes.of(&field.schema, name.namespace()).map_err(unreadable)?;
            fields.push((shape, columns.index_of(&field.name)));
        }
        let plan = Self { shapes, fields, columns: columns.clone() };
        let differences = plan.differences(record);
        if differences.is_empty() { Ok(plan) } else { Err(differences) }
    }

    fn differences(&self, record: &RecordSchema) -> Vec<String> {
        let mut differences = Vec::new();
        for ((shape, column), field) in self.fields.iter().zip(&record.fields) {
            let written = name_of(&field.schema);
            match column.map(|index| &self.columns.columns()[index]) {
                Some(column) if readable(&self.shapes, shape, column.data_type) => {}
                Some(column) => differences.push(format!(
                    "column {:?} is {}, and is written as {written}",
                    column.name, column.data_type
                )),
                None if nullable(&self.shapes, shape) => {}
                None => differences.push(format!(
                    "field {:?} ({written}) is new and never null; declare it as a column that may be missing",
                    field.name
                )),
            }
        }
        let written = |column: &Column| record.fields.iter().any(|field| *field.name == *column.name);
        let missing = self.columns.columns().iter().filter(|column| !column.nullable && !written(column));
        differences.extend(missing.map(|column| format!("column {:?} is not written", column.name)));
        differences
    }

    /// The row of a value.
    ///
    /// # Errors
    /// When the bytes are no such value, or the row does not fit its schema.
    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<Row, DecodeError> {
        let wrong = |reason: String| DecodeError::Bytes { format: "Avro", reason };
        let mut cursor = Cursor::new(bytes);
        let mut row = blank(&self.columns);
        for (shape, column) in &self.fields {
            let Some(index) = *column else {
                self.shapes.skip(shape, &mut cursor, 0).map_err(wrong)?;
                continue;
            };
            let column = &self.columns.columns()[index];
            let read = self.read(shape, column.data_type, &mut cursor);
            row[index] = read.map_err(|reason| wrong(format!("column {:?}: {reason}", column.name)))?;
        }
        if cursor.left() > 0 {
            return Err(wrong(format!("{} bytes follow the record", cursor.left())));
        }
        finished(&self.columns, row)
    }

    fn read(&self, shape: &Shape, wanted: DataType, cursor: &mut Cursor<'_>) -> Result<Value, String> {
        let short = |error: super::cursor::Unreadable| error.to_string();
        Ok(match self.shapes.resolved(shape) {
            Shape::Null => Value::Null,
            Shape::Boolean => match cursor.array::<1>().map_err(short)? {
                [0] => Value::Boolean(false),
                [1] => Value::Boolean(true),
                [other] => return Err(format!("{other} is no boolean")),
            },
            Shape::Long => {
                let number = cursor.zigzag().map_err(short)?;
                if wanted == DataType::Double { Value::Double(number as f64) } else { Value::Int64(number) }
            }
            Shape::Time(unit) => {
                let count = cursor.zigzag().map_err(short)?;
                let time = unit.micros(count).and_then(instant);
                Value::Timestamp(
                    time.ok_or_else(|| format!("{count} {unit:?} lie beyond the years that are kept"))?,
                )
            }
            Shape::Float => Value::Double(f64::from(f32::from_le_bytes(cursor.array().map_err(short)?))),
            Shape::Double => Value::Double(f64::from_le_bytes(cursor.array().map_err(short)?)),
            Shape::Text => {
                let bytes = cursor.zigzag_bytes().map_err(short)?;
                let text = std::str::from_utf8(bytes).map_err(|_| "the text is not UTF-8".to_owned())?;
                text_value(text, wanted)?
            }
            Shape::Symbols(symbols) => {
                let index = cursor.zigzag().map_err(short)?;
                let symbol = usize::try_from(index).ok().and_then(|index| symbols.get(index));
                Value::String(symbol.cloned().ok_or_else(|| format!("symbol {index} of {}", symbols.len()))?)
            }
            Shape::Union(variants) => self.read(variant(variants, cursor)?, wanted, cursor)?,
            Shape::List(items) | Shape::Map(items) => self.read_parts(items, wanted, cursor)?,
            Shape::Bytes | Shape::Fixed(_) | Shape::Record(_) | Shape::Named(_) => {
                return Err("it is no single value".to_owned());
            }
        })
    }

    /// A list or map of items.
    fn read_parts(&self, items: &Shape, wanted: DataType, cursor: &mut Cursor<'_>) -> Result<Value, String> {
        let (mut parts, element) = match wanted {
            DataType::List(element) => (Parts::List(Vec::new()), element),
            DataType::Map(element) => (Parts::Map(BTreeMap::new()), element),
            other => return Err(format!("it is no {other}")),
        };
        let keyed = matches!(parts, Parts::Map(_));
        Shapes::parts(cursor, keyed, |key, cursor| {
            let value = self.read(items, element.data_type(), cursor)?;
            match &mut parts {
                Parts::List(values) => values.push(value),
                Parts::Map(pairs) => {
                    let key = std::str::from_utf8(key).map_err(|_| "a key is not UTF-8".to_owned())?;
                    pairs.insert(key.into(), value);
                }
            }
            Ok(())
        })?;
        Ok(parts.value())
    }
}

/// A text as it is, or as the instant that it names.
fn text_value(text: &str, wanted: DataType) -> Result<Value, String> {
    if wanted == DataType::Timestamp {
        return Timestamp::parse(text).map(Value::Timestamp).map_err(|error| error.to_string());
    }
    Ok(Value::String(text.into()))
}

/// Whether values of a shape can be of a column's type.
fn readable(shapes: &Shapes, shape: &Shape, wanted: DataType) -> bool {
    match shapes.resolved(shape) {
        Shape::Null => true,
        Shape::Boolean => wanted == DataType::Boolean,
        Shape::Long => wanted.numeric(),
        Shape::Time(_) => wanted == DataType::Timestamp,
        Shape::Float | Shape::Double => wanted == DataType::Double,
        Shape::Text => matches!(wanted, DataType::String | DataType::Timestamp),
        Shape::Symbols(_) => wanted == DataType::String,
        Shape::Union(variants) => variants.iter().all(|variant| readable(shapes, variant, wanted)),
        Shape::List(items) => match wanted {
            DataType::List(element) => item_readable(shapes, items, element),
            _ => false,
        },
        Shape::Map(items) => match wanted {
            DataType::Map(element) => item_readable(shapes, items, element),
            _ => false,
        },
        Shape::Bytes | Shape::Fixed(_) | Shape::Record(_) | Shape::Named(_) => false,
    }
}

/// Whether what a list or map holds can be of a type; NULL it holds never.
fn item_readable(shapes: &Shapes, items: &Shape, wanted: Element) -> bool {
    !nullable(shapes, items) && readable(shapes, items, wanted.data_type())
}

fn nullable(shapes: &Shapes, shape: &Shape) -> bool {
    match shapes.resolved(shape) {
        Shape::Null => true,
        Shape::Union(variants) => variants.iter().any(|variant| matches!(variant, Shape::Null)),
        _ => false,
    }
}

/// The type of a field as its schema names it, without what is inside.
fn name_of(schema: &AvroSchema) -> String {
    match schema {
        AvroSchema::Union(union) => {
            let names: Vec<String> = union.variants().iter().map(name_of).collect();
            format!("[{}]", names.join(", "))
        }
        AvroSchema::Record(record) => format!("record {}", record.name),
        AvroSchema::Enum(symbols) => format!("enum {}", symbols.name),
        AvroSchema::Fixed(fixed) => format!("fixed {}", fixed.name),
        AvroSchema::Ref { name } => name.to_string(),
        AvroSchema::Array(array) => format!("array of {}", name_of(&array.items)),
        AvroSchema::Map(map) => format!("map of {}", name_of(&map.types)),
        AvroSchema::Decimal(_) => "decimal".to_owned(),
        AvroSchema::Duration(_) => "duration".to_owned(),
        AvroSchema::Uuid(_) => "uuid".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}
