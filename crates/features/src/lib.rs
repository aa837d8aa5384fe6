//! The streaming feature engine.
//!
//! It decides what a feature's value is: from a declared view and the events of its source, in the order of
//! the log, it keeps mergeable tiles for each entity key and reads sliding windows from them at any instant.
//! The same code runs live, in backfill and in the replay that builds a training set, so that a value has
//! one history and the same bits everywhere: they do not depend on batches, shards, snapshots or the time
//! of a read. It never reads a clock, a file or the network.
//!
//! - A window `w` at `t` covers the event times `[t - w, t)`; with `tail: hop` it may begin earlier, at a
//!   multiple of [`View::hop`], which is at most `w / 60`.
//! - Tiles are of a few sizes, the further in the past the larger; a larger tile is the merge of its
//!   children in order. Only a key's own events move its tiles on.
//! - Values that are NULL or not finite are left out; an event counts where its `where` is true; an event
//!   whose entity key is NULL belongs to no key.
//!
//! ```
//! use perennial_features::{AggregateSpec, EntityKey, Event, Op, Shard, Tail, View, ViewSpec};
//! use perennial_types::{AvailableAt, Position, Schema, SourceSpec, StreamSpec, TimeSpan, Timestamp, Value};
//!
//! let source = SourceSpec {
//!     name: "demand".into(),
//!     schema: Schema::parse(&[("hour", "timestamp"), ("slot", "int64"), ("cnt", "int64")])?,
//!     id: None,
//!     event_time: "hour".into(),
//!     available_at: AvailableAt::Arrival,
//!     stream: StreamSpec::Http {},
//!     retention: TimeSpan::from_days(400),
//! };
//! let view = View::compile(
//!     ViewSpec {
//!         name: "slot_demand".into(),
//!         entity: vec!["slot".into()],
//!         from: "demand".into(),
//!         columns: vec![],
//!         aggregates: vec![AggregateSpec {
//!             name: "rides".into(),
//!             ops: vec![Op::Avg],
//!             op_in_name: true,
//!             of: Some("cnt".into()),
//!             with: None,
//!             filter: None,
//!             by: None,
//!             edges: vec![],
//!             windows: vec![TimeSpan::from_days(7).into()],
//!             tail: Tail::Hop,
//!         }],
//!         derived: vec![],
//!     },
//!     &source,
//! )?;
//! let mut shard = Shard::new(vec![view.clone()]);
//! for (position, cnt) in [(1, 10), (2, 20)] {
//!     let time = Timestamp::from_micros(position * 3_600_000_000);
//!     let row = [Value::Timestamp(time), Value::Int64(5), Value::Int64(cnt)];
//!     let position = Position(position as u64);
//!     shard.apply(&Event { position, source: "demand", row: &row, event_time: time, available_at: time }, |_| true);
//! }
//! let slot = EntityKey::from_values(&[Value::Int64(5)]);
//! let reading = shard.read(view.version(), &slot, Timestamp::parse("1970-01-01T03:00:00Z")?);
//! assert_eq!(view.outputs().columns()[0].name.as_ref(), "slot_demand.rides_avg_7d");
//! assert_eq!(reading.values, [Value::Double(15.0)]);
//! assert_eq!(reading.latest, Some(Timestamp::parse("1970-01-01T02:00:00Z")?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod beside;
mod compile;
mod error;
mod inputs;
mod kept;
mod key;
mod keys;
mod ladder;
mod layers;
mod layout;
mod op;
mod recent;
mod sessions;
mod shard;
mod snapshot;
mod spec;
mod state;
mod tiles;
mod timeline;
mod totals;
mod view;
mod window;
mod window_spec;

pub mod point_in_time;
pub mod skew;

pub use error::FeatureError;
pub use key::{EntityKey, shard_of};
pub use op::{Op, Parameter, Rank};
pub use shard::{Event, Reading, Shard};
pub use spec::{AggregateSpec, NamedExpr, Tail, ViewSpec};
pub use view::View;
pub use window::ReadRoom;
pub use window_spec::WindowSpec;
