//! The declarations of a project: what users write.
//!
//! It decides what a directory of YAML files means: every declaration is read with the place of each field,
//! checked against all others, and resolved to what the cores run. All faults are found at once, each with
//! file, line, field and what would help; a word of the language that does nothing yet is refused as such. It
//! never reads a file, a clock or the environment: the caller hands it texts.
//!
//! ```
//! let yaml = "
//! kind: Project
//! name: taxi
//! ---
//! kind: Model
//! name: fare
//! task: regression
//! request: {km: double}
//! transforms: [{of: [km], fn: standardise}]
//! learner: {kind: linear}
//! ---
//! kind: Endpoint
//! name: fare
//! models: [fare]
//! label: {name: paid, matures_after: 2h}
//! ";
//! let faults = perennial_project::Project::parse(&[("taxi.yaml".into(), yaml.into())]).unwrap_err();
//! assert_eq!(
//!     faults[0].to_string(),
//!     "taxi.yaml:9:29: Model \"fare\": transforms[0].fn: unknown value \"standardise\"; \
//!      did you mean \"standardize\"?"
//! );
//! ```

mod check;
mod compile;
mod derive;
mod fault;
mod fields;
mod marks;
mod model;
mod parse;
mod pattern;
mod plan;
mod read;
mod ready;
mod scope;
mod spec;
mod tree;

pub use compile::Compiled;
pub use fault::Fault;
pub use model::{CompiledModel, Input, Lookup, Origin, Program};
pub use pattern::matches;
pub use plan::{Change, Effect, Plan, ViewCost};
pub use spec::{ClockKind, DeclaredTransform, HistorySpec, ModelSpec, Project, ServiceLevel};
