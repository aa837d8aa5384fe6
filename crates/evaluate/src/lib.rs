//! Who answers, and what the answers are worth once their labels are known.
//!
//! It decides which version answers a unit, which label belongs to which prediction, how well a model does over
//! the cohorts whose label window has closed, which arm of an experiment is the best and how sure that is, and
//! what share each arm has next. It never reads a clock or draws random numbers: units are assigned by hashes of
//! names and ids, and everything old is forgotten by the times of the records, so one log gives one state.
//!
//! ```
//! use perennial_evaluate::{Exposure, Feedback, Joined, LabelJoin, Metric, Performance, Prediction};
//! use perennial_types::{Position, TimeSpan, Timestamp};
//!
//! let at = Timestamp::parse("2011-01-01").unwrap();
//! let (day, week) = (TimeSpan::from_days(1), TimeSpan::from_days(7));
//! let mut join = LabelJoin::new(week);
//! let mut performance = Performance::new("bike-raw".into(), day, week);
//!
//! join.predicted(Prediction {
//!     id: "r1".into(), at, model: "bike-raw".into(), version: "v1".into(),
//!     value: 40.0, fallback: false, position: Position(1),
//!     exposure: Exposure::default(),
//! });
//! let label = Feedback { prediction_id: "r1".into(), value: 43.0, at: at + day, position: Position(2) };
//! let Joined::Labelled(row) = join.labelled(label) else { panic!("the prediction is known") };
//! performance.labelled(&row);
//!
//! let figure = performance.metric(Metric::Mae, week, at + day).unwrap();
//! assert_eq!((figure.value, figure.rows), (3.0, 1));
//! ```

mod ab;
mod assignment;
mod choices;
mod counter;
mod guardrails;
mod join;
mod metric;
mod pairs;
mod performance;
mod regime;
mod rewards;
mod sample_ratio;
mod spec;
mod units;
mod vector;
mod waiting;

pub use ab::{ArmEvidence, Evidence};
pub use assignment::by_id;
pub use choices::{Choice, Choices, Chosen};
pub use counter::LabelCounter;
pub use guardrails::{ErrorRate, ErrorRateEvidence};
pub use join::{
    Exposure, Feedback, Joined, LabelJoin, LabelStatus, LabelledPrediction, Prediction, Score, Scorer,
};
pub use pairs::{LEAST_PAIRS, PairedEvidence, Pairs};
pub use performance::{Figure, Performance};
pub use regime::RegimeChange;
pub use rewards::{Earned, Earning, LEAST_REWARDS, Rewards};
pub use sample_ratio::SampleRatio;
pub use spec::*;
pub use vector::{Arm, Contribution, Role, Unit, Vector, VectorError, with_floor};
