//! Learners: what a model version is made of.
//!
//! It decides how a training set becomes a model: which transformations are fitted and how they move, how a
//! learner is fitted and fine-tuned from a parent's state, what is answered, how a state is written with the
//! same bits, and what a trainer process is told and reports. It never reads a file, a clock or a random
//! generator: the same rows give the same bytes.
//!
//! ```
//! use perennial_learn::{
//!     FitSpec, Fitted, InFineTune, LearnerSpec, Missing, OutputSpec, SgdSpec, Task, TransformFn, TransformSpec,
//! };
//! use perennial_types::Value;
//!
//! let spec = FitSpec {
//!     task: Task::Regression,
//!     inputs: vec!["temp".into()],
//!     transforms: vec![TransformSpec {
//!         of: vec!["temp".into()],
//!         function: TransformFn::Standardize {
//!             clip: 5.0,
//!             missing: Missing::Mean,
//!             in_fine_tune: InFineTune::Moving,
//!         },
//!     }],
//!     learner: LearnerSpec::Linear(SgdSpec { learning_rate: 0.05, l2: 0.0, epochs: 200 }),
//!     output: OutputSpec { min: Some(0.0), max: None },
//! };
//! let rows: Vec<_> = (0..10).map(|i| vec![Value::Double(f64::from(i))]).collect();
//! let labels: Vec<_> = (0..10).map(|i| 3.0 * f64::from(i) + 1.0).collect();
//!
//! let parent = Fitted::fit(&spec, &rows, &labels)?;
//! assert!((parent.predict(&[Value::Int64(4)])? - 13.0).abs() < 0.1);
//! assert_eq!(parent.predict(&[Value::Int64(-50)])?, 0.0, "answers stay within the output bounds");
//!
//! let child = parent.fine_tune(&rows, &labels, 1)?;
//! assert_eq!(child.rows_seen(), 20);
//! assert_eq!(Fitted::load(&child.save())?, child);
//! # Ok::<(), perennial_learn::LearnError>(())
//! ```
//!
//! | module | concept |
//! |---|---|
//! | `spec` | what is declared |
//! | `pinned` | a declared spec that was checked |
//! | `transforms` | fitted transformations: numbers, categories |
//! | `encoded` | rows as a learner sees them |
//! | `sgd`, `batch` | the two ways to find parameters |
//! | `fitted` | the state: fit, fine-tune, predict |
//! | `artifact` | the state as bytes, and its content hash |
//! | [`metrics`] | what is measured on predictions |
//! | [`contract`] | the run directory of a trainer process |

mod artifact;
mod batch;
pub mod contract;
mod encoded;
mod error;
mod fitted;
pub mod metrics;
mod parameters;
mod pinned;
mod sgd;
mod spec;
mod transforms;

pub use artifact::FORMAT_VERSION;
pub use error::LearnError;
pub use fitted::Fitted;
pub use spec::{
    BatchSpec, FitSpec, InFineTune, LearnerSpec, Missing, OutputSpec, SgdSpec, Task, TransformFn,
    TransformSpec, UnknownCategory,
};
pub use transforms::MAX_CATEGORIES;
