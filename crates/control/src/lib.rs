//! The loop as a state machine: decisions, runs, verdicts, promotions.
//!
//! It decides what happens next and nothing else: [`State::apply`] takes the records of the log into account,
//! [`State::step`] says what is due at an instant. It never trains, writes or waits, so the same code runs
//! live, in recovery and in simulation.
//!
//! ```
//! use perennial_control::{Applied, ControlRecord, Goal, Input, Pace, State, Step};
//! use perennial_types::{ContentHash, Position, TimeSpan, Timestamp};
//!
//! let goal = Goal {
//!     project: "taxi".into(),
//!     tick: TimeSpan::from_hours(1),
//!     models: Vec::new(),
//!     endpoints: Vec::new(),
//!     policies: Vec::new(),
//!     experiments: Vec::new(),
//!     reports: Vec::new(),
//! };
//! let at = Timestamp::parse("2011-01-01T05:00:00Z").unwrap();
//! let applied = Applied { at, hash: ContentHash::of(b"taxi"), goal, declarations: serde_json::json!({}) };
//! let mut state = State::default();
//! state.apply(Input::Control { position: Position(1), record: ControlRecord::Applied(applied) }).unwrap();
//! // Five o'clock is due; without a policy there is nothing to decide, so it is done.
//! assert_eq!(state.next_instant(at), Some(at));
//! let done = ControlRecord::InstantDone { at };
//! assert_eq!(state.step(at, at, Pace::Event), Step::Append(vec![done.clone()]));
//! state.apply(Input::Control { position: Position(2), record: done }).unwrap();
//! assert_eq!(state.step(at, at, Pace::Event), Step::Done);
//! assert_eq!(state.next_instant(at + TimeSpan::from_secs(60)), None);
//! ```

mod access;
mod baseline;
mod comparison;
mod compiled;
mod decide;
mod detector;
mod endpoint;
mod epoch;
mod error;
mod experiment;
mod goal;
mod judge;
mod keys;
mod model;
mod moves;
mod record;
mod rollback;
mod rollout;
mod routing;
mod seen;
mod served;
mod state;
mod step;
mod terms;
mod traffic;
mod watch;
mod watched;

pub use access::{Key, KeyError, Keys, NewKey};
pub use comparison::Compared;
pub use detector::Detector;
pub use endpoint::EndpointState;
pub use error::ControlError;
pub use experiment::{Concluded, Experiment};
pub use goal::*;
pub use keys::*;
pub use model::{Baseline, EndedRun, InFlight, ModelState, Version};
pub use record::*;
pub use rollback::{LEAST_PAIRED_ROWS, Watch};
pub use rollout::{Rollout, stage_of};
pub use seen::Seen;
pub use state::{Input, State};
pub use step::{Pace, Step};
pub use terms::{Terms, Worth};
pub use traffic::*;
pub use watch::*;
pub use watched::Watched;
