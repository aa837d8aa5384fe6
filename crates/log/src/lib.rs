//! The log of a project: one order for everything that happens.
//!
//! It decides positions, duplicates, and when a record is safe. It appends frames to an active segment,
//! syncs them in groups, turns closed segments into Parquet, reads all of it back, and is the one owner of
//! formats: JSON bodies into entries ([`decode`]), messages in Avro, Protocol Buffers and others ([`formats`]),
//! files of rows ([`files`]), tables ([`table`]); the last bytes of many keys ([`KeyedFiles`]); and of Kafka, whose topics it reads ([`kafka`]). It never
//! interprets what a record means.
//!
//! ```
//! use std::sync::Arc;
//! use perennial_log::{Appended, Batch, Durability, Log, LogOptions, Order, SystemFiles};
//! use perennial_types::{Entry, Position, Stream, Timestamp};
//!
//! let dir = tempfile::tempdir()?;
//! let options = LogOptions::new(dir.path());
//! let log = Log::open(Arc::new(SystemFiles), options.clone(), Box::new(|_records| {}))?;
//! let at = Timestamp::parse("2011-01-01T05:00:00Z")?;
//! let entry = Entry {
//!     stream: Stream::Event, source: "demand".into(), key: "".into(), event_time: at, available_at: at,
//!     id: "e1".into(), payload: br#"{"slot":5}"#.to_vec(),
//! };
//! let entries = vec![entry.clone(), entry];
//! let batch = Batch { entries, durability: Durability::Synced, order: Order::Clamp };
//! let appended = log.append(batch).wait()?;
//! assert_eq!(appended, [Appended::At(Position(1)), Appended::Duplicate(Position(1))]);
//! log.close();
//!
//! let log = Log::open(Arc::new(SystemFiles), options, Box::new(|_records| {}))?;
//! let record = log.reader().read(Position(1), log.head())?.next().unwrap()?;
//! assert_eq!(record.entry.payload, br#"{"slot":5}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod closed;
mod columns;
mod commit;
mod compact;
pub mod decode;
mod dedupe;
mod error;
pub mod files;
pub mod formats;
mod frame;
mod index;
pub mod kafka;
mod keyed;
mod letter;
mod log;
mod reader;
mod recover;
mod segment;
mod storage;
pub mod table;
mod ticket;
mod writer;

pub use error::LogError;
pub use keyed::{Keyed, KeyedFiles};
pub use log::{Appended, Apply, Batch, Cut, Durability, Log, LogOptions, Opened, Order};
pub use reader::{LogReader, Records};
pub use storage::{AppendFile, Files, ReadFile, SystemFiles};
pub use ticket::Ticket;
