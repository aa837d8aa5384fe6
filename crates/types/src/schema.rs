//! Schemas, and rows decoded by them.

mod plain;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{DataType, Timestamp, Value, did_you_mean};

/// The values of one row, in the order of its schema's columns.
pub type Row = Vec<Value>;

/// A named, typed column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub data_type: DataType,
    /// Whether it may be missing or null; declared by a question mark: `double?`.
    pub nullable: bool,
}

/// An ordered list of columns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schema {
    columns: Vec<Column>,
}

/// A declaration that is no schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// An unknown type.
    #[error("column {column:?} has unknown type {given:?}{help}")]
    UnknownType {
        /// The column.
        column: String,
        /// What was written.
        given: String,
        /// What would help.
        help: String,
    },
    /// Two columns of one name.
    #[error("column {0:?} is declared twice")]
    Twice(String),
}

/// A row that does not fit its schema; the message names the column and the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Not a JSON object.
    #[error("expected a JSON object, found {0}")]
    NotAnObject(&'static str),
    /// A column that must be there is not.
    #[error("column {0:?} is missing")]
    Missing(String),
    /// A column that the schema does not have.
    #[error("unknown column {name:?}{help}")]
    Unknown {
        /// The column.
        name: String,
        /// What would help.
        help: String,
    },
    /// A value of another type.
    #[error("column {column:?} wants {wanted}, found {found}")]
    WrongType {
        /// The column.
        column: String,
        /// Its type.
        wanted: DataType,
        /// The value.
        found: String,
    },
}

impl Schema {
    /// From columns; their names are different.
    ///
    /// # Errors
    /// When two columns have one name.
    pub fn new(columns: Vec<Column>) -> Result<Self, SchemaError> {
        for (i, column) in columns.iter().enumerate() {
            if columns[..i].iter().any(|other| other.name == column.name) {
                return Err(SchemaError::Twice(column.name.to_string()));
            }
        }
        Ok(Self { columns })
    }

    /// From declared names and types (`double`, or `double?` for one that may be missing).
    ///
    /// # Errors
    /// When a type is unknown or a name stands twice.
    pub fn parse(declared: &[(&str, &str)]) -> Result<Self, SchemaError> {
        let columns = declared.iter().map(|(name, given)| Self::parse_column(name, given));
        Self::new(columns.collect::<Result<_, _>>()?)
    }

    /// One declared column.
    ///
    /// # Errors
    /// When the type is unknown.
    pub fn parse_column(name: &str, given: &str) -> Result<Column, SchemaError> {
        let (type_name, nullable) = match given.strip_suffix('?') {
            Some(rest) => (rest, true),
            None => (given, false),
        };
        let data_type = DataType::from_name(type_name).ok_or_else(|| SchemaError::UnknownType {
            column: name.to_owned(),
            given: given.to_owned(),
            help: did_you_mean(type_name, DataType::DECLARABLE.map(DataType::name)),
        })?;
        Ok(Column { name: name.into(), data_type, nullable })
    }

    /// The columns in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Where the column of this name stands.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| &*column.name == name)
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| &*column.name == name)
    }

    /// The names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| &*column.name)
    }

    /// Decode a JSON object. Times are RFC 3339 texts; a double may be written as an integer; every key must
    /// be a column, and every column that is not nullable must be there.
    ///
    /// # Errors
    /// The first column that does not fit.
    pub fn decode_json(&self, json: &Json) -> Result<Row, RowError> {
        let object = json.as_object().ok_or_else(|| RowError::NotAnObject(json_type(json)))?;
        if let Some(name) = object.keys().find(|name| self.index_of(name).is_none()) {
            let help = did_you_mean(name, self.names());
            return Err(RowError::Unknown { name: name.clone(), help });
        }
        self.columns.iter().map(|column| column.decode_json(object.get(&*column.name))).collect()
    }

    /// Decode the columns that a JSON object has: one that is missing is NULL, whatever the schema says, and
    /// members that are no columns are passed over. For records that were written under another schema.
    ///
    /// # Errors
    /// The first column that is there and does not fit.
    pub fn decode_known_json(&self, json: &Json) -> Result<Row, RowError> {
        let object = json.as_object().ok_or_else(|| RowError::NotAnObject(json_type(json)))?;
        let decode = |column: &Column| match object.get(&*column.name) {
            None | Some(Json::Null) => Ok(Value::Null),
            json => column.decode_json(json),
        };
        self.columns.iter().map(decode).collect()
    }

    /// The row as a JSON object; NULLs are left out. Decoding it gives the same bits.
    pub fn encode_json(&self, row: &[Value]) -> Json {
        let pairs = self.columns.iter().zip(row).filter(|(_, value)| !value.null());
        Json::Object(pairs.map(|(column, value)| (column.name.to_string(), value.to_json())).collect())
    }
}

impl Column {
    fn decode_json(&self, json: Option<&Json>) -> Result<Value, RowError> {
        let wrong = |json: &Json| RowError::WrongType {
            column: self.name.to_string(),
            wanted: self.data_type,
            found: abbreviated(&json.to_string()),
        };
        let json = match json {
            None | Some(Json::Null) if self.nullable => return Ok(Value::Null),
            None | Some(Json::Null) => return Err(RowError::Missing(self.name.to_string())),
            Some(json) => json,
        };
        decode(self.data_type, json).ok_or_else(|| wrong(json))
    }

    /// Decode the text of a CSV field; an empty field is NULL, a list is written as JSON.
    ///
    /// # Errors
    /// When the text is not of the column's type.
    pub fn decode_text(&self, text: &str) -> Result<Value, RowError> {
        if text.is_empty() {
            return if self.nullable {
                Ok(Value::Null)
            } else {
                Err(RowError::Missing(self.name.to_string()))
            };
        }
        let value = match self.data_type {
            DataType::Boolean => match text {
                "true" | "1" => Some(Value::Boolean(true)),
                "false" | "0" => Some(Value::Boolean(false)),
                _ => None,
            },
            DataType::Int64 => text.parse().ok().map(Value::Int64),
            DataType::Double => {
                text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Double)
            }
            DataType::String => Some(Value::String(text.into())),
            DataType::Timestamp => Timestamp::parse(text).ok().map(Value::Timestamp),
            DataType::Duration => None,
            DataType::List(_) | DataType::Map(_) => {
                serde_json::from_str(text).ok().and_then(|json| decode(self.data_type, &json))
            }
        };
        value.ok_or_else(|| RowError::WrongType {
            column: self.name.to_string(),
            wanted: self.data_type,
            found: abbreviated(&format!("{text:?}")),
        })
    }
}

/// A value that is there; nothing where it is of another type.
fn decode(data_type: DataType, json: &Json) -> Option<Value> {
    match data_type {
        DataType::Boolean => json.as_bool().map(Value::Boolean),
        DataType::Int64 => json.as_i64().map(Value::Int64),
        DataType::Double => json.as_f64().filter(|number| usable(*number)).map(Value::Double),
        DataType::String => json.as_str().map(|text| Value::String(text.into())),
        DataType::Timestamp => {
            json.as_str().and_then(|text| Timestamp::parse(text).ok()).map(Value::Timestamp)
        }
        DataType::Duration => None,
        DataType::List(element) => {
            let values = json.as_array()?.iter().map(|json| decode(element.data_type(), json));
            values.collect::<Option<_>>().map(Value::List)
        }
        DataType::Map(element) => {
            let pair = |(key, json): (&String, &Json)| {
                Some((Arc::from(key.as_str()), decode(element.data_type(), json)?))
            };
            let mut pairs: Vec<(Arc<str>, Value)> =
                json.as_object()?.iter().map(pair).collect::<Option<_>>()?;
            pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
            Some(Value::Map(pairs.into()))
        }
    }
}

/// The largest double that input may hold: sums of squares of such numbers are still finite, so that no
/// single row can spoil a mean, a deviation or a fit.
pub const LARGEST_DOUBLE: f64 = 1e100;

fn usable(number: f64) -> bool {
    number.abs() <= LARGEST_DOUBLE
}

fn json_type(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}

/// At most 40 characters, so that a message stays a message whatever was sent.
fn abbreviated(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Schema {
        Schema::parse(&[("id", "string"), ("at", "timestamp"), ("n", "int64"), ("x", "double?")]).unwrap()
    }

    #[test]
    fn a_row_is_decoded_and_encoded_with_the_same_bits() {
        let json = json!({"id": "a", "at": "2011-01-01T00:00:00Z", "n": -3, "x": 0.1});
        let row = schema().decode_json(&json).unwrap();
        assert_eq!(schema().encode_json(&row), json);
    }

    #[test]
    fn messages_name_the_column_and_the_value() {
        let message = |json| schema().decode_json(&json).unwrap_err().to_string();
        assert_eq!(message(json!([])), "expected a JSON object, found an array");
        assert_eq!(message(json!({"id": "a"})), "column \"at\" is missing");
        assert_eq!(message(json!({"idd": "a"})), "unknown column \"idd\"; did you mean \"id\"?");
        let json = json!({"id": "a", "at": "2011-01-01", "n": 1.5});
        assert_eq!(message(json), "column \"n\" wants int64, found 1.5");
        let unknown = Schema::parse(&[("a", "doubel")]).unwrap_err();
        assert_eq!(unknown.to_string(), "column \"a\" has unknown type \"doubel\"; did you mean \"double\"?");
    }

    #[test]
    fn a_record_of_another_schema_has_what_both_know() {
        let row = schema().decode_known_json(&json!({"n": 1, "other": true})).unwrap();
        assert_eq!(row, vec![Value::Null, Value::Null, Value::Int64(1), Value::Null]);
        assert!(schema().decode_known_json(&json!({"n": "one"})).is_err());
    }

    #[test]
    fn numbers_that_no_sum_of_squares_survives_are_refused() {
        let decode = |x: f64| Schema::parse(&[("x", "double")]).unwrap().decode_json(&json!({"x": x}));
        assert!(decode(1e100).is_ok() && decode(-1e100).is_ok());
        assert!(decode(1.1e100).is_err() && decode(-1.7e308).is_err());
    }

    #[test]
    fn lists_are_arrays_whose_elements_are_all_of_one_type() {
        let schema = Schema::parse(&[("x", "list<double>"), ("names", "list<string>?")]).unwrap();
        let json = json!({"x": [1.5, 2.0], "names": []});
        let row = schema.decode_json(&json).unwrap();
        assert_eq!(row[0], Value::List([Value::Double(1.5), Value::Double(2.0)].into()));
        assert_eq!(schema.encode_json(&row), json);
        let message = |json| schema.decode_json(&json).unwrap_err().to_string();
        assert_eq!(message(json!({"x": [1, null]})), "column \"x\" wants list<double>, found [1,null]");
        assert_eq!(message(json!({"x": 1})), "column \"x\" wants list<double>, found 1");
        assert_eq!(schema.columns()[0].decode_text("[1, 2.5]").unwrap().to_string(), "[1.0,2.5]");
        let unknown = Schema::parse(&[("a", "list<doubel>")]).unwrap_err().to_string();
        assert!(unknown.contains("did you mean \"list<double>\"?"), "{unknown}");
    }

    #[test]
    fn a_map_is_an_object_in_the_order_of_its_keys() {
        let schema = Schema::parse(&[("m", "map<int64>?")]).unwrap();
        let row = schema.decode_json(&json!({"m": {"b": 2, "a": 1}})).unwrap();
        let pairs = [("a".into(), Value::Int64(1)), ("b".into(), Value::Int64(2))];
        assert_eq!(row, [Value::Map(pairs.into())]);
        assert_eq!(schema.encode_json(&row), json!({"m": {"a": 1, "b": 2}}));
        assert!(schema.decode_json(&json!({"m": {"a": "x"}})).is_err());
    }

    #[test]
    fn types_are_saved_by_name() {
        let types = [DataType::Double, DataType::Duration, DataType::Map(crate::Element::String)];
        let saved = serde_json::to_string(&types).unwrap();
        assert_eq!(saved, r#"["double","duration","map<string>"]"#);
        assert_eq!(serde_json::from_str::<[DataType; 3]>(&saved).unwrap(), types);
    }

    #[test]
    fn an_empty_field_is_null_where_that_is_allowed() {
        let schema = schema();
        assert_eq!(schema.columns()[3].decode_text("").unwrap(), Value::Null);
        assert!(schema.columns()[2].decode_text("").is_err());
        assert_eq!(schema.columns()[3].decode_text("1e3").unwrap(), Value::Double(1000.0));
        assert!(schema.columns()[3].decode_text("NaN").is_err());
    }
}
