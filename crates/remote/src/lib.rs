//! Outgoing HTTP: a client of a running `perennial serve`, and one of schema registries.
//!
//! It decides how the HTTP contract is spoken: addresses, ids, `at` under the event clock, pages of lists,
//! and what an answer that is no success means. It never retries: a caller who gave an id may repeat a call
//! whose error is [`perennial_types::Kind::Unavailable`], and gets the first outcome.
//!
//! ```
//! use perennial_remote::Client;
//! let client = Client::new("http://127.0.0.1:7070/").unwrap();
//! assert_eq!(client.address(), "http://127.0.0.1:7070");
//!
//! let error = Client::new("127.0.0.1:7070").unwrap_err();
//! assert!(error.to_string().contains("write it as http://127.0.0.1:7070"));
//! ```

mod client;
mod error;
mod history;
mod keys;
mod registry;
mod serving;
mod traffic;

pub use client::Client;
pub use error::{Fault, Problem, RefusedRow, RemoteError};
pub use history::{
    Ancestors, CurrentVersion, Decision, Deployed, Model, Run, ServedShare, Version, VersionRef, Why,
};
pub use keys::{CreatedKey, Key};
pub use registry::Registry;
pub use serving::{
    EventReceipt, Feedback, FeedbackResult, FeedbackStatus, Prediction, ProjectChange, ProjectFile, Status,
};
pub use traffic::{Choices, Chosen, Experiment, ReportEntry, Rollout, Routing, RoutingArm, WhyThen};
