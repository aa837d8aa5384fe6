//! The streaming feature engine.
//!
//! It decides what a feature's value is: from a declared view and the events of its source, in the order of
//! the log, it keeps mergeable tiles for each entity key and reads sliding windows from them at any instant.
//! The same code runs live, in backfill and in the replay that builds a training set, so that a value has
//! one history and the same bits everywhere: they do not depend on batches, shards, snapshots or the time
//! of a read. It never reads a clock, a file or the network.
//!
//! - A window `w` at `t` covers the event times `[t - w, t)`. With `tail: hop` it begins at the multiple of
//!   [`View::hop`], at most `w / 60`, that is not after `t - w`: its far end stands still for a hop and then
//!   jumps by it, so that a steady stream gives a sawtooth at most a sixtieth high. `tail: exact` keeps the
//!   events themselves and has none. [`WindowSpec`] says what tumbling, session, lifetime and last-k windows
//!   cover, to the microsecond.
//! - Tiles are of a few sizes, the further in the past the larger; a larger tile is the merge of its
//!   children in order. Only a key's own events move its tiles on.
//! - Values that are NULL or not finite are left out; an event counts where its `where` is true; an event
//!   whose entity key is NULL belongs to no key.
//!
//! # Aggregations
//! Words of state are for values that fit a word; `n` is the number of values that a tile holds. "To the bit"
//! says that neither the order of events nor merges matter; the others are rounded in one order, which the
//! engine fixes, so that every bit is that of a replay all the same.
//!
//! | op | state of a tile, bytes | result |
//! |---|---|---|
//! | `count` | 8 | exact, to the bit |
//! | `sum` `avg` | 8 of doubles, 16 of integers (128 bits) | rounded; exact and to the bit of integers |
//! | `min` `max` | 8 | exact, to the bit |
//! | `first` `last` | 16 | exact; of equal times by arrival |
//! | `since_last` | 8 | exact, to the bit; seconds |
//! | `stddev` `variance` `stddev_pop` `variance_pop` | 16 | rounded |
//! | `skew` `kurtosis` | 32 | rounded; G1, and excess G2 |
//! | `covariance` `covariance_pop` `correlation` | 40 | rounded |
//! | `{decayed_sum: 1h}` `{decayed_rate: 1h}` | 16 | rounded |
//! | `distinct` | about 24 for each different value | exact, to the bit |
//! | `approx_distinct` | 4 for each up to 512, then 4,096 | exact up to 512, then a standard error of 1.6 %; to the bit |
//! | `{quantile: 0.95}` | 12 for each of up to 1,024 bins | within 1 % of the value of that rank; to the bit |
//! | `histogram` | 8 for each edge and 8 | exact, to the bit |
//! | `{first: k}` `{last: k}`, `_distinct` | 24 for each of `k` | exact; of equal times by arrival |
//! | `{top: k}` `{bottom: k}` | 16 for each of `k` | exact, to the bit |
//! | `{frequent: k}` | 24 for each of up to max(64, 8 `k`) | exact up to so many different values |
//! | `avg` of lists of doubles | 8 for each place | rounded |
//! | any of them with `by` | that for each of up to 100 buckets | as without; the buckets of the smallest hashes |
//!
//! ```
//! use perennial_features::{AggregateSpec, EntityKey, Event, Op, Shard, Tail, View, ViewSpec};
//! use perennial_types::{Position, Schema, SourceSpec, TimeSpan, Timestamp, Value};
//!
//! let schema = Schema::parse(&[("hour", "timestamp"), ("slot", "int64"), ("cnt", "int64")])?;
//! let source = SourceSpec::new("demand", schema, "hour");
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

mod batch;
mod beside;
mod borders;
mod cold;
mod compile;
mod error;
mod held;
mod inputs;
mod kept;
mod key;
mod key_state;
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
mod watermark;
mod window;
mod window_spec;

pub mod parity;
pub mod point_in_time;
pub mod skew;
pub mod streams;

pub use batch::Batch;
pub use cold::{Counters, Holding, Leaving};
pub use error::FeatureError;
pub use key::{EntityKey, shard_of};
pub use key_state::KeyState;
pub use op::{Op, Parameter, Rank};
pub use perennial_types::NamedExpr;
pub use shard::{Event, Reading, Shard};
pub use spec::{AggregateSpec, Tail, ViewSpec};
pub use state::Quantiles;
pub use view::View;
pub use watermark::{SourceTime, watermark_of};
pub use window::ReadRoom;
pub use window_spec::WindowSpec;
