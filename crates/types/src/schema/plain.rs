//! Rows from and to the text of JSON objects without a tree of values in between, several times faster.
//!
//! It knows the plain texts that machines write: no escapes, no numbers with exponents, every column once and of
//! its type. What is not plain it leaves to [`Schema::decode_json`], which also says what is wrong with a row;
//! where it gives a row, that gives the same.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::{Column, LARGEST_DOUBLE, Row, Schema};
use crate::{DataType, Timestamp, Value};

/// The most columns that are told apart by the bits of a number.
const MOST_COLUMNS: usize = 64;
/// Digits that always fit an integer.
const SAFE_DIGITS: usize = 18;

impl Schema {
    /// Decode the text of a JSON object that is plainly written, as [`Schema::decode_json`] decodes the object;
    /// nothing where it is not plain, whether it is a row or not.
    pub fn decode_plain_json(&self, text: &[u8]) -> Option<Row> {
        if self.columns.len() > MOST_COLUMNS {
            return None;
        }
        let mut reader = Reader { text: std::str::from_utf8(text).ok()?, at: 0 };
        let mut row = vec![Value::Null; self.columns.len()];
        let (mut seen, mut expected) = (0_u64, 0);
        reader.take(b'{')?;
        if reader.next()? == b'}' {
            reader.at += 1;
        } else {
            loop {
                let name = reader.string()?;
                // Columns mostly come in the order of the schema.
                let at = match self.columns.get(expected) {
                    Some(column) if *column.name == *name => expected,
                    Some(_) | None => self.index_of(name)?,
                };
                reader.take(b':')?;
                row[at] = reader.value(self.columns[at].data_type)?;
                if seen & 1 << at != 0 {
                    return None;
                }
                seen |= 1 << at;
                expected = at + 1;
                match reader.next()? {
                    b',' => reader.at += 1,
                    b'}' => break reader.at += 1,
                    _ => return None,
                }
            }
        }
        let complete = self.columns.iter().zip(&row).all(|(column, value)| column.nullable || !value.null());
        (reader.next().is_none() && complete).then_some(row)
    }

    /// Append the row as [`Schema::encode_json`] writes it.
    pub fn write_json(&self, row: &[Value], text: &mut Vec<u8>) {
        let written = serde_json::to_writer(text, &RowAsJson { columns: &self.columns, row });
        assert!(written.is_ok(), "every row is JSON, and memory takes every byte");
    }
}

/// A row as the JSON object that [`Schema::encode_json`] gives.
struct RowAsJson<'a> {
    columns: &'a [Column],
    row: &'a [Value],
}

impl Serialize for RowAsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pairs = self.columns.iter().zip(self.row).filter(|(_, value)| !value.null());
        serializer.collect_map(pairs.map(|(column, value)| (&column.name, value.as_json())))
    }
}

/// Whether a byte of a text stands for itself.
fn plain(byte: u8) -> bool {
    byte >= b' ' && byte != b'"' && byte != b'\\'
}

/// Reads a text from its beginning on. Nothing is where the text is not plain.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next byte that is no white space.
    fn next(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let b' ' | b'\t' | b'\n' | b'\r' = bytes.get(self.at)? {
            self.at += 1;
        }
        Some(bytes[self.at])
    }

    /// Go past this byte.
    fn take(&mut self, byte: u8) -> Option<()> {
        let found = self.next()? == byte;
        self.at += usize::from(found);
        found.then_some(())
    }

    /// Go past these letters.
    fn word(&mut self, word: &str) -> Option<()> {
        self.text.get(self.at..)?.starts_with(word).then(|| self.at += word.len())
    }

    fn string(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let start = self.at;
        let length = self.text.as_bytes()[start..].iter().position(|byte| !plain(*byte))?;
        self.at = start + length;
        // It ends with a quote, or is not plain.
        self.take(b'"')?;
        self.text.get(start..start + length)
    }

    fn value(&mut self, data_type: DataType) -> Option<Value> {
        let first = self.next()?;
        if first == b'n' {
            return self.word("null").map(|()| Value::Null);
        }
        match data_type {
            DataType::Boolean if first == b't' => self.word("true").map(|()| Value::Boolean(true)),
            DataType::Boolean => self.word("false").map(|()| Value::Boolean(false)),
            DataType::Int64 => self.integer().map(Value::Int64),
            DataType::Double => self.double().map(Value::Double),
            DataType::String => self.string().map(|text| Value::String(Arc::from(text))),
            DataType::Timestamp => {
                self.string().and_then(|text| Timestamp::parse(text).ok()).map(Value::Timestamp)
            }
            DataType::List(element) => self.list(element.data_type()),
            DataType::Duration | DataType::Map(_) => None,
        }
    }

    fn list(&mut self, element: DataType) -> Option<Value> {
        self.take(b'[')?;
        let mut values = Vec::new();
        if self.next()? == b']' {
            self.at += 1;
            return Some(Value::List(values.into()));
        }
        loop {
            let value = self.value(element)?;
            if value.null() {
                return None;
            }
            values.push(value);
            match self.next()? {
                b',' => self.at += 1,
                b']' => break self.at += 1,
                _ => return None,
            }
        }
        Some(Value::List(values.into()))
    }

    /// The text of a number without an exponent, and whether it has a fraction.
    fn number(&mut self) -> Option<(&'a str, bool)> {
        let bytes = self.text.as_bytes();
        let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let start = self.at + usize::from(bytes.get(self.at) == Some(&b'-'));
        let whole = digits(start);
        if whole == 0 || whole > 1 && bytes[start] == b'0' {
            return None;
        }
        let mut end = start + whole;
        let fraction = bytes.get(end) == Some(&b'.');
        if fraction {
            let count = digits(end + 1);
            end += 1 + count;
            if count == 0 {
                return None;
            }
        }
        if let Some(b'e' | b'E') = bytes.get(end) {
            return None;
        }
        let text = &self.text[self.at..end];
        self.at = end;
        Some((text, fraction))
    }

    fn integer(&mut self) -> Option<i64> {
        let (text, fraction) = self.number()?;
        // Minus zero is no integer to JSON's readers.
        if fraction || text.len() > SAFE_DIGITS || text == "-0" {
            return None;
        }
        text.parse().ok()
    }

    fn double(&mut self) -> Option<f64> {
        let (text, _) = self.number()?;
        text.parse().ok().filter(|number: &f64| number.abs() <= LARGEST_DOUBLE)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schema() -> Schema {
        let columns = [
            ("id", "string"),
            ("at", "timestamp"),
            ("n", "int64?"),
            ("x", "double?"),
            ("ok", "boolean?"),
            ("list", "list<double>?"),
        ];
        Schema::parse(&columns).unwrap()
    }

    /// What the tree says.
    fn by_tree(text: &[u8]) -> Option<Row> {
        schema().decode_json(&serde_json::from_slice(text).ok()?).ok()
    }

    #[test]
    fn plain_rows_are_read() {
        for text in [
            r#"{"id":"a","at":"2011-01-01T05:00:00Z","n":-3,"x":0.1,"ok":true,"list":[1,2.5]}"#,
            r#" { "x" : 12345678901234567890 , "id":"é ü","at":"2011-01-01T05:00:00.5Z", "ok":false,"list":[]} "#,
            r#"{"at":"1970-01-01T00:00:00Z","id":"","n":null,"x":-0}"#,
        ] {
            let row = schema().decode_plain_json(text.as_bytes());
            assert!(row.is_some(), "{text}");
            assert_eq!(row, by_tree(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn other_texts_are_left_to_the_tree() {
        let rest = r#""at":"1970-01-01T00:00:00Z""#;
        for text in [
            "",
            "{",
            "{}",
            "[]",
            "null",
            r#"{"id":"a"}"#,
            &format!(r#"{{"id":"a\n",{rest}}}"#),
            &format!(r#"{{"id":"a",{rest},"n":1.0}}"#),
            &format!(r#"{{"id":"a",{rest},"n":-0}}"#),
            &format!(r#"{{"id":"a",{rest},"n":01}}"#),
            &format!(r#"{{"id":"a",{rest},"n":9223372036854775808}}"#),
            &format!(r#"{{"id":"a",{rest},"x":1e3}}"#),
            &format!(r#"{{"id":"a",{rest},"x":1.}}"#),
            &format!(r#"{{"id":"a",{rest},"x":.5}}"#),
            &format!(r#"{{"id":"a",{rest},"list":[1,null]}}"#),
            &format!(r#"{{"id":"a",{rest},"list":[1,]}}"#),
            &format!(r#"{{"id":"a",{rest},"other":1}}"#),
            &format!(r#"{{"id":"a",{rest},"id":"b"}}"#),
            &format!(r#"{{"id":"a",{rest}}} x"#),
            &format!(r#"{{"id":"a",{rest},}}"#),
            &format!(r#"{{"id":null,{rest}}}"#),
        ] {
            assert_eq!(schema().decode_plain_json(text.as_bytes()), None, "{text}");
        }
    }

    fn values() -> impl Strategy<Value = Row> {
        let number = || prop::num::f64::NORMAL.prop_map(|number| number % LARGEST_DOUBLE);
        let list = prop::collection::vec(number().prop_map(Value::Double), 0..4);
        let micros = -62_135_596_800_000_000_i64..253_402_300_800_000_000;
        (
            any::<String>(),
            micros,
            any::<Option<i64>>(),
            prop::option::of(number()),
            any::<Option<bool>>(),
            prop::option::of(list),
        )
            .prop_map(|(id, micros, n, x, ok, list)| {
                vec![
                    Value::String(id.into()),
                    Value::Timestamp(Timestamp::from_micros(micros)),
                    n.map_or(Value::Null, Value::Int64),
                    x.map_or(Value::Null, Value::Double),
                    ok.map_or(Value::Null, Value::Boolean),
                    list.map_or(Value::Null, |list| Value::List(list.into())),
                ]
            })
    }

    proptest! {
        #[test]
        fn a_row_is_written_as_its_tree_and_read_with_its_bits(row in values()) {
            let mut text = Vec::new();
            schema().write_json(&row, &mut text);
            prop_assert_eq!(std::str::from_utf8(&text).unwrap(), schema().encode_json(&row).to_string());
            if let Some(read) = schema().decode_plain_json(&text) {
                prop_assert_eq!(read, row);
            }
        }

        #[test]
        fn where_a_row_is_read_the_tree_reads_the_same(row in values(), at: prop::sample::Index, byte in prop::sample::select(b"\"\\{}[],:.0129-+eEntf \n\xff".to_vec())) {
            let mut text = Vec::new();
            schema().write_json(&row, &mut text);
            let at = at.index(text.len());
            text[at] = byte;
            if let Some(read) = schema().decode_plain_json(&text) {
                prop_assert_eq!(Some(read), by_tree(&text));
            }
        }
    }
}
