//! What the examples share: how a history is played against a Perennial of its own.
//!
//! It starts the service as a child process, speaks to it over HTTP with patience, and reads afterwards what
//! the service tells of its runs and versions. For comparisons it also computes, without a service, the rows
//! that a declared model would have seen. What is played, and what is made of the answers, is the
//! example's own.
//!
//! ```
//! use player::Options;
//! assert_eq!(Options::default().patience.as_secs(), 60);
//! assert_eq!(player::grouped(31_148_565), "31,148,565");
//! ```

mod declared;
mod line;
mod progress;
mod service;
mod stage;
mod story;
mod traffic;
mod wording;

pub use declared::{Asked, Declared, Sent};
pub use line::{Line, Options};
pub use progress::Bar;
pub use service::{Service, fsync_p50_ms};
pub use stage::{Args, Machine, Show, Stage, perform};
pub use story::{Ancestor, Story};
pub use traffic::{Shares, Traffic};
pub use wording::{grouped, list};
