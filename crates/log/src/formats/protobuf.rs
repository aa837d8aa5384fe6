//! Protocol Buffers, read into rows by the message that they were written as.
//!
//! A field of the message fills the column of its name. Fields that are no columns are passed over, as every reader
//! of Protocol Buffers does, and count as columns that may be missing.

mod field;

use std::collections::BTreeMap;

use perennial_types::{Row, Schema, Value, WriterSchema};
use prost_reflect::{DescriptorPool, FieldDescriptor, MessageDescriptor};
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use super::cursor::Cursor;
use super::{Parts, blank, finished};
use crate::decode::DecodeError;
use field::{Reading, Wire, pass_over};

/// The name under which the schema itself is compiled.
const MAIN: &str = "perennial_row.proto";

/// The messages of a schema, each with how it is read, by its path.
#[derive(Debug)]
pub(crate) struct ProtobufPlan {
    pool: DescriptorPool,
    columns: Schema,
    /// How messages are read, or why they cannot be, as far as they came.
    messages: BTreeMap<Vec<usize>, Result<Message, String>>,
}

/// How one message is read.
#[derive(Debug)]
struct Message {
    /// The column and the reading of each field that fills one, by number.
    fields: BTreeMap<u32, (usize, Reading)>,
    /// The row of a message without fields.
    blank: Row,
}

impl ProtobufPlan {
    /// Compile the writer's schema.
    ///
    /// # Errors
    /// When it cannot be compiled.
    pub(crate) fn new(written: &WriterSchema, columns: &Schema) -> Result<Self, Vec<String>> {
        let mut resolver = ChainFileResolver::new();
        resolver.add(Texts(written.clone()));
        resolver.add(GoogleFileResolver::new());
        let mut compiler = Compiler::with_file_resolver(resolver);
        compiler.include_imports(true);
        compiler.open_file(MAIN).map_err(|error| vec![format!("it cannot be compiled: {error}")])?;
        let pool = compiler.descriptor_pool();
        Ok(Self { pool, columns: columns.clone(), messages: BTreeMap::new() })
    }

    /// Compare the message at a path with the columns that are wanted.
    ///
    /// # Errors
    /// Every difference that is no compatible one.
    pub(crate) fn check(&self, path: &[usize]) -> Result<(), Vec<String>> {
        Message::new(&self.message(path)?, &self.columns).map(drop)
    }

    /// The row of a value of the message at a path.
    ///
    /// # Errors
    /// When the message does not fit the columns, the bytes are no such message, or the row does not fit its schema.
    pub(crate) fn decode(&mut self, path: &[usize], bytes: &[u8]) -> Result<Row, DecodeError> {
        if !self.messages.contains_key(path) {
            let found = self.message(path).and_then(|message| Message::new(&message, &self.columns));
            self.messages.insert(path.to_vec(), found.map_err(|differences| differences.join("; ")));
        }
        match &self.messages[path] {
            Ok(message) => message.decode(bytes, &self.columns),
            Err(reason) => Err(DecodeError::Schema(reason.clone())),
        }
    }

    fn message(&self, path: &[usize]) -> Result<MessageDescriptor, Vec<String>> {
        let nothing = || vec![format!("the schema has no message at {path:?}")];
        let file = self.pool.get_file_by_name(MAIN).ok_or_else(nothing)?;
        let (first, inner) = path.split_first().ok_or_else(nothing)?;
        let mut message = file.messages().nth(*first).ok_or_else(nothing)?;
        for step in inner {
            let inner = message.child_messages().nth(*step);
            message = inner.ok_or_else(nothing)?;
        }
        Ok(message)
    }
}

impl Message {
    fn new(message: &MessageDescriptor, columns: &Schema) -> Result<Self, Vec<String>> {
        let (mut fields, mut blank, mut differences) = (BTreeMap::new(), blank(columns), Vec::new());
        for (index, column) in columns.columns().iter().enumerate() {
            let Some(field) = message.get_field_by_name(&column.name) else {
                if !column.nullable {
                    let help = perennial_types::did_you_mean(
                        &column.name,
                        names(message).iter().map(String::as_str),
                    );
                    differences.push(format!(
                        "column {:?} is not in message {}{help}",
                        column.name,
                        message.name()
                    ));
                }
                continue;
            };
            match Reading::of(&field, column.data_type) {
                Some(reading) => {
                    blank[index] = reading.absent(&field);
                    fields.insert(field.number(), (index, reading));
                }
                None => differences.push(format!(
                    "column {:?} is {}, and is written as {}",
                    column.name,
                    column.data_type,
                    written_as(&field)
                )),
            }
        }
        if differences.is_empty() { Ok(Self { fields, blank }) } else { Err(differences) }
    }

    fn decode(&self, bytes: &[u8], columns: &Schema) -> Result<Row, DecodeError> {
        let wrong = |reason: String| DecodeError::Bytes { format: "Protobuf", reason };
        let mut cursor = Cursor::new(bytes);
        let mut row = self.blank.clone();
        let mut gathered: BTreeMap<usize, Parts> = BTreeMap::new();
        while cursor.left() > 0 {
            let (number, wire) = Wire::key(&mut cursor).map_err(wrong)?;
            match self.fields.get(&number) {
                Some((index, reading)) if reading.comes_as(wire) => {
                    let of_column =
                        |reason| wrong(format!("column {:?}: {reason}", columns.columns()[*index].name));
                    match reading.parts() {
                        None => row[*index] = reading.read(&mut cursor, &row[*index]).map_err(of_column)?,
                        Some(none) => {
                            let parts = gathered.entry(*index).or_insert(none);
                            reading.gather(&mut cursor, wire, parts).map_err(of_column)?;
                        }
                    }
                }
                Some(_) | None => pass_over(number, wire, &mut cursor, 0).map_err(wrong)?,
            }
        }
        for (index, parts) in gathered {
            row[index] = parts.value();
        }
        finished(columns, row)
    }
}

fn names(message: &MessageDescriptor) -> Vec<String> {
    message.fields().map(|field| field.name().to_owned()).collect()
}

fn written_as(field: &FieldDescriptor) -> String {
    let kind = match field.kind() {
        prost_reflect::Kind::Message(message) => message.full_name().to_owned(),
        prost_reflect::Kind::Enum(symbols) => symbols.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    };
    if field.is_map() {
        "a map".to_owned()
    } else if field.is_list() {
        format!("repeated {kind}")
    } else {
        kind
    }
}

/// The schema and what it imports, as files.
struct Texts(WriterSchema);

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == MAIN {
            return File::from_source(name, &self.0.text);
        }
        match self.0.references.iter().find(|(known, _)| **known == *name) {
            Some((_, text)) => File::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// The value of a field that is not there, of its schema.
fn default_of(value: &prost_reflect::Value, field: &FieldDescriptor) -> Value {
    use prost_reflect::Value as Written;
    match value {
        Written::Bool(value) => Value::Boolean(*value),
        Written::I32(value) => Value::Int64(i64::from(*value)),
        Written::I64(value) => Value::Int64(*value),
        Written::U32(value) => Value::Int64(i64::from(*value)),
        Written::U64(value) => i64::try_from(*value).map_or(Value::Null, Value::Int64),
        Written::F32(value) => Value::Double(f64::from(*value)),
        Written::F64(value) => Value::Double(*value),
        Written::String(text) => Value::String(text.as_str().into()),
        Written::EnumNumber(number) => match field.kind() {
            prost_reflect::Kind::Enum(symbols) => {
                symbols.get_value(*number).map_or(Value::Null, |symbol| Value::String(symbol.name().into()))
            }
            _ => Value::Null,
        },
        Written::Bytes(_) | Written::Message(_) | Written::List(_) | Written::Map(_) => Value::Null,
    }
}
