//! When to train.
//!
//! It decides, from the values of signals and the history of runs, whether a trigger of a policy starts a run,
//! is held back by a guard, or is quiet, and says why in one sentence. It never measures a signal, reads a
//! clock or starts anything: state and input in, verdict and next state out.
//!
//! ```
//! use perennial_policy::{
//!     Action, Evaluation, GuardSpec, OnUnknown, Outcome, Policy, PolicySpec, PolicyState, RowsIf, SignalKind,
//!     SignalSpec, SignalValues, StageSpec, Training, TriggerSpec,
//! };
//! use perennial_types::{TimeSpan, Timestamp};
//!
//! let policy = Policy::compile(&PolicySpec {
//!     name: "keep-fresh".into(),
//!     models: vec!["bike-raw".into()],
//!     signals: vec![SignalSpec { name: "volume".into(), kind: SignalKind::Labels }],
//!     triggers: vec![TriggerSpec {
//!         name: "regular".into(),
//!         when: Some("volume.rate > 10".into()),
//!         hold: None,
//!         schedule: Some("0 3 * * *".into()),
//!         action: Action::FineTune,
//!     }],
//!     on_unknown: OnUnknown::Hold,
//!     guards: GuardSpec::default(),
//!     actions: Default::default(),
//!     gates: Vec::new(),
//!     rollout: vec![StageSpec::Promote],
//!     rollback: None,
//! })
//! .unwrap();
//!
//! let mut signals = SignalValues::default();
//! signals.labels("volume", 96, 24.0);
//! let at = Timestamp::parse("2011-03-05T03:00:00Z").unwrap();
//! let verdict = policy.evaluate(
//!     &Evaluation {
//!         at,
//!         since: at - TimeSpan::from_hours(1),
//!         signals,
//!         history: Vec::new(),
//!         rows_if: RowsIf { fine_tune: 96, retrain: 1_833 },
//!         busy: None,
//!         can_fine_tune: Ok(()),
//!     },
//!     &PolicyState::default(),
//! );
//! assert_eq!(
//!     verdict.outcome,
//!     Outcome::Start { trigger: "regular".into(), action: Training::FineTune, instant: at }
//! );
//! ```

mod adapt;
mod check;
mod condition;
mod evaluate;
mod guards;
mod key;
mod policy;
mod schedule;
mod signals;
mod spec;

pub use adapt::Adaptation;
pub use check::check;
pub use condition::{Condition, Truth};
pub use evaluate::{Evaluation, Outcome, PolicyState, TriggerEvaluation, TriggerState, Verdict};
pub use guards::{Finished, Guard, Hold, PastRun, RowsIf, RunOutcome};
pub use key::decision_key;
pub use policy::{Policy, PolicyError};
pub use schedule::{Schedule, ScheduleError};
pub use signals::{
    DetectorMembers, DriftMembers, PerformanceReading, SignalValues, experiment_schema, labels_schema,
    paired_schema, rollout_schema, signal_schema,
};
pub use spec::*;
