//! The loop as a state machine: decisions, runs, verdicts, promotions.
//!
//! It decides what happens next and nothing else: [`State::apply`] takes the records of the log into account,
//! [`State::step`] says what is due at an instant. It never trains, writes or waits, so the same code runs
//! live, in recovery and in simulation.

mod baseline;
mod decide;
mod endpoint;
mod error;
mod goal;
mod judge;
mod model;
mod record;
mod state;

pub use decide::{Pace, Step};
pub use endpoint::EndpointState;
pub use error::ControlError;
pub use goal::*;
pub use model::{Baseline, EndedRun, InFlight, ModelState, Version};
pub use record::*;
pub use state::{Input, State};
