//! The floor: the words every other crate speaks.
//!
//! It decides what an instant, a value, a schema, a record of the log and a content hash are, and how they
//! are written as text. It never reads a clock, a file or the environment.
//!
//! ```
//! use perennial_types::{Schema, Timestamp, Value};
//! let schema = Schema::parse(&[("slot", "int64"), ("cnt", "double?")]).unwrap();
//! let row = schema.decode_json(&serde_json::json!({"slot": 5})).unwrap();
//! assert_eq!(row, vec![Value::Int64(5), Value::Null]);
//! assert_eq!(Timestamp::parse("2011-01-01T05:00:00Z").unwrap().to_string(), "2011-01-01T05:00:00Z");
//! ```

mod derived;
mod error;
mod hash;
mod names;
mod record;
mod rounded;
mod schema;
mod secret;
mod source;
mod time;
mod value;

pub use derived::{DedupeSpec, DerivedSpec, EnrichSpec, JoinSpec, KeyPair, NamedExpr, Operator, UnionPart};
pub use error::Kind;
pub use hash::{ContentHash, hash64, unit_draw};
pub use names::{did_you_mean, nearest};
pub use record::{Entry, Position, Record, Stream};
pub use rounded::Rounded;
pub use schema::{Column, LARGEST_DOUBLE, Row, RowError, Schema, SchemaError};
pub use secret::Secret;
pub use source::{AvailableAt, EventTime, Format, KafkaStream, SourceSpec, StreamSpec, WriterSchema};
pub use time::{Clock, TimeError, TimeSpan, Timestamp};
pub use value::{AsJson, DataType, Element, Value};
