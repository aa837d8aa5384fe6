//! Reports and charts as text.
//!
//! It decides how a drift report of an endpoint reads (as a page, as JSON, as a short summary) and how charts and pages
//! look, here and in the overview of the service. It computes no statistic: what is shown is what it is given. It never reads a
//! clock or a file, and what it writes needs nothing from outside: the same input gives the same bytes.
//!
//! ```
//! use perennial_report::{Answer, FORMAT_VERSION, Report, Traffic};
//! use perennial_types::Timestamp;
//! let day = |text: &str| Timestamp::parse(text).unwrap();
//! let report = Report {
//!     format_version: FORMAT_VERSION,
//!     name: "weekly-drift".into(),
//!     project: "bike".into(),
//!     endpoint: "demand <hourly>".into(),
//!     at: day("2011-03-14"),
//!     from: day("2011-03-07"),
//!     to: day("2011-03-14"),
//!     reference: "the training set of each version".into(),
//!     requests: 0,
//!     labelled: 0,
//!     fallbacks: 0,
//!     models: vec![],
//!     traffic: Traffic { steps: vec![], until: day("2011-03-14") },
//!     decisions: vec![],
//!     rollouts: vec![],
//!     notes: vec![],
//! };
//! assert_eq!(report.verdict().answer, Answer::Unknown);
//! assert!(report.to_html().contains("demand &lt;hourly&gt;"));
//! assert_eq!(Report::from_json(&report.to_json()).unwrap(), report);
//! ```

pub mod chart;
mod error;
mod html;
mod markdown;
pub mod page;
mod spec;
mod verdict;
pub mod write;

pub use error::ReportError;
pub use spec::{
    ArmShare, CategoryShare, ColumnKind, ColumnSection, Distribution, DriftSection, EffectName, Entry,
    FORMAT_VERSION, MetricPoint, MetricSeries, ModelSection, Report, RolloutEntry, Traffic, TrafficStep,
};
pub use verdict::{Answer, Verdict};
