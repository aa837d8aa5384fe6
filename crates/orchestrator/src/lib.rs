//! Drives control: live instants, runs, trainers, and the projection of the control stream into lineage.
//!
//! It decides nothing about the domain: it asks `control` what is next, does it, and writes down what came of it.

mod child;
mod error;
mod fold;
mod live;
mod measure;
mod projector;
mod reporting;
mod runs;
mod trainer;
mod views;
mod window;

pub use child::{train_in, wait_for_parent_to_go};
pub use error::{OrchestratorError, TrainerError};
pub use fold::{ControlFold, ControlHandle};
pub use live::Orchestrator;
pub use trainer::{EXIT_DATA, TrainerOptions};
